"""
A run of a variant held against a run of the suite it was made of, case by case.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.suites.files import load_suite
from harness.workflow.project import open_project

from ..builders import question, write_suite

COUNT = 120


def answers(name: str, wrong: int, inside: str = "inside", outside: str = "outside") -> str:
    """
    Write answers to every case, the first *wrong* of them by the wrong tool.
    """
    rows = []
    for number in range(COUNT):
        call = {"name": outside if number < wrong else inside, "arguments": {"q": f"c{number}"}}
        message = {"tool_calls": [{"type": "function", "function": call}]}
        rows.append({"case": f"c{number}", "message": message})
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"replay:{name}.jsonl"


def run(suite: str, name: str, **made: Any) -> None:
    asked = ["--checkpoint", answers(name, **made), "--out", name, "--quiet"]
    assert 0 == main(["run", suite, *asked])


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A suite, a run of it that is the baseline shipped, and variants of it.
    """
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, [question(f"c{number}") for number in range(COUNT)])
    run("ask", "good", wrong=0)
    assert 0 == main(["baseline", "save", "good", "--name", "shipped"])
    return tmp_path


def vary(*words: str) -> None:
    assert 0 == main(["suite", "vary", "ask", *words])


def verdict(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["gate", *arguments, "--json", "-"])
    return code, json.loads(capsys.readouterr().out)


def test_the_loss_by_another_order_of_tools_is_the_paired_difference_of_the_cases(
    capsys: pytest.CaptureFixture[str],
):
    vary("--tools", "shuffled")
    run("ask-shuffled", "moved", wrong=18)

    code, found = verdict(capsys, "moved", "--baseline", "ask/shipped")

    assert (1, "regressed") == (code, found["verdict"])
    assert COUNT == found["metrics"]["accuracy"]["pairs"]
    assert -0.15 == pytest.approx(found["metrics"]["accuracy"]["delta"])
    assert [f"c{number}" for number in range(18)] == sorted(
        found["broken"], key=lambda name: int(name[1:])
    )
    assert ([], [], []) == (found["added"], found["removed"], found["changed"])
    fields = {each["field"]: each for each in found["differences"]}
    assert "tools shuffled, seed 0" == fields["suite.variant"]["new"]
    assert "suite.name" not in fields


def test_a_variant_in_which_nothing_is_lost_passes(capsys: pytest.CaptureFixture[str]):
    vary("--tools", "renamed")
    suite = load_suite(Path("suites/ask-renamed"))
    inside = suite.cases[0].turns[0].expectation.alternatives[0].calls[0].tool
    (outside,) = {tool.name for tool in suite.tools} - {inside}
    run("ask-renamed", "moved", wrong=0, inside=inside, outside=outside)

    code, found = verdict(capsys, "moved", "--baseline", "ask/shipped")

    assert (0, "pass") == (code, found["verdict"])


def test_two_variants_of_one_suite_are_compared_with_each_other(
    capsys: pytest.CaptureFixture[str],
):
    vary("--prompt", "polite")
    vary("--prompt", "typos")
    run("ask-polite", "polite", wrong=1)
    run("ask-typos", "typos", wrong=20)

    code, found = verdict(capsys, "typos", "--baseline", "polite")

    assert (1, COUNT) == (code, found["metrics"]["accuracy"]["pairs"])
    assert 0 == main(["compare", "good", "polite", "typos"])


def test_a_case_of_the_suite_that_was_changed_since_is_listed_as_changed(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    write_suite(
        project,
        [question(f"c{number}", q="other" if number == 7 else None) for number in range(COUNT)],
        version="1.0.1",
    )
    vary("--prompt", "polite")
    run("ask-polite", "polite", wrong=0)

    _, found = verdict(capsys, "polite", "--baseline", "ask/shipped")

    assert (["c7"], COUNT - 1) == (found["changed"], found["metrics"]["accuracy"]["pairs"])


def test_a_report_tells_the_answers_to_one_case_beside_each_other(
    capsys: pytest.CaptureFixture[str],
):
    vary("--prompt", "polite")
    run("ask-polite", "polite", wrong=3)

    assert 0 == main(["gate", "polite", "--baseline", "ask/shipped", "--html", "gate.html", "-v"])

    assert "suite.variant" in capsys.readouterr().out
    assert "asked differently" not in Path("gate.html").read_text("utf-8")


def test_a_variant_of_another_suite_is_not_comparable(capsys: pytest.CaptureFixture[str]):
    write_suite(Path(), [question(f"c{number}") for number in range(COUNT)], name="other")
    assert 0 == main(["suite", "vary", "other", "--prompt", "polite"])
    run("other-polite", "polite", wrong=0)

    code, found = verdict(capsys, "polite", "--baseline", "ask/shipped")

    assert (3, "not_comparable") == (code, found["verdict"])


def test_a_variant_checks_as_a_suite_and_says_what_comes_next(
    capsys: pytest.CaptureFixture[str],
):
    vary("--tools", "distractors", "2", "--prompt", "lower")

    assert (
        "made suites/ask-distractors-2-lower: 120 cases, 120 of them altered\n"
        "next: `harness run suites/ask-distractors-2-lower --checkpoint REF --out RUN`, then "
        "`harness gate RUN --baseline ask/NAME`\n"
    ) == capsys.readouterr().out
    assert 4 == len(load_suite(open_project().suite("ask-distractors-2-lower")).tools)
    assert 2 == main(["suite", "vary", "ask", "--tools", "distractors", "2", "--prompt", "lower"])
    assert "already exists" in capsys.readouterr().err


def test_the_environment_of_an_executed_suite_goes_with_it(capsys: pytest.CaptureFixture[str]):
    folder = Path("suites/desk")
    folder.mkdir()
    search = {"name": "search", "parameters": {"properties": {"query": {"type": "string"}}}}
    suite = {
        "format": 1,
        "name": "desk",
        "version": "1.0.0",
        "tools": [search, {"name": "close"}],
        "environment": {
            "kind": "documents",
            "tool": "search",
            "corpus": "corpus.jsonl",
            "fixed": {"close": "Closed."},
        },
        "cases": [{"id": "c1", "prompt": "How much leave do I have?", "relevant": {"a": 1}}],
    }
    (folder / "suite.yaml").write_text(json.dumps(suite), "utf-8")
    (folder / "corpus.jsonl").write_text('{"id": "a", "text": "25 days of leave."}\n', "utf-8")

    assert 0 == main(["suite", "vary", "desk", "--tools", "shuffled"])
    varied, whole = load_suite(Path("suites/desk-shuffled")), load_suite(folder)
    assert varied.environment == whole.environment
    assert ["close", "search"] == [tool.name for tool in varied.cases[0].tools]
    for words in (["renamed"], ["distractors", "3"]):
        assert 2 == main(["suite", "vary", "desk", "--tools", *words])
        assert "names its tools in its environment" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["distractors"], ["distractors", "0"], ["distractors", "many"], ["sorted"]]
)
def test_a_way_that_is_not_known_is_an_error(capsys: pytest.CaptureFixture[str], words: list[str]):
    assert 2 == main(["suite", "vary", "ask", "--tools", *words])

    assert (
        f"harness: --tools {' '.join(words)}: write shuffled, renamed, or distractors and how "
        "many\n"
    ) == capsys.readouterr().err
    assert 2 == main(["suite", "vary", "ask"])
