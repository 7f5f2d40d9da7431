"""
A Python class as an environment.
"""

import sys
from pathlib import Path

import pytest

from harness.environments.python import PYTHON, PythonEpisode
from harness.errors import BackendError, UsageError
from tests import builders

SOURCE = '''
class Counter:
    """A counter."""

    def reset(self, **case):
        self.state = {"counts": [{"id": case["id"], "value": 0}]}

    def add(self, amount: int) -> dict:
        """Add."""
        if amount < 0:
            raise ValueError("only up")
        self.state["counts"][0]["value"] += amount
        return dict(self.state["counts"][0])

    def look(self) -> str:
        """Look."""
        self.retrieved = ["d2", "d1"]
        return "two documents"

class Bare:
    pass
'''


CASE = builders.case(builders.abstain(), id="c1")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "toyworld.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toyworld", raising=False)
    return "toyworld"


def begin(module: str) -> PythonEpisode:
    target = f"{module}:Counter"
    return PYTHON.open({"target": target}, allowed=target).begin(CASE)


def test_methods_are_tools_and_exceptions_their_answers(module: str):
    episode = begin(module)

    assert '{"id": "c1", "value": 3}' == episode.call("add", {"amount": 3}).text
    assert "Error: only up" == episode.call("add", {"amount": -1}).text
    assert "Error: there is no tool '_private'." == episode.call("_private", {}).text
    assert {"counts": [{"id": "c1", "value": 3}]} == episode.state()
    assert ("d2", "d1") == episode.call("look", {}).documents


def test_code_that_the_user_did_not_name_is_not_imported(module: str):
    with pytest.raises(UsageError, match="--environment toyworld:Counter"):
        PYTHON.open({"target": f"{module}:Counter"})
    with pytest.raises(UsageError):
        PYTHON.open({"target": f"{module}:Counter"}, allowed="other:Class")

    assert module not in sys.modules


def test_reading_a_suite_takes_the_digest_of_the_code_and_does_not_run_it(module: str):
    completed = PYTHON.complete({"target": f"{module}:Counter"})

    assert module not in sys.modules
    assert str(completed["code"]).startswith("sha256:")
    target = f"{module}:Counter"
    PYTHON.open({"target": target, **completed}, allowed=target)
    with pytest.raises(UsageError, match="is not the code"):
        PYTHON.open({"target": target, "code": "sha256:0"}, allowed=target)


def test_what_is_not_an_environment_is_refused(module: str):
    with pytest.raises(UsageError, match="no method reset"):
        PYTHON.open({"target": f"{module}:Bare"}, allowed=f"{module}:Bare")
    with pytest.raises(BackendError, match="has no class Nobody"):
        PYTHON.open({"target": f"{module}:Nobody"}, allowed=f"{module}:Nobody")
    with pytest.raises(BackendError, match="cannot be imported"):
        PYTHON.open({"target": "no_such_module:X"}, allowed="no_such_module:X")
