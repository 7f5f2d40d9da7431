"""
``harness compare``: checkpoints side by side.
"""

import json
import re
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.runs.store import StoredRun, load_run

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


@pytest.mark.parametrize("names", [("one", "two"), ("one", "two", "three"), ("one", "one")])
def test_each_run_is_read_once(
    project: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
):
    for name in dict.fromkeys(names):
        run(project, name, answers())
    read: list[Path] = []

    def noted(folder: Path) -> StoredRun:
        read.append(folder)
        return load_run(folder)

    monkeypatch.setattr("harness.workflow.project.load_run", noted)

    assert 0 == main(["compare", *names])

    assert [*map(Path, dict.fromkeys(names))] == read


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


def test_more_than_two_are_ordered_and_those_not_told_apart_are_marked(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    for name, wrong in (("poor", 40), ("fair", 3), ("good", 0), ("fine", 2)):
        run(project, name, answers(wrong=wrong))
    capsys.readouterr()

    assert 0 == main(["compare", "poor", "fair", "good", "fine"])

    lines = capsys.readouterr().out.splitlines()
    assert "no clear best: good is not told apart from fine, fair" in lines
    rows = [re.split(r" {2,}", line.strip()) for line in lines if re.match(r"\d  ", line)]
    assert [
        ["1", "good", "100.0% (120/120)", "2, 3", "–"],
        ["2", "fine", "98.3% (118/120)", "1, 3", "–"],
        ["3", "fair", "97.5% (117/120)", "1, 2", "–"],
        ["4", "poor", "66.7% (80/120)", "–", "–"],
    ] == rows
    assert lines[-1].startswith("no clear best: good, fine, fair after ")


def test_what_must_pass_and_failed_is_named_for_each(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    cases = project / "suites" / "ask" / "cases.jsonl"
    lines = cases.read_text("utf-8").splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), "must_pass": True})
    cases.write_text("\n".join(lines) + "\n", "utf-8")
    for name, wrong in (("one", 0), ("two", 1), ("three", 60)):
        run(project, name, answers(wrong=wrong))
    capsys.readouterr()

    assert 0 == main(["compare", "one", "two", "three"])
    shown = capsys.readouterr().out.splitlines()
    assert ["–", "–", "c1"] == [line.split()[-1] for line in shown if re.match(r"\d  ", line)]

    assert 0 == main(["compare", "one", "two", "three", "--json", "-"])
    found = json.loads(capsys.readouterr().out)
    assert ["one", "two", "three"] == [each["name"] for each in found["runs"]]
    places = found["ranking"]["places"]
    assert [[], [], ["c1"]] == [place["must_pass_failed"] for place in places]
    assert [[1], [0], []] == [place["not_told_apart_from"] for place in places]
    assert 3 == len(found["ranking"]["tests"])

    assert 0 == main(["compare", "one", "two", "three", "--markdown", "-"])
    assert "| 3 | `three` |" in capsys.readouterr().out


def test_one_that_was_asked_otherwise_or_in_part_is_said_to_be(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "one", answers())
    run(project, "two", answers(wrong=2), "--max-new-tokens", "9")
    run(project, "three", answers(wrong=3), "--limit", "50")
    capsys.readouterr()

    assert 0 == main(["compare", "one", "two", "three"])

    said = capsys.readouterr().out
    assert (
        "- not comparable: two was made otherwise than the first: generation.max_new_tokens\n"
        in said
    )
    assert "- three answered only a part of its suite\n" in said
    assert "Counted over 50 answers that all runs have." in said


@pytest.mark.parametrize("folder", ["old", "./old", "old/run.json"])
def test_a_baseline_may_be_given_as_the_folder_of_a_run(
    project: Path, capsys: pytest.CaptureFixture[str], folder: str
):
    run(project, "old", answers())
    run(project, "new", answers(wrong=20))
    capsys.readouterr()

    assert 1 == main(["gate", "new", "--baseline", folder])
    assert "Old: old, new: new." in capsys.readouterr().out
    assert 0 == main(["gate", "old", "--baseline", folder, "--anchor", folder])
    assert 0 == main(["explain", "new", "c1", "--baseline", folder])


def test_a_baseline_is_preferred_to_a_folder_of_its_name(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "fine", answers())
    assert 0 == main(["baseline", "save", "fine", "--name", "v1"])
    run(project, "v1", answers(wrong=60))
    capsys.readouterr()

    assert 1 == main(["gate", "v1", "--baseline", "v1"])
    assert 0 == main(["gate", "v1", "--baseline", "./v1"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (0, "0 cases broken, 0 fixed: the paired test does not tell them apart (p 1)."),
        (2, "2 cases broken, 0 fixed: the paired test does not tell them apart (p 0.25)."),
        (9, "9 cases broken, 0 fixed: the paired test tells them apart (p 0.002)."),
    ],
)
def test_of_two_runs_it_is_said_whether_they_can_be_told_apart(
    project: Path, capsys: pytest.CaptureFixture[str], wrong: int, said: str
):
    """
    Of nothing to 2 or 9 answers, mid-p both ways: 2 * 2^-3 and 2 * 2^-10.
    """
    run(project, "one", answers())
    run(project, "two", answers(wrong=wrong))
    capsys.readouterr()

    assert 0 == main(["compare", "one", "two"])

    assert said in capsys.readouterr().out.splitlines()
