"""
``harness run``: what is asked, judged and stored.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main

from .conftest import COUNT, answers, run, save


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


def test_steps_to_the_first_gate_name_the_next(project: Path, capsys: pytest.CaptureFixture[str]):
    def following(*command: str) -> list[str]:
        capsys.readouterr()
        assert 0 == main([*command])
        return [line for line in capsys.readouterr().out.splitlines() if "next:" in line]

    rows = "".join(json.dumps(row) + "\n" for row in answers())
    (project / "old.jsonl").write_text(rows)
    asked = ("run", "ask", "--checkpoint", "replay:old.jsonl", "--out")

    assert ["next: `harness baseline save old --name NAME`"] == following(*asked, "old")
    assert [] == following(*asked, "part", "--limit", "3")
    assert [] == following(*asked, "brief", "--quiet")
    assert ["next: run a candidate, then `harness gate RUN --baseline v1`"] == following(
        "baseline", "save", "old", "--name", "v1"
    )
    assert [] == following(*asked, "new")
    assert [] == following("baseline", "save", "new", "--name", "v2")


def test_a_run_in_which_every_case_broke_judged_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(project, "new", answers(errors=COUNT)) == 2
    assert "nothing was judged" in capsys.readouterr().err


@pytest.mark.parametrize("message", [{"role": "user", "content": "x"}, {"error": "overloaded"}, {}])
def test_what_is_not_an_answer_is_refused_and_never_judged(
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


@pytest.mark.parametrize(
    ("words", "asked", "selection"),
    [
        (["--case", "c7", "--case", "c3"], ["c3", "c7"], {"cases": ["c7", "c3"]}),
        (
            ["-k", "c11 and not odd"],
            ["c110", "c112", "c114", "c116", "c118"],
            {"expression": "c11 and not odd"},
        ),
        (
            ["--tags", "!even", "--limit", "2"],
            ["c1", "c3"],
            {"tags": ["!even"], "limit": 2},
        ),
        (["--failed", "first"], ["c0", "c1"], {"failed": "first"}),
        (["--failed", "shipped"], ["c0", "c1"], {"failed": "shipped"}),
        (["--failed", "first", "--tags", "odd"], ["c1"], {"failed": "first", "tags": ["odd"]}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_some_of_the_cases_are_asked_and_the_run_says_which(
    project: Path, words: list[str], asked: list[str], selection: dict[str, Any]
):
    run(project, "first", answers(wrong=2))
    save("first")

    assert 0 == run(project, "part", answers(), *words)

    record = json.loads((project / "part" / "run.json").read_text("utf-8"))
    assert asked == [case["id"] for case in record["cases"]]
    assert {"limit": None, "tags": [], "complete": False} | selection == record["selection"]


def test_a_sample_is_stratified_by_tag_and_drawn_by_its_seed(project: Path):
    drawn = {}
    for name, seed in (("one", "0"), ("two", "0"), ("three", "1")):
        assert 0 == run(project, name, answers(), "--sample", "10", "--sample-seed", seed)
        record = json.loads((project / name / "run.json").read_text("utf-8"))
        assert {"size": 10, "seed": int(seed)} == record["selection"]["sample"]
        assert not record["selection"]["complete"]
        drawn[name] = [case["id"] for case in record["cases"]]
        assert 5 == sum("even" in case["tags"] for case in record["cases"])

    assert drawn["one"] == drawn["two"] != drawn["three"]


def test_a_choice_of_every_case_is_a_complete_run(project: Path):
    assert 0 == run(project, "all", answers(), "-k", "c", "--sample", "500")

    assert json.loads((project / "all" / "run.json").read_text("utf-8"))["selection"]["complete"]


def test_a_part_of_a_suite_says_how_it_was_chosen_and_never_passes(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "first", answers(wrong=2))
    save("first")
    words = ["-k", "not c99", "--case", "c0", "--failed", "first", "--sample", "9"]
    run(project, "part", answers(), *words)
    capsys.readouterr()

    assert 0 == main(["report", "part"])
    said = capsys.readouterr().out
    assert (
        "1 case, not the whole suite, by id, by -k not c99, that failed in first, a sample of 9 "
        "(seed 0)"
    ) in " ".join(said.split())
    assert 0 == main(["gate", "part", "--baseline", "shipped", "-q"])
    assert capsys.readouterr().out.startswith("inconclusive after")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--failed", "good"], "no case failed in good: there is nothing to ask again"),
        (["--failed", "godo"], "'godo' is neither a run folder nor a baseline"),
        (["--case", "c1200"], "no case 'c1200'; did you mean 'c"),
        (["-k", "c1 and"], "column 7: expected a word"),
        (["--tags", "evn"], "no case tagged evn; did you mean 'even'?"),
        (["--sample", "0"], "'0' is not a whole number of at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_choice_that_cannot_be_made_is_an_error_and_nothing_is_begun(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    run(project, "good", answers())
    capsys.readouterr()

    assert 2 == run(project, "part", answers(), *words)

    assert said in capsys.readouterr().err
    assert not (project / "part").exists()


def test_an_interrupted_run_names_its_folder_and_is_continued_as_it_says(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    """
    Without ``--out`` nobody else knows the folder.
    """
    (project / "once.py").write_text(
        "from pathlib import Path\n"
        "def model(messages, tools):\n"
        '    if "matter 3." in messages[-1]["content"] and not Path("calm").exists():\n'
        '        Path("calm").touch()\n'
        "        raise KeyboardInterrupt\n"
        '    return {"role": "assistant", "content": "Yes."}\n'
    )
    asked = ["run", "ask", "--checkpoint", "python:once:model"]

    assert 130 == main(asked)
    (said,) = [
        line for line in capsys.readouterr().err.splitlines() if "unfinished; the same" in line
    ]
    folder, _, rest = said.partition(": unfinished; the same command with ")

    assert 0 == main([*asked, *rest.removesuffix(" continues it").split()])
    assert (Path(folder) / "run.json").is_file()
    assert f"resuming {folder}: 3 answers are there" in capsys.readouterr().err


def test_a_complete_run_resumed_is_shown_and_that_is_said(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    assert 0 == run(project, "one", answers(wrong=3))
    before = (project / "one" / "run.json").read_bytes()
    resume = ["run", "ask", "--checkpoint", "replay:one.jsonl", "--out", "one", "--resume"]
    capsys.readouterr()

    assert 0 == main(resume)
    printed, aside = capsys.readouterr()
    assert "one: complete already, nothing to resume" in aside
    assert "run: one" in printed
    assert "97.5%" in printed
    assert before == (project / "one" / "run.json").read_bytes()


def test_a_complete_run_made_otherwise_is_not_taken_for_the_one_resumed(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "one", answers())
    capsys.readouterr()
    resume = ["run", "ask", "--checkpoint", "replay:one.jsonl", "--out", "one", "--resume"]

    assert 2 == main([*resume, "--max-new-tokens", "9"])
    assert (
        "harness: one already holds a complete run, made with another generation; choose another "
        "--out\n"
    ) == capsys.readouterr().err
    assert 2 == main([*resume, "--repeats", "2"])
    assert "made with another number of repeats" in capsys.readouterr().err
