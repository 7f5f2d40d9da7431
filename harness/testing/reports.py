"""
Reports to render: one run, a comparison with and without a verdict, three runs side by side.

Everything in them is small and has a plain default, so they serve for tests of one's own as well.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from harness.backends.base import Generation, Stability
from harness.canonical import digest
from harness.checkpoints.checkpoint import Checkpoint
from harness.comparison.compare import compare
from harness.comparison.stack import PARTS, Lost, StackCost
from harness.gating.gate import gate
from harness.gating.policy import default_policy, read_policy
from harness.gating.ranking import rank
from harness.gating.release import Entrant, gate_release
from harness.provenance import Environment
from harness.reports.report import Report, RunView
from harness.runs.record import RunRecord, Selection, SuiteReference, with_interval
from harness.runs.serving import Serving
from harness.scoring.breakdowns import confusion
from harness.scoring.metrics import measure
from harness.scoring.results import CaseResult, Finding, Status, TurnResult
from harness.transcript import Key

SHA = "sha256:" + "a" * 64


def turn(status: Status = "correct", *findings: Finding, **fields: Any) -> TurnResult:
    """
    Return one judged answer that calls *tool*; any field of `TurnResult` may be given.
    """
    tool = fields.pop("tool", "search_kb")
    return TurnResult(
        **{
            "expects": "calls",
            "follows_result": False,
            "calls": ({"tool": tool, "arguments": {"query": "leave"}},),
            "findings": findings,
            "status": status,
            "status_lenient": status,
            "pairs": (("search_kb", tool),),
            "output_tokens": 21,
            **fields,
        }
    )


def case(name: str, *turns: TurnResult, **fields: Any) -> CaseResult:
    """
    Return one judged case, of one correct turn unless others are given.
    """
    return CaseResult(
        **{
            "id": name,
            "repeat": 0,
            "digest": digest(name),
            "group": None,
            "tags": ("internal",),
            "must_pass": False,
            "quarantined": False,
            "forbids_extra_calls": True,
            "turns": turns or (turn(),),
            **fields,
        }
    )


def record(cases: Sequence[CaseResult], **fields: Any) -> RunRecord:
    """
    Return the record of a run that gave *cases*.
    """
    return RunRecord(
        **{
            "harness_version": "0.1.0",
            "scorer_version": 1,
            "suite": SuiteReference(name="routing", version="1.0.0", digest=SHA),
            "selection": Selection(),
            "checkpoint": Checkpoint(
                reference="hf:org/name",
                weights=digest([case.status for case in cases]),
                tokenizer=SHA,
                template=SHA,
                dialect="hermes",
                dialect_version=1,
            ),
            "backend": Serving(name="transformers", dtype="float32"),
            "generation": Generation(),
            "environment": Environment(hardware={"cpu": "one"}),
            "metrics": {name: with_interval(name, found) for name, found in measure(cases).items()},
            "confusion": confusion(cases),
            "cases": tuple(cases),
            "started": "2026-11-20T10:00:00Z",
            "finished": "2026-11-20T10:01:00Z",
            **fields,
        }
    )


def view(
    name: str, cases: Sequence[CaseResult], answers: Mapping[str, str] | None = None, **fields: Any
) -> RunView:
    """
    Return a run with the prompts and answers of its cases.
    """
    return RunView(
        name=name,
        record=record(cases, **fields),
        prompts={each.id: f"prompt of {each.id}" for each in cases},
        answers={
            Key(each.id, each.repeat, index): (answers or {}).get(each.id, f"answer to {each.id}")
            for each in cases
            for index, _ in enumerate(each.turns)
            if each.status != "error"
        },
        errors={
            Key(each.id, each.repeat): "out of memory" for each in cases if each.status == "error"
        },
    )


WRONG = turn("incorrect", Finding(code="wrong_tool", detail="expected search_kb"), tool="google")
SECOND = turn("incorrect", Finding(code="extra_call", detail="further", kind="duplicate"))
MALFORMED = turn("malformed", Finding(code="malformed_call", detail="no JSON"), calls=())
ERROR = turn("error", calls=(), pairs=(), output_tokens=None)


def old_cases() -> list[CaseResult]:
    """
    Return the cases of a baseline: 30 correct ones and three that matter for pairing.
    """
    good = [case(f"c{number:02}") for number in range(30)]
    return [*good, case("fixed", WRONG), case("asleep", WRONG, quarantined=True), case("gone")]


def new_cases() -> list[CaseResult]:
    """
    Return the cases of a candidate that gets some wrong in every way there is.
    """
    cases = [each for each in old_cases() if each.id not in ("gone", "fixed")]
    changes: dict[str, dict[str, Any]] = {
        **{f"c{number:02}": {"turns": (WRONG,)} for number in range(8)},
        "c08": {"turns": (SECOND,)},
        "c09": {"turns": (MALFORMED,)},
        "c10": {"turns": (ERROR,)},
        "c11": {"turns": (WRONG,), "must_pass": True},
        "c12": {"digest": SHA},
    }
    kept = [replace(each, **changes.get(each.id, {})) for each in cases]
    return [*kept, case("fixed"), case("new")]


def gated(old: RunView, new: RunView, title: str = "the gate") -> Report:
    """
    Return the report on a gate by the default policy.
    """
    comparison = compare(old.record, new.record)
    verdict = gate(default_policy(), comparison, date(2026, 11, 22))
    return Report(title=title, runs=(old, new), comparison=comparison, verdict=verdict)


def anchored() -> Report:
    """
    A gate against the last release, with a limit for a slice, and against an anchor before it.
    """
    policy = read_policy(
        '[limits]\naccuracy = "-3pp"\n[slices.plain]\naccuracy = "-5pp"',
        "gate.toml",
    )
    tagged = [replace(each, tags=("plain",)) for each in new_cases()]
    old, new = view("v9", tagged), view("candidate", tagged)
    today, pinned = date(2026, 11, 22), record(old_cases())
    last = compare(old.record, new.record)
    verdict = gate(policy, last, today, baseline="v9").with_anchor(
        gate(policy, compare(pinned, new.record), today, baseline="v1")
    )
    return Report(title="two gates", runs=(old, new), comparison=last, verdict=verdict)


def released() -> Report:
    """
    One verdict on three suites: one that regressed, one that passed and an advisory one.
    """
    policy = read_policy(
        '[limits]\naccuracy = "-3pp"\n[suites.other]\ntier = "advisory"\n[suites.gone]',
        "gate.toml",
    )
    parts, entrants = {}, {}
    for name, old, new in (
        ("bad", old_cases(), new_cases()),
        ("good", old_cases(), old_cases()),
        ("other", old_cases(), new_cases()),
    ):
        suite = SuiteReference(name=name, version="1.0.0", digest=SHA)
        was, now = view("main", old, suite=suite), view("candidate", new, suite=suite)
        comparison = compare(was.record, now.record)
        entrants[name] = Entrant(comparison=comparison, baseline="main")
        parts[name] = (was, now, comparison)
    release = gate_release(policy, entrants, date(2026, 11, 22))
    return Report(
        title="4 suites",
        runs=tuple(now for _, now, _ in parts.values()),
        release=release,
        parts=tuple(
            Report(
                title=name,
                runs=(was, now),
                comparison=comparison,
                verdict=release.suites[name].verdict,
            )
            for name, (was, now, comparison) in parts.items()
        ),
    )


def ranked(*runs: RunView) -> Report:
    """
    Return the report on *runs* in their order.
    """
    ranking = rank([run.record for run in runs])
    return Report(
        title="in order", runs=tuple(runs[place.run] for place in ranking.places), ranking=ranking
    )


def stacked() -> Report:
    """
    What a serving stack costs that lost answers by each of its parts.
    """
    raw, chat = view("raw", old_cases()), view("chat", new_cases())
    lost = [
        Lost(key=Key(f"c{number:02}"), by=part, why="the prompt is another", ours="a", theirs="b")
        for number, part in zip(range(8), itertools.cycle(PARTS))
    ]
    cost = StackCost(
        both_right=20,
        both_wrong=1,
        gained=(Key("fixed"),),
        lost=tuple(lost),
        left_out=1,
        cures=dict.fromkeys(PARTS, "start it otherwise"),
        stability=Stability(asked=10, differing=2),
        findings=("context: the longest case is read whole: 40 tokens",),
    )
    comparison = compare(raw.record, chat.record)
    return Report(title="a stack", runs=(raw, chat), comparison=comparison, stack=cost)


REPORTS: dict[str, Callable[[], Report]] = {
    "run": lambda: Report(title="a run", runs=(view("candidate", new_cases()),)),
    "gate": lambda: gated(view("main", old_cases()), view("candidate", new_cases())),
    "anchored gate": anchored,
    "comparison": lambda: replace(REPORTS["gate"](), title="a comparison", verdict=None),
    "side by side": lambda: Report(
        title="three runs",
        runs=(
            view("one", old_cases()),
            view("two", new_cases()),
            view("three", [case("c00", turn("truncated", calls=()))]),
        ),
    ),
    "ranked": lambda: ranked(
        view("one", new_cases()), view("two", old_cases()), view("three", new_cases())
    ),
    "stack": stacked,
    "release": released,
    "empty": lambda: Report(title="nothing", runs=(view("empty", []),)),
    "empty gate": lambda: gated(view("nothing", []), view("still nothing", [])),
}


def hostile_reports(text: str) -> list[Report]:
    """
    Return reports with one text wherever a model, a suite or a command line can put it.
    """
    bad = turn(
        "incorrect",
        Finding(code="extra_call", detail=text, kind="other_tool"),
        Finding(code=text, detail=text),
        calls=({"tool": text, "arguments": {text: text}},),
        pairs=(("search_kb", text), (text, "(none)")),
        finish_reason=text,
    )
    good = turn(calls=({"tool": text, "arguments": {text: [text]}},), pairs=((text, text),))
    names = [f"{text}{number}" for number in range(4)]
    settings: dict[str, Any] = {
        "suite": SuiteReference(name=text, version=text, digest=SHA),
        "selection": Selection(tags=(text,), complete=False, limit=3),
        "backend": Serving(name=text, dtype=text, device=text, tool_names=text, extra={text: text}),
        "generation": Generation(max_new_tokens=1, extra={text: text}),
        "environment": Environment(
            python=text,
            packages={"transformers": text, text: text},
            hardware={"cpu": text, "system": text, "accelerators": [text], text: text},
            commit=text,
            extra={text: text},
        ),
        "finished": text,
    }

    def run(name: str, first: TurnResult, second: TurnResult, **fields: Any) -> RunView:
        cases = [
            case(names[0], first, tags=(text,), group=text, must_pass=True),
            case(names[1], second, tags=(text,)),
            case(names[2], ERROR, quarantined=True),
            case(names[3] + name, bad),
            case(f"error {text}", ERROR),
        ]
        made = view(name, cases, {each.id: text for each in cases}, **fields)
        return replace(
            made,
            prompts={each.id: text for each in cases},
            errors=dict.fromkeys(made.errors, text),
        )

    old, new = run(f"old {text}", good, bad), run(f"new {text}", bad, good, **settings)
    report = gated(old, new, title=text)
    lost = Lost(key=Key(names[0]), by="template", why="another prompt", ours=text, theirs=text)
    cost = StackCost(
        both_right=1,
        both_wrong=0,
        gained=(Key(names[1]),),
        lost=(lost,),
        left_out=2,
        cures={"template": text},
        findings=(text,),
    )
    return [
        report,
        replace(report, verdict=None, stack=cost),
        Report(title=text, runs=(new,)),
        Report(title=text, runs=(old, new, old)),
    ]
