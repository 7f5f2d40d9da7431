"""
``harness compare``: checkpoints side by side.
"""

from pathlib import Path

import pytest

from harness.cli.main import main

from .conftest import answers, run


def test_compare_shows_any_number_side_by_side(project: Path, capsys: pytest.CaptureFixture[str]):
    for name, wrong in (("one", 0), ("two", 5), ("three", 9)):
        run(project, name, answers(wrong=wrong))
    capsys.readouterr()
    assert main(["compare", "one", "two", "three"]) == 0
    text = capsys.readouterr().out

    for name in ("one", "two", "three"):
        assert name in text
    assert "100.0%" in text
    assert "92.5%" in text


def test_runs_without_a_common_case_exit_3_and_that_is_said_first(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "one", answers(), "--tags", "even")
    run(project, "two", answers(), "--tags", "odd")
    capsys.readouterr()

    assert 3 == main(["compare", "one", "two"])
    said = capsys.readouterr().out.splitlines()
    nothing = "not comparable: the runs have no case in common (equal id, repeat and digest)"
    assert ["two checkpoints compared", "", nothing] == said[:3]

    run(project, "three", answers())
    capsys.readouterr()
    assert 3 == main(["compare", "one", "three", "two"])
    said = capsys.readouterr().out.splitlines()
    assert ["checkpoints side by side", "", nothing] == said[:3]
    assert 0 == main(["compare", "one", "three"])
