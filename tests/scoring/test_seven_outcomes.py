"""
Seven ways one question can go are told apart, whatever the format the answer is written in.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.dialects.registry import dialect
from harness.messages import ToolCall
from harness.runs.store import load_run
from harness.scoring.results import CaseResult

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": purpose,
            "parameters": {
                "type": "object",
                "properties": {"query": {"type": "string"}},
                "required": ["query"],
            },
        },
    }
    for name, purpose in (("search_kb", "Search documents."), ("search_web", "Search the web."))
]
RIGHT = ToolCall(name="search_kb", arguments={"query": "vacation days"})
OTHER = ToolCall(name="search_web", arguments={"query": "vacation days"})

OUTCOMES = [
    "right",
    "second_call",
    "unfinished_second_call",
    "wrong_tool",
    "refusal",
    "broken",
    "infrastructure",
]

# In text formats: where a rendered call is cut so that it stays open, what breaks it while closed.
CLOSERS = {"hermes": "</tool_call>", "functiongemma": "<end_function_call>"}
STOPS = {"hermes": "<|im_end|>", "functiongemma": "<start_function_response>"}
BROKEN = {
    "hermes": ('"arguments"', "'arguments'"),
    "functiongemma": ("{query:<escape>", "{query:"),
}


def text_answers(name: str) -> dict[str, dict[str, Any]]:
    render = dialect(name).render
    right, other = render([RIGHT]), render([OTHER])
    unfinished = right.removesuffix(STOPS[name]) + "\n" + other.split(CLOSERS[name])[0]
    return {
        "right": {"output": right},
        "second_call": {"output": render([RIGHT, OTHER])},
        "unfinished_second_call": {"output": unfinished, "finish_reason": "length"},
        "wrong_tool": {"output": other},
        "refusal": {"output": "I cannot assist with that." + STOPS[name]},
        "broken": {"output": right.replace(*BROKEN[name])},
        "infrastructure": {"error": "HTTP 500"},
    }


def native_answers() -> dict[str, dict[str, Any]]:
    def call(function: ToolCall, arguments: str | None = None) -> dict[str, Any]:
        text = json.dumps(function.arguments) if arguments is None else arguments
        return {"type": "function", "function": {"name": function.name, "arguments": text}}

    def message(*calls: dict[str, Any], content: str | None = None) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": content, "tool_calls": list(calls)}}

    return {
        "right": message(call(RIGHT)),
        "second_call": message(call(RIGHT), call(OTHER)),
        "unfinished_second_call": message(call(RIGHT), call(OTHER, '{"query": "vac'))
        | {"finish_reason": "length"},
        "wrong_tool": message(call(OTHER)),
        "refusal": message(content="I cannot assist with that."),
        "broken": message(call(RIGHT, "{'query': vacation}")),
        "infrastructure": {"error": "HTTP 500"},
    }


def judged(tmp_path: Path, name: str) -> dict[str, CaseResult]:
    suite = tmp_path / "suites" / "seven"
    suite.mkdir(parents=True)
    cases = [
        {
            "id": outcome,
            "prompt": f"How many vacation days do I have left? ({outcome})",
            "expect": {
                "calls": [
                    {"tool": "search_kb", "arguments": {"query": {"contains_any": ["vacation"]}}}
                ]
            },
        }
        for outcome in OUTCOMES
    ]
    (suite / "suite.yaml").write_text(
        json.dumps({"format": 1, "name": "seven", "version": "1.0.0", "tools": TOOLS})[:-1]
        + ', "cases": "cases.jsonl"}'
    )
    (suite / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    answers = native_answers() if name == "native" else text_answers(name)
    replay = tmp_path / "replay.jsonl"
    replay.write_text(
        "".join(json.dumps({"case": case, **answer}) + "\n" for case, answer in answers.items())
    )
    out = tmp_path / "run"
    reference = f"replay:{replay}"
    arguments = ["run", "seven", "--checkpoint", reference, "--root", str(tmp_path), "--quiet"]
    assert 0 == main([*arguments, "--out", str(out), "--dialect", name])
    return {case.id: case for case in load_run(out).record.cases}


@pytest.mark.parametrize("name", ["hermes", "functiongemma", "native"])
def test_seven_outcomes_are_told_apart(tmp_path: Path, name: str):
    cases = judged(tmp_path, name)
    outcomes = {
        identity: (
            case.status,
            frozenset((finding.code, finding.kind) for finding in case.turns[0].findings)
            - {("repaired", None)},
        )
        for identity, case in cases.items()
    }

    assert outcomes == {
        "right": ("correct", frozenset()),
        "second_call": ("incorrect", {("extra_call", "other_tool")}),
        "unfinished_second_call": (
            "truncated",
            {("unfinished_call", None), ("extra_call", "unfinished")},
        ),
        "wrong_tool": ("incorrect", {("wrong_tool", None)}),
        "refusal": ("incorrect", {("no_call", None)}),
        "broken": ("malformed", {("malformed_call", None)}),
        "infrastructure": ("error", frozenset()),
    }
    assert len(set(outcomes.values())) == len(OUTCOMES)


@pytest.mark.parametrize("name", ["hermes", "functiongemma", "native"])
def test_second_calls_are_counted_apart_from_wrong_tools(tmp_path: Path, name: str):
    judged(tmp_path, name)
    metrics = load_run(tmp_path / "run").record.metrics

    assert (metrics["second_call_rate"].hits, metrics["second_call_rate"].eligible) == (2, 6)
    assert (metrics["accuracy"].hits, metrics["accuracy"].eligible) == (1, 6)
    assert metrics["no_call_rate"].hits == 1
    assert metrics["malformed_rate"].hits == 1
