"""
``harness run``: what is asked, judged and stored.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main

from .conftest import COUNT, answers, run


def test_the_same_run_twice_is_the_same_bytes_but_for_times(project: Path):
    for name in ("one", "two"):
        rows = answers(wrong=3)
        (project / "same.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        run_it = ["run", "ask", "--checkpoint", "replay:same.jsonl", "--out", name, "--quiet"]
        assert main(run_it) == 0
    one, two = (
        [
            line
            for line in (project / name / "run.json").read_text("utf-8").splitlines()
            if not line.startswith(('"started"', '"finished"'))
        ]
        for name in ("one", "two")
    )

    assert one == two


def test_a_line_for_an_unknown_case_is_an_error_by_name(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    rows = [*answers(), {"case": "c999", "output": "x"}]

    assert run(project, "new", rows, "--dialect", "hermes") == 2
    error = capsys.readouterr().err
    assert "new.jsonl:121" in error
    assert "c999" in error


def test_a_run_in_which_every_case_broke_judged_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(project, "new", answers(errors=COUNT)) == 2
    assert "nothing was judged" in capsys.readouterr().err


@pytest.mark.parametrize("message", [{"role": "user", "content": "x"}, {"error": "overloaded"}, {}])
def test_what_is_no_answer_is_refused_and_never_judged(
    project: Path, capsys: pytest.CaptureFixture[str], message: dict[str, Any]
):
    rows = answers()
    rows[4] = {"case": "c4", "message": message}

    assert run(project, "new", rows) == 2
    assert "new.jsonl:5" in capsys.readouterr().err


def test_lines_nobody_asked_for_are_said(project: Path, capsys: pytest.CaptureFixture[str]):
    rows = [{**row, "repeat": repeat} for row in answers() for repeat in range(2)]
    (project / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["run", "ask", "--checkpoint", "replay:two.jsonl", "--out", "new"]) == 0

    assert f"{COUNT} lines" in capsys.readouterr().err


def test_a_case_without_a_line_is_an_error_result_not_a_wrong_one(project: Path):
    assert run(project, "new", answers()[:-1]) == 0
    cases = json.loads((project / "new" / "run.json").read_text("utf-8"))["cases"]

    assert ["error"] == [case["status"] for case in cases if case["id"] == f"c{COUNT - 1}"]


def test_a_replay_is_not_timed_and_nothing_is_begun(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(project, "new", answers(), "--latency") == 2
    assert "a replay cannot be timed" in capsys.readouterr().err
    assert not (project / "new").exists()
