"""
``harness baseline``: what was accepted, and how it is shown.
"""

import json
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


def test_baselines_are_listed_and_shown_to_programs(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers(wrong=12))
    save("old")
    capsys.readouterr()

    assert 0 == main(["baseline", "list", "--json", "-"])
    (found,) = json.loads(capsys.readouterr().out)
    assert found.pop("saved")
    assert {
        "baseline": "ask/shipped",
        "suite_version": "1.0.0",
        "checkpoint": "replay:old.jsonl",
        "accuracy": 0.9,
        "reason": "a test",
    } == found

    assert 0 == main(["baseline", "show", "shipped", "--json", "-"])
    found = json.loads(capsys.readouterr().out)
    assert 120 == len(found["run"]["cases"])
    assert ["a test"] == [each["reason"] for each in found["history"]]
    assert 0 == main(["baseline", "list", "--root", "suites", "--json", "-"])
    assert [] == json.loads(capsys.readouterr().out)


def test_a_baseline_is_shown_in_short_or_whole(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "old", answers(wrong=12))
    save("old")
    shown = {}
    for flag in ([], ["-v"]):
        capsys.readouterr()
        assert 0 == main(["baseline", "show", "shipped", *flag])
        shown[len(flag)] = capsys.readouterr().out

    assert "Confusion matrix" not in shown[0]
    assert "Confusion matrix" in shown[1]
    assert all("from old: a test" in text for text in shown.values())
