"""
How much a command shows: what decides, everything with -v, the last line alone with -q.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main

from ..builders import question, write_suite
from .conftest import answers, run, save

CASES = [f"a-case-with-quite-a-long-name-{number:02}" for number in range(24)]
AFTER = r"after \d+\.\d s, exit"


@pytest.fixture
def small(project: Path) -> Path:
    """
    A suite of 24 cases, each of which has to pass, two baselines and a run that fails them all.
    """
    cases = [question(name, must_pass=True, tags=["plain"]) for name in CASES]
    write_suite(project, cases, name="small")
    for name in ("good", "better"):
        ask(project, name, [("inside", {"q": case}) for case in CASES])
        assert 0 == main(["baseline", "save", name, "--name", name])
    long = "a wrong value that takes more than a line of any terminal to show " * 4
    ask(project, "bad", [("inside", {"q": long, "r": 1}), ("elsewhere", {})] * 12)
    (project / "gate.toml").write_text(
        'anchor = "better"\n[limits]\naccuracy = "-3pp"\nsecond_call_rate = "+0pp"\n'
        'schema_violation_rate = "+1pp"\nundeclared_tool_rate = "+1pp"\ntool_accuracy = "-1pp"\n'
        'output_tokens_p50 = "+10%"\n[slices.plain]\naccuracy = "-3pp"\n'
    )
    return project


def ask(project: Path, name: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    rows = [
        {
            "case": case,
            "output_tokens": len(str(given)),
            "output": "<tool_call>\n"
            + json.dumps({"name": tool, "arguments": given})
            + "\n</tool_call>",
        }
        for case, (tool, given) in zip(CASES, calls, strict=True)
    ]
    (project / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--checkpoint", f"replay:{name}.jsonl", "--dialect", "hermes", "--out", name]
    assert 0 == main(["run", "small", *words])


def test_a_gate_says_what_decides_in_40_lines(small: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()

    assert 1 == main(["gate", "bad", "--baseline", "good"])

    lines = capsys.readouterr().out.splitlines()
    text = "\n".join(lines)
    assert 40 >= len(lines)
    assert all(100 >= len(line) for line in lines)
    assert lines[2].startswith("regressed: ")
    for title in ("Metrics that moved", "Must pass and did not (24)", "Broken (24)"):
        assert title in lines
    assert re.search(rf"^  {CASES[0]}  incorrect, must pass: \w+: ", text, re.MULTILINE)
    assert 1 == sum(line.startswith(f"  {CASES[0]}") for line in lines)
    assert "  All of them must pass: listed above." in lines
    assert re.search(r"^  … and \d+ more$", text, re.MULTILINE)
    assert "-v also shows: " in text
    assert "Confusion matrix" not in lines


def test_a_run_says_what_it_found_in_40_lines(small: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    words = ["--checkpoint", "replay:bad.jsonl", "--dialect", "hermes", "--out", "again"]

    assert 0 == main(["run", "small", *words])

    lines = capsys.readouterr().out.splitlines()
    assert 40 >= len(lines)
    assert "24 incorrect" in lines
    assert "Not correct (24 answers)" in lines
    assert "run: again" == lines[-2]
    assert re.fullmatch(rf"accuracy 0\.0% {AFTER} 0", lines[-1])


@pytest.mark.parametrize("words", [["compare", "good", "bad"], ["report", "bad"]])
def test_a_report_is_shown_in_40_lines(
    small: Path, capsys: pytest.CaptureFixture[str], words: list[str]
):
    capsys.readouterr()

    assert 0 == main(words)

    assert 40 >= len(capsys.readouterr().out.splitlines())


def test_only_metrics_that_moved_are_listed(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=10))
    capsys.readouterr()

    assert 1 == main(["gate", "new", "--baseline", "shipped"])

    lines = [line.split("  ")[1] for line in capsys.readouterr().out.splitlines() if "  " in line]
    assert {"accuracy", "right tool"} <= set(lines)
    assert not {"second calls", "malformed calls", "no call"} & set(lines)


def test_a_pass_lists_no_case_and_counts_the_fixed(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers(wrong=30))
    save("old")
    run(project, "new", answers())
    capsys.readouterr()

    assert 0 == main(["gate", "new", "--baseline", "shipped"])

    said = capsys.readouterr().out
    assert "Broken" not in said
    assert "-v also shows: " in said
    assert "30 fixed cases" in said


@pytest.mark.parametrize(
    ("words", "code", "outcome"),
    [
        (["gate", "new", "--baseline", "shipped"], 1, "regressed"),
        (["gate", "old", "--baseline", "shipped"], 0, "pass"),
        (["compare", "old", "new"], 0, "10 cases broken, 0 fixed"),
        (["report", "new"], 0, r"accuracy 91\.7%"),
    ],
)
def test_the_last_line_repeats_outcome_time_and_exit_code(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, outcome: str
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=10))
    last = rf"{outcome} {AFTER} {code}"
    shown = {}
    for flag in ("--verbose", "-v", "", "-q", "--quiet"):
        capsys.readouterr()
        assert code == main([*words, *filter(None, [flag])])
        shown[flag] = capsys.readouterr().out.splitlines()
        assert re.fullmatch(last, shown[flag][-1])
        assert "" == "".join(shown[flag][-2:-1])

    assert 1 == len(shown["-q"]) == len(shown["--quiet"])
    assert len(shown[""]) < len(shown["-v"]) == len(shown["--verbose"])
    assert any("Statuses" in line for line in shown["-v"])

    assert code == main([*words, "--json", "-"])
    printed, aside = capsys.readouterr()
    assert isinstance(json.loads(printed), dict)
    assert re.fullmatch(last, aside.rstrip("\n"))


def test_a_quiet_run_says_where_it_is_and_what_it_came_to(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    capsys.readouterr()

    run(project, "one", answers(wrong=6))

    where, last = capsys.readouterr().out.splitlines()
    assert "run: one" == where
    assert re.fullmatch(rf"accuracy 95\.0% {AFTER} 0", last)


def test_more_and_less_at_once_is_an_error(capsys: pytest.CaptureFixture[str]):
    assert 2 == main(["gate", "new", "--baseline", "shipped", "-v", "-q"])

    assert "not allowed with argument" in capsys.readouterr().err
