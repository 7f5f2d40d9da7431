"""
``harness gate`` of several suites: one run of each, one verdict. ``harness run`` of several.
"""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from harness.cli.main import main

from ..builders import question, write_suite
from .conftest import answers

SUITES = ("first", "second", "third")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in SUITES:
        write_suite(
            tmp_path,
            [question(f"c{k}", q=f"{k}", prompt=f"{name}: ask about {k}.") for k in range(120)],
            name=name,
        )
    monkeypatch.chdir(tmp_path)
    for name in SUITES:
        make("old", name)
        save = ["baseline", "save", f"old/{name}", "--name", "shipped", "--reason", "a test"]
        assert 0 == main(save)
    return tmp_path


def make(out: str, suite: str, **wrong: int) -> None:
    file = Path(f"{out}-{suite}.jsonl")
    file.write_text("".join(json.dumps(row) + "\n" for row in answers(**wrong)))
    folder = f"{out}/{suite}"
    asked = ["run", suite, "--checkpoint", f"replay:{file}", "--out", folder, "--quiet"]
    assert 0 == main(asked)


def candidate(**wrong: int) -> None:
    """
    Make a run of each suite, of which the second has so many wrong answers.
    """
    for name in SUITES:
        make("new", name, **(wrong if name == "second" else {}))


def gated(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["gate", *arguments, "--baseline", "shipped", "--json", "-"])
    return code, json.loads(capsys.readouterr().out)


def test_one_run_of_each_suite_gives_one_verdict(project: Path, capsys: pytest.CaptureFixture[str]):
    candidate(wrong=12)
    code, found = gated(capsys, "new")

    assert (1, 1, "regressed") == (code, found["exit"], found["verdict"])
    assert {"second": "regressed", "first": "pass", "third": "pass"} == {
        name: each["verdict"] for name, each in found["suites"].items()
    }
    assert ["first", "second", "third"] == sorted(
        each["suite"] for each in found["suites"].values()
    )
    assert found["reasons"][0].startswith("second: accuracy fell from 100.0% to 90.0%")
    assert (code, found) == gated(capsys, *(f"new/{name}" for name in SUITES))


def test_equal_runs_pass(project: Path, capsys: pytest.CaptureFixture[str]):
    candidate()
    capsys.readouterr()

    assert 0 == main(["gate", "new", "--baseline", "shipped"])
    shown = capsys.readouterr().out
    assert "pass: 3 required suites passed: first, second, third" in shown
    assert shown.splitlines()[-1].startswith("pass after ")
    assert shown.index("required suites passed") < shown.index("tier") < shown.index("100.0%")


def test_an_advisory_suite_does_not_block(project: Path, capsys: pytest.CaptureFixture[str]):
    candidate(wrong=12)
    Path("gate.toml").write_text('[suites.second]\ntier = "advisory"\n')
    code, found = gated(capsys, "new")

    assert (0, "pass") == (code, found["verdict"])
    assert "regressed" == found["suites"]["second"]["verdict"]


