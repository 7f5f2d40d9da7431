"""
What an error becomes: an exit code, and one clear line or a traceback.
"""

import asyncio
from pathlib import Path

import pytest

from harness.cli.main import main


def test_a_bug_keeps_its_traceback_and_is_no_verdict(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """
    Exit code 1 says regressed; a crash of the harness must not.
    """
    monkeypatch.setattr("harness.workflow.project.open_project", lambda _: 1 / 0)

    assert main(["compare", "a", "b"]) == 2
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error
    assert "bug" in error


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, SystemExit])
def test_what_is_no_exception_is_no_verdict_either(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
):
    def broken(_: object) -> None:
        raise kind(1)

    monkeypatch.setattr("harness.workflow.project.open_project", broken)

    assert main(["compare", "a", "b"]) == 2
    assert kind.__name__ in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run", "ask", "--checkpoint", "replay:none.jsonl"], "none.jsonl"),
        (["run", "aks", "--checkpoint", "replay:x"], "ask"),
        (["run", "ask", "--checkpoint", "no/such/folder"], "no/such/folder"),
        (["run", "ask", "--checkpoint", "python:no_such_module:f"], "no_such_module"),
        (["score", "nowhere", "--suite", "ask"], "nowhere"),
        (["compare", "a", "b"], "neither a run folder nor a baseline"),
        (["gate", "nowhere", "--baseline", "x"], "nowhere"),
        (["suite", "check", "nowhere"], "nowhere"),
        (["baseline", "show", "nowhere"], "nowhere"),
        (["run", "ask", "--checkpoint", "replay:x", "--root", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gives_one_clear_error_and_exit_2(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], part: str
):
    assert main([*arguments]) == 2
    error = capsys.readouterr().err

    assert part in error
    assert error.startswith("harness: ") or "\nharness: " in error
    assert "Traceback" not in error
