"""
Tools under the names an API allows: exact both ways, in what is asked, judged and recorded.
"""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends.base import Generation, Request
from harness.cli.main import main
from harness.comparison.compare import compare
from harness.dialects.hermes import HERMES
from harness.errors import UsageError
from harness.messages import ToolCall
from harness.runs.rescore import rejudge
from harness.runs.runner import request
from harness.scoring.score import judge
from harness.scoring.tool_names import shown_case, shown_suite, taken_back
from harness.suites.parse import parse_suite
from harness.suites.suite import Case, Suite
from harness.transcript import Key, Transcript
from harness.workflow import run as workflow
from harness.workflow import score as rescoring
from harness.workflow.options import Progress, RunOptions
from harness.workflow.project import open_project

DOTS = "dots-to-underscores"
TODAY = date(2026, 11, 22)


def tool(name: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"x": {"type": "integer"}}}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def suite(*names: str, **case: Any) -> Suite:
    expect = {"calls": [{"tool": names[0], "arguments": {"x": 1}}]}
    asked = {"id": "c", "prompt": "?", "expect": expect, **case}
    return parse_suite(
        {
            "format": 1,
            "name": "s",
            "version": "1.0.0",
            "tools": [tool(name) for name in names],
            "cases": [asked],
        },
        "s",
    )


def answered(case: Case, *calls: tuple[str, int], style: str | None = DOTS) -> Any:
    """
    Judge an answer that holds *calls* in Hermes tags.
    """
    output = HERMES.render([ToolCall(name=name, arguments={"x": x}) for name, x in calls])
    transcript = Transcript(key=Key(case.id), output=output)
    return judge([case], {transcript.key: transcript}, HERMES, style)[0]


def test_a_model_is_shown_names_without_dots():
    asked = suite("m.a", "b")
    (case,) = shown_suite(asked, DOTS).cases

    assert ["m_a", "b"] == [tool.name for tool in case.tools]
    assert ["m_a", "b"] == [tool.schema["function"]["name"] for tool in case.tools]
    assert asked.cases[0].digest == case.digest


def test_a_history_is_shown_with_the_same_names():
    call = {"type": "function", "function": {"name": "m.a", "arguments": {"x": 1}}}
    turns = [
        {
            "expect": {"calls": [{"tool": "m.a", "arguments": {}}]},
            "then": [
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "name": "m.a", "content": "1"},
            ],
        },
        {"expect": {"abstain": True}},
    ]
    document = dict(suite("m.a").document)
    document["cases"] = [{"id": "c", "prompt": "?", "turns": turns}]
    shown = shown_suite(parse_suite(document, "s"), DOTS)

    sent = request(shown, shown.cases[0], Key("c", 0, 1))

    assert ["m_a"] == [tool.name for tool in sent.tools]
    assert "m_a" == sent.messages[1].tool_calls[0].name
    assert "m_a" == sent.messages[2].name


def test_calls_are_taken_back_to_the_real_names():
    result = answered(suite("m.a", "b.c").cases[0], ("m_a", 1), ("b_c", 2))

    assert ["m.a", "b.c"] == [call["tool"] for call in result.turns[0].calls]
    assert (("m.a", "m.a"),) == result.turns[0].pairs
    assert ["other_tool"] == [f.kind for f in result.turns[0].findings]


@pytest.mark.parametrize("name", ["m.a", "m_b", "M_a", "m__a"])
def test_a_name_that_was_not_shown_is_undeclared(name: str):
    """
    The real name, too: nobody told the model, and no client that forbids dots would find it.
    """
    result = answered(suite("m.a").cases[0], (name, 1))

    assert ["undeclared_tool"] == [finding.code for finding in result.turns[0].findings]
    assert [name] == [call["tool"] for call in result.turns[0].calls]
    assert (("m.a", "(undeclared)"),) == result.turns[0].pairs


def test_without_the_style_names_are_as_they_are():
    case = suite("m.a").cases[0]

    assert "correct" == answered(case, ("m.a", 1), style=None).status
    assert "incorrect" == answered(case, ("m_a", 1), style=None).status
    assert shown_case(case, None) is case


def test_forbidden_tools_are_forbidden_under_the_shown_name():
    expect = {"calls": [{"tool": "a"}], "extra_calls": "allow", "forbid": ["m.b"]}
    result = answered(suite("a", "m.b", expect=expect).cases[0], ("a", 1), ("m_b", 1))

    assert ["forbidden_tool"] == [finding.code for finding in result.turns[0].findings]


def test_a_collision_is_an_error_that_names_both():
    with pytest.raises(UsageError, match=r"case 'c'.*both 'a\.b' and 'a_b' as 'a_b'"):
        shown_suite(suite("a.b", "a_b"), DOTS)


