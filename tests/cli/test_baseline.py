"""
``harness baseline``: what was accepted, and how it is shown.
"""

from pathlib import Path

import pytest

from harness.cli.main import main

from .conftest import answers, run, save


def test_baselines_tell_when_from_what_and_why(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "old", answers())
    save("old")
    capsys.readouterr()
    assert main(["baseline", "list"]) == 0
    listed = capsys.readouterr().out
    assert main(["baseline", "history"]) == 0
    history = capsys.readouterr().out
    assert main(["baseline", "show", "shipped"]) == 0

    for text in (listed, history):
        assert "ask/shipped" in text
        assert "a test" in text
    assert "from old" in capsys.readouterr().out


def test_what_a_reason_holds_is_shown_and_not_obeyed(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    reason = "fine\n::error::no\x1b[2J"
    assert main(["baseline", "save", "old", "--name", "shipped", "--reason", reason]) == 0
    capsys.readouterr()

    for arguments in (["list"], ["history"], ["show", "shipped"]):
        assert main(["baseline", *arguments]) == 0
        shown = capsys.readouterr().out
        assert r"fine⏎::error::no\x1b[2J" in shown
        assert "\x1b" not in shown
