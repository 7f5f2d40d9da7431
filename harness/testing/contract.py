"""
What a contract is: tests that hold for every member of a family, collected in a subclass.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from harness.errors import UsageError


class Contract:
    """
    The tests of one family. A subclass whose name begins with ``Test`` says in `samples` for what.

    A test that takes ``sample`` is run for each of them. What else tests are parametrised by, a
    family says in `parameters`.
    """

    samples: ClassVar[Sequence[Any]] = ()
    """What to test: names of members, or what the family has to know of each."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """
        Make an item of each test for each sample; pytest calls this while it collects.
        """
        if not self.samples:
            raise UsageError(f"{type(self).__name__}.samples is empty: say there what to test")
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
