"""
The contract tests of the open families, for authors of a dialect, backend, renderer,
importer or environment.

A contract is a class of tests. pytest collects them in a subclass that says what to test::

    from harness.testing import DialectContract, DialectSample

    class TestToy(DialectContract):
        samples = [DialectSample.read("tests/toy.yaml")]

The same classes hold for the members this package brings along. docs/extending.md has the rest.
"""

from harness.testing.backends import BackendContract
from harness.testing.dialect_sample import DialectSample
from harness.testing.dialects import DialectContract
from harness.testing.environments import EnvironmentContract, EnvironmentSample
from harness.testing.importers import ImporterContract, ImporterSample
from harness.testing.renderers import RendererContract

__all__ = [
    "BackendContract",
    "DialectContract",
    "DialectSample",
    "EnvironmentContract",
    "EnvironmentSample",
    "ImporterContract",
    "ImporterSample",
    "RendererContract",
]
