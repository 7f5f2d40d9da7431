"""
Contracts: tests that hold for every member of a family, collected in a subclass.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from harness.errors import UsageError


class Contract:
    """
    The tests of one family. A subclass named ``Test...`` lists in `samples` what to test.

    A test that takes ``sample`` runs for each of them. `parameters` has the other parameters of a
    family's tests.
    """

    samples: ClassVar[Sequence[Any]] = ()
    """What to test: names of members, or what a test must know about each."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """
        Make an item of each test for each sample; pytest calls this while it collects.
        """
        if not self.samples:
            raise UsageError(f"{type(self).__name__}.samples is empty: list what to test")
        for names, values in self.parameters(metafunc).items():
            metafunc.parametrize(names, values)

    def parameters(self, metafunc: pytest.Metafunc) -> dict[str, list[Any]]:
        """
        Return the parameters of one test, as `pytest.Metafunc.parametrize` takes them.
        """
        if "sample" not in metafunc.fixturenames:
            return {}
        return {
            "sample": [
                pytest.param(sample, id=getattr(sample, "name", sample)) for sample in self.samples
            ]
        }