def test_tools_of_different_cases_do_not_collide():
    document = dict(suite("a.b").document)
    document["tools"] = []
    document["cases"] = [
        {"id": name, "prompt": "?", "tools": [tool(name)], "expect": {"abstain": True}}
        for name in ("a.b", "a_b")
    ]

    assert 2 == len(shown_suite(parse_suite(document, "s"), DOTS).cases)


def test_an_unknown_style_is_an_error():
    with pytest.raises(UsageError, match="unknown style of tool names 'camel'; choose from dots"):
        shown_suite(suite("a"), "camel")


@given(st.lists(st.text("ab._", min_size=1, max_size=4), min_size=1, max_size=4, unique=True))
def test_every_shown_name_leads_back_to_its_own_tool(names: list[str]):
    case = suite(*names).cases[0]
    shown = {name.replace(".", "_") for name in names}
    if len(shown) < len(names):
        with pytest.raises(UsageError):
            shown_case(case, DOTS)
        return
    for name, exposed in zip(names, shown_case(case, DOTS).tools, strict=True):
        result = answered(case, (exposed.name, 1))
        assert name == result.turns[0].calls[0]["tool"]
        assert (result.status == "correct") == (name == names[0])
        assert taken_back(result, case, None) is result


# In runs.


class Recording:
    """
    A backend that keeps what it was asked and calls the first tool it was shown.
    """

    def __init__(self) -> None:
        from harness.checkpoints.checkpoint import Checkpoint

        self.asked: list[Request] = []
        self.checkpoint = Checkpoint(reference="python:x:y", dialect="hermes", dialect_version=1)

    def describe(self) -> dict[str, Any]:
        return {
            "name": "recording",
            "dtype": None,
            "device": None,
            "batch": None,
            "attention": None,
        }

    def answer(self, requests: Any, generation: Generation) -> Any:
        self.asked += requests
        for each in requests:
            output = HERMES.render([ToolCall(name=each.tools[0].name, arguments={"x": 1})])
            yield [Transcript(key=each.key, output=output)]


def run(folder: Path, style: str | None) -> Any:
    backend, project = Recording(), open_project(folder)
    plan = workflow.RunPlan.of(
        suite("m.a"), RunOptions(tool_names=style), project=project, out=folder / f"run-{style}"
    )
    stored = workflow.run_opened(plan, backend, Progress())  # type: ignore[arg-type]
    return stored, backend


def test_a_run_asks_and_judges_in_the_style_and_records_it(tmp_path: Path):
    stored, backend = run(tmp_path, DOTS)

    assert ["m_a"] == [tool.name for tool in backend.asked[0].tools]
    assert "correct" == stored.record.cases[0].status
    assert DOTS == stored.record.backend.tool_names
    assert {"m.a": {"m.a": 1}} == stored.record.confusion


def test_a_run_without_the_style_records_nothing_of_it(tmp_path: Path):
    stored, backend = run(tmp_path, None)

    assert ["m.a"] == [tool.name for tool in backend.asked[0].tools]
    assert "tool_names" not in stored.record.backend.to_json()


def test_judging_again_keeps_the_style(tmp_path: Path):
    stored, _ = run(tmp_path, DOTS)

    assert "correct" == rejudge(stored).record.cases[0].status
    folder = tmp_path / "suites" / "s"
    folder.mkdir(parents=True)
    (folder / "suite.yaml").write_text(json.dumps(suite("m.a").document))
    again = rescoring.score(
        stored.folder,
        "s",
        project=open_project(tmp_path),
        out=tmp_path / "again",
        today=TODAY,
    )
    assert "correct" == again.record.cases[0].status
    assert DOTS == again.record.backend.tool_names


def test_runs_that_differ_in_the_style_are_not_comparable(tmp_path: Path):
    plain, styled = run(tmp_path, None)[0], run(tmp_path, DOTS)[0]

    assert [("backend.tool_names", "not_comparable")] == [
        (difference.field, difference.effect)
        for difference in compare(plain.record, styled.record).differences
    ]


@pytest.mark.parametrize("style", [[], ["--tool-names", DOTS]])
def test_the_commands_take_it(style: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "suite.yaml").write_text(json.dumps(suite("m.a").document))
    output = HERMES.render([ToolCall(name="m_a", arguments={"x": 1})])
    (tmp_path / "t.jsonl").write_text(json.dumps({"case": "c", "output": output}) + "\n")
    asked = ["--dialect", "hermes", "--quiet", *style]
    replay = f"replay:{tmp_path / 't.jsonl'}"
    statuses = []
    for number, command in enumerate(
        (
            ["run", str(folder), "--checkpoint", replay],
            ["score", str(tmp_path / "t.jsonl"), "--suite", str(folder)],
        )
    ):
        out = tmp_path / f"out{number}"
        assert 0 == main([*command, *asked, "--out", str(out)])
        statuses.append(json.loads((out / "run.json").read_text())["cases"][0]["status"])

    assert ["correct" if style else "incorrect"] * 2 == statuses
