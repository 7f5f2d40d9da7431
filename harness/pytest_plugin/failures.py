"""
How a failure that this package raises in a test is shown: where the test asked, and what came.
"""

from typing import Any

import pytest

from harness.errors import HarnessError

_OURS = (HarnessError, AssertionError, pytest.fail.Exception)
_HERE = __name__.rpartition(".")[0]


def end_at_the_test(call: "pytest.CallInfo[Any]") -> bool:
    """
    Drop this package's frames from a failure that a fixture or an assertion of its raised.

    Return whether it is such a failure. Its message is complete: what it was caused by goes, too.
    An exception of another class is a bug, of whomever, and keeps its frames.
    """
    excinfo = call.excinfo
    if excinfo is None or not isinstance(excinfo.value, _OURS):
        return False
    place = excinfo.tb
    while (following := place.tb_next) is not None:
        module = str(following.tb_frame.f_globals.get("__name__"))
        if module.startswith(f"{_HERE}."):
            place.tb_next = None
            excinfo.value.__cause__, excinfo.value.__suppress_context__ = None, True
            return True
        place = following
    return False


def begin_with_the_message(report: pytest.TestReport, message: str) -> None:
    """
    Have the short summary show *message* at once, without the exception's class.
    """
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = message
