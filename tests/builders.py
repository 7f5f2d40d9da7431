"""
Small cases, answers and records for tests: what a test does not speak of has a plain default.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from harness.backends.base import Generation
from harness.canonical import digest
from harness.checkpoints.checkpoint import Checkpoint
from harness.constraints.constraint import compile_constraint
from harness.dialects.base import Attempt, Reading
from harness.messages import Message, Tool, ToolCall
from harness.provenance import Environment
from harness.runs.record import Digests, RunRecord, Selection, SuiteReference, with_interval
from harness.runs.serving import Serving
from harness.scoring.breakdowns import confusion
from harness.scoring.cases import score_case
from harness.scoring.metrics import measure
from harness.scoring.results import CaseResult, Execution, Finding, TurnResult
from harness.suites.suite import (
    Abstention,
    Calls,
    Case,
    Expectation,
    ExpectedCall,
    Quarantine,
    Suite,
    Turn,
)
from harness.transcript import Key, Timing, Transcript


def tool(name: str, /, **properties: Any) -> Tool:
    """
    Make a tool that declares *properties*, none of them required, each with its schema.
    """
    return Tool.from_schema(
        {"name": name, "parameters": {"type": "object", "properties": properties}}
    )


A, B, C = (tool(name, x={}, y={}) for name in "ABC")
TOOLS = (A, B, C)


def attempt(name: str, /, **arguments: Any) -> Attempt:
    """
    Make a readable call.
    """
    return Attempt(name=name, arguments=arguments, raw=f"<{name}>", start=0)


def malformed(name: str | None = None) -> Attempt:
    """
    Make a closed attempt that cannot be read.
    """
    return Attempt(name=name, arguments=None, raw="<?>", start=0, problem="no JSON")


def unfinished(name: str | None = None) -> Attempt:
    """
    Make an attempt inside which the output ends.
    """
    return Attempt(
        name=name, arguments=None, raw="<", start=0, problem="ends early", unfinished=True
    )


def answer(*attempts: Attempt, text: str = "", repairs: Sequence[str] = ()) -> Reading:
    """
    Make what a dialect reads in one answer.
    """
    return Reading(attempts=attempts, text=text, repairs=tuple(repairs))


def expect(name: str, /, other_arguments: str = "declared", **arguments: Any) -> ExpectedCall:
    """
    Make an expected call; *arguments* are constraints as written in a suite.
    """
    return ExpectedCall(
        tool=name,
        arguments={key: compile_constraint(spec) for key, spec in arguments.items()},
        other_arguments=other_arguments,  # type: ignore[arg-type]
    )


def calls(*wanted: ExpectedCall | str, **settings: Any) -> Calls:
    """
    Make an expectation of calls; a bare name means a call of that tool.
    """
    return Calls(
        calls=tuple(expect(call) if isinstance(call, str) else call for call in wanted), **settings
    )


def abstain(text: Any = None) -> Abstention:
    """
    Make an expectation of no call.
    """
    return Abstention(text=None if text is None else compile_constraint(text))


def turn(*alternatives: Calls | Abstention, after_result: bool = False) -> Turn:
    """
    Make one turn; with *after_result* the conversation ends in a tool's result.
    """
    messages: tuple[Message, ...] = (Message(role="user", content="?"),)
    if after_result:
        call = ToolCall(name="A", arguments={})
        messages += (
            Message(role="assistant", tool_calls=(call,)),
            Message(role="tool", content="42", name="A"),
        )
    return Turn(messages=messages, expectation=Expectation(alternatives=alternatives))


def case(
    *turns: Turn | Calls | Abstention,
    id: str = "c1",
    tools: Sequence[Tool] = TOOLS,
    quarantined: bool = False,
    **fields: Any,
) -> Case:
    """
    Make a case; a bare expectation means a turn of its own.
    """
    return Case(
        id=id,
        turns=tuple(part if isinstance(part, Turn) else turn(part) for part in turns),
        tools=tuple(tools),
        digest=digest(id),
        quarantine=Quarantine(reason="flaky", until=date(2030, 1, 1)) if quarantined else None,
        **fields,
    )


def transcript(
    output: str | None = "",
    *,
    key: Key | str = "c1",
    timing: tuple[float, float | None] | None = None,
    **fields: Any,
) -> Transcript:
    """
    Make a transcript of raw text; *timing* is latency and time to first token.
    """
    return Transcript(
        key=Key(key) if isinstance(key, str) else key,
        output=output,
        timing=Timing(latency_ms=timing[0], ttft_ms=timing[1]) if timing else None,
        **fields,
    )


def judge(
    asked: Case,
    *answers: Reading | tuple[Reading, Reading] | None,
    repeat: int = 0,
    **fields: Any,
) -> CaseResult:
    """
    Judge one answer a turn: a reading, a strict and a lenient one, or None for one that broke.

    *fields* go onto every transcript.
    """
    read = {
        str(index): given if isinstance(given, tuple) else (given, given)
        for index, given in enumerate(answers)
        if given is not None
    }
    given = [
        transcript(str(index), **fields)
        if str(index) in read
        else transcript(None, error="the server went away")
        for index in range(len(answers))
    ]
    return score_case(asked, given, lambda made, _: read[made.output or ""], repeat=repeat)


def executed(id: str = "c1", *, turn: TurnResult | None = None, **fields: Any) -> CaseResult:
    """
    Make the result of an executed case that came to *fields* of `Execution`.
    """
    plain: dict[str, Any] = {
        "stop": "answered",
        "steps": (),
        "findings": (),
        "called": True,
        "said": True,
    }
    answered = TurnResult(
        expects="either",
        follows_result=False,
        calls=(),
        findings=(),
        status="correct",
        status_lenient="correct",
    )
    return CaseResult(
        id=id,
        repeat=0,
        digest=digest(id),
        group=None,
        tags=(),
        must_pass=False,
        quarantined=False,
        forbids_extra_calls=True,
        turns=(turn or answered,),
        executed=Execution(**{**plain, **fields}),
    )


def finding(code: str, detail: str = "?") -> Finding:
    """
    Make a finding.
    """
    return Finding(code=code, detail=detail)


def judge_turn(
    expected: Turn | Calls | Abstention, *attempts: Attempt, tools: Sequence[Tool] = TOOLS
) -> TurnResult:
    """
    Judge one answer that holds *attempts* and no text.
    """
    return judge(case(expected, tools=tools), answer(*attempts)).turns[0]


def codes(result: TurnResult) -> list[str]:
    """
    Return the codes of a turn's findings, sorted, with an extra call's kind after a colon.
    """
    return sorted(f.code if f.kind is None else f"{f.code}:{f.kind}" for f in result.findings)


def suite(*cases: Case, **fields: Any) -> Suite:
    """
    Make a suite of *cases*.
    """
    plain: dict[str, Any] = {
        "name": "toy",
        "version": "1.0.0",
        "digest": digest("toy"),
        "tools": TOOLS,
        "text": '{"name":"toy"}',
        "generation": {},
    }
    return Suite(cases=cases, **{**plain, **fields})


def record(*cases: CaseResult, **changes: Any) -> RunRecord:
    """
    Make a run's record, measured over *cases*.
    """
    made = RunRecord(
        harness_version="0.1.0",
        scorer_version=1,
        suite=SuiteReference(name="toy", version="1.0.0", digest=digest("toy")),
        selection=Selection(),
        checkpoint=Checkpoint(
            reference="replay:answers.jsonl", dialect="hermes", dialect_version=1
        ),
        backend=Serving(name="replay"),
        generation=Generation(),
        environment=Environment(python="3.11.0"),
        metrics={name: with_interval(name, found) for name, found in measure(cases).items()},
        confusion=confusion(cases),
        cases=cases,
        started="2026-03-04T10:00:00+00:00",
        finished="2026-03-04T10:01:00+00:00",
        digests=Digests(suite=digest("suite"), transcripts=digest("transcripts")),
    )
    return replace(made, **changes)


INSIDE_OUTSIDE = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"The tool {name}.",
            "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
        },
    }
    for name in ("inside", "outside")
]
"""Two tools as a suite's file writes them."""


def question(name: str, /, *, q: str | None = None, **more: Any) -> dict[str, Any]:
    """
    Make a case as a suite's file writes it, which expects a call of the tool inside with *q*.
    """
    call = {"tool": "inside", "arguments": {"q": q or name}}
    return {"id": name, "prompt": f"Ask about {name}.", "expect": {"calls": [call]}, **more}


def write_suite(
    root: Path, cases: Iterable[Mapping[str, Any]], *, name: str = "ask", **settings: Any
) -> None:
    """
    Write a suite of the project at *root*, with the tools inside and outside.
    """
    folder = root / "suites" / name
    folder.mkdir(parents=True, exist_ok=True)
    suite = {"format": 1, "name": name, "version": "1.0.0", "tools": INSIDE_OUTSIDE}
    (folder / "suite.yaml").write_text(json.dumps({**suite, "cases": "cases.jsonl", **settings}))
    (folder / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