def test_a_required_suite_without_a_run_is_not_comparable(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    candidate()
    Path("gate.toml").write_text("[suites.second]\n[suites.fourth]\n")
    code, found = gated(capsys, "new")

    assert (3, "not_comparable") == (code, found["verdict"])
    assert "fourth: no run of this suite, which the policy names" == found["reasons"][0]
    code, found = gated(capsys, "new/first")
    assert (3, "not_comparable") == (code, found["verdict"])


def test_a_policy_that_names_one_suite_gates_its_run_as_ever(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    candidate(wrong=12)
    Path("gate.toml").write_text('[suites.second.limits]\naccuracy = "-30pp"\n')
    code, found = gated(capsys, "new/second")

    assert (0, "pass") == (code, found["verdict"])
    assert "suites" not in found
    assert "second" == found["suite"]
    assert "-30pp" == found["metrics"]["accuracy"]["limit"]


def test_two_runs_of_one_suite_are_no_release(project: Path, capsys: pytest.CaptureFixture[str]):
    candidate()
    capsys.readouterr()

    assert 2 == main(["gate", "new/first", "old/first", "--baseline", "shipped"])
    assert "are both runs of suite first: a release has one run of each" in capsys.readouterr().err


def test_a_suite_without_the_baseline_is_an_error(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    candidate()
    capsys.readouterr()
    assert 0 == main(["baseline", "rm", "third/shipped"])
    capsys.readouterr()

    assert 2 == main(["gate", "new", "--baseline", "shipped"])
    assert "suite third has no baseline 'shipped'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[suites.a]\ntier = "gold"\n', 'suites.a.tier: \'gold\' is not "required" or "advisory"'),
        ("[suites.a]\nlimit = 1\n", "[suites.a]: unknown key 'limit'; did you mean 'limits'?"),
        ('[suites.a.limits]\naccuracu = "-3pp"\n', "[suites.a.limits]: unknown metric 'accuracu'"),
        ('[suites.a.limits]\naccuracy = "3"\n', "suites.a.limits.accuracy: '3' is not a limit"),
        ("[suites.a.limits]\n", "suites.a.limits"),
        ('[suites."a b".slices.x]\naccuracy = "+0pp"\n', 'suites."a b".slices.x.accuracy'),
    ],
)
def test_a_mistake_in_a_suites_table_is_named(
    text: str, said: str, project: Path, capsys: pytest.CaptureFixture[str]
):
    Path("gate.toml").write_text(text)
    capsys.readouterr()

    assert 2 == main(["gate", "old/first", "--baseline", "shipped"])
    error = capsys.readouterr().err
    assert all(part in error for part in said.split(": "))


def test_every_form_begins_with_the_suites(project: Path, capsys: pytest.CaptureFixture[str]):
    candidate(wrong=12)
    forms = ("--markdown", "r.md", "--html", "r.html", "--junit", "r.xml", "--json", "r.json")
    capsys.readouterr()

    assert 1 == main(["gate", "new", "--baseline", "shipped", *forms])
    for file in ("r.md", "r.html"):
        text = Path(file).read_text("utf-8")
        assert "second: accuracy fell from 100.0% to 90.0%" in text
        assert text.index("required") < text.index("c11")
    root = ElementTree.parse("r.xml").getroot()
    assert ["release", "second (second)", "first (first)", "third (third)"] == [
        suite.get("name") for suite in root
    ]
    assert "regressed" == root[0][0][0].get("type")
    assert 'id="data"' not in Path("r.html").read_text("utf-8")


def test_explain_says_which_rule_decided_in_each_suite(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    candidate(wrong=12)
    capsys.readouterr()
    main(["gate", "new", "--baseline", "shipped", "--explain"])
    shown = capsys.readouterr().out

    assert "  suite second (required)" in shown
    assert "adjusted for 3 suites by Holm" in shown


def test_a_checkpoint_is_opened_once_for_all_suites(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from harness.workflow import spread as workflow

    opened: list[str] = []
    real = workflow.open_backend

    def counting(reference: str, *arguments: Any) -> Any:
        opened.append(reference)
        return real(reference, *arguments)

    monkeypatch.setattr(workflow, "open_backend", counting)
    Path("model.py").write_text("def answer(messages, tools):\n    return 'nothing'\n")
    monkeypatch.syspath_prepend(project)
    reference = "python:model:answer"

    asked = ["run", "--all", "--checkpoint", reference, "--out", "all", "--quiet"]
    assert 0 == main([*asked, "--dialect", "hermes"])
    assert [reference] == opened
    assert ["first", "second", "third"] == sorted(each.name for each in Path("all").iterdir())
    assert 0 == main(["run", "first", "third", *asked[2:-2], "two", "--quiet", "--dialect=hermes"])
    assert 2 == len(opened)
    assert ["first", "third"] == sorted(each.name for each in Path("two").iterdir())


def test_names_and_all_exclude_each_other(project: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()

    assert 2 == main(["run", "first", "--all", "--checkpoint", "replay:x.jsonl"])
    assert "--all runs every suite: leave out 'first', or --all" in capsys.readouterr().err
    assert 2 == main(["run", "--checkpoint", "replay:x.jsonl"])
    assert "no suite to run: name one, or use --all" in capsys.readouterr().err
    assert 2 == main(["run", "first", "first", "--checkpoint", "replay:old-first.jsonl"])
    assert "suite first is named twice" in capsys.readouterr().err
