"""
Judge one case's transcripts against its expectation.

Judged: which tools were called, how often, in which order if it matters, with which arguments;
whether each call fits the schema its tool declares; whether the model abstained where it should.
Not judged: the wording of an answer (except by a text constraint), side effects of tools, and
anything left unanswered by an infrastructure failure: that is an error, never a pass or a fail.

Calls are paired with expected calls optimally, not greedily: fewest wrong tools first, then fewest
wrong arguments, then least displacement; where order is strict, with or without crossing, whichever
leaves fewer findings. One exception is strict: where further calls are forbidden
and the first calls do not have the expected tools, whatever follows is extra. Wanted A, answered
[B, A] is a wrong tool and an extra call, not a right call after a needless one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.canonical import canonical_json
from harness.constraints.keywords import json_equal
from harness.dialects.base import Attempt, Reading
from harness.messages import Tool
from harness.scoring.matching import assign, assign_in_order
from harness.scoring.results import TOOL_FAULTS, WARNINGS, CaseResult, Finding, Status, TurnResult
from harness.scoring.tool_schema import violations
from harness.suites.suite import Abstention, Calls, Case, ExpectedCall, Turn
from harness.transcript import Transcript

SCORER_VERSION = 6
"""Incremented whenever the same text may be judged differently: stored runs are then judged
again."""

NONE, UNDECLARED, MALFORMED, UNFINISHED = "(none)", "(undeclared)", "(malformed)", "(unfinished)"
"""Entries of a confusion matrix besides tools; no tool can have such a name."""

Read = Callable[[Transcript, Sequence[Tool]], tuple[Reading, Reading]]
"""Reads one transcript strictly and leniently."""

_DETAIL_LIMIT = 240
# Pairing costs, so far apart that no sum of one kind reaches the next.
_TOOL, _ARGUMENT = 10**9, 10**4


@dataclass(frozen=True, slots=True)
class _Judgement:
    """
    One reading judged against one alternative.
    """

    findings: tuple[Finding, ...]
    pairs: tuple[tuple[str, str], ...]

    @property
    def faults(self) -> int:
        return sum(finding.code not in WARNINGS for finding in self.findings)

    @property
    def tool_faults(self) -> int:
        return sum(finding.code in TOOL_FAULTS for finding in self.findings)

    @property
    def status(self) -> Status:
        if not self.findings:
            return "correct"
        codes = {finding.code for finding in self.findings}
        if "unfinished_call" in codes:
            return "truncated"
        if "malformed_call" in codes:
            return "malformed"
        return "incorrect" if codes - WARNINGS else "correct"


Known = dict[tuple[Any, ...], TurnResult]
"""What was judged of an answer to a turn of a case with a digest."""


def score_case(
    case: Case,
    transcripts: Sequence[Transcript | None],
    read: Read,
    *,
    repeat: int = 0,
    known: Known | None = None,
) -> CaseResult:
    """
    Judge one repeat of *case*: *transcripts* has one entry per turn, None where there is no answer.

    An answer that is *known*, an equal one to an equal case, is not judged again.
    """
    return CaseResult(
        id=case.id,
        repeat=repeat,
        digest=case.digest,
        group=case.group,
        tags=case.tags,
        must_pass=case.must_pass,
        quarantined=not case.counts,
        forbids_extra_calls=all(
            turn.expectation.forbids_extra_calls
            for turn in case.turns
            if turn.expectation.expects == "calls"
        ),
        turns=tuple(
            score_turn(turn, case.tools, transcript, read)
            if known is None or transcript is None or transcript.output is None
            else _once(known, case, place, transcript, read)
            for place, (turn, transcript) in enumerate(zip(case.turns, transcripts, strict=True))
        ),
    )


def _once(known: Known, case: Case, place: int, transcript: Transcript, read: Read) -> TurnResult:
    said = transcript.output, transcript.opened, transcript.finish_reason
    key = (case.digest, place, *said)
    if (judged := known.get(key)) is None:
        judged = known[key] = score_turn(case.turns[place], case.tools, transcript, read)
    timing = transcript.timing
    return replace(
        judged,
        output_tokens=transcript.output_tokens,
        latency_ms=timing.latency_ms if timing else None,
        ttft_ms=timing.ttft_ms if timing else None,
        margin=transcript.margin,
    )


def score_turn(
    turn: Turn, tools: Sequence[Tool], transcript: Transcript | None, read: Read
) -> TurnResult:
    """
    Judge one answer. A missing or failed transcript has status error and no findings.
    """
    if transcript is None or transcript.error is not None:
        return TurnResult(
            expects=turn.expectation.expects,
            follows_result=turn.follows_result,
            calls=(),
            findings=(),
            status="error",
            status_lenient="error",
        )
    strict, lenient = read(transcript, tools)
    judged = _judge(turn, tools, strict)
    findings = judged.findings
    status_lenient = judged.status
    if lenient.repairs:
        status_lenient = _judge(turn, tools, lenient).status
        findings += (Finding(code="repaired", detail=_cut("; ".join(lenient.repairs))),)
    timing = transcript.timing
    return TurnResult(
        expects=turn.expectation.expects,
        follows_result=turn.follows_result,
        calls=tuple(
            {"tool": attempt.name, "arguments": dict(attempt.arguments or {})}
            for attempt in strict.attempts
            if attempt.readable
        ),
        findings=findings,
        status=judged.status,
        status_lenient=status_lenient,
        pairs=judged.pairs,
        finish_reason=transcript.finish_reason,
        output_tokens=transcript.output_tokens,
        latency_ms=timing.latency_ms if timing else None,
        ttft_ms=timing.ttft_ms if timing else None,
        margin=transcript.margin,
    )


def _judge(turn: Turn, tools: Sequence[Tool], reading: Reading) -> _Judgement:
    """
    Return the judgement by the alternative with the fewest findings, the first on a tie.
    """
    declared = {tool.name: tool for tool in tools}
    if not turn.expectation.alternatives:
        return _unexpecting(declared, reading)
    judgements = [
        _abstention(alternative, turn, declared, reading)
        if isinstance(alternative, Abstention)
        else _calls(alternative, declared, reading)
        for alternative in turn.expectation.alternatives
    ]
    if len(judgements) == 1:
        return judgements[0]
    return min(judgements, key=lambda judgement: judgement.faults)


def _unexpecting(declared: Mapping[str, Tool], reading: Reading) -> _Judgement:
    """
    Judge an answer of which nothing is expected: whether its calls can be executed.
    """
    findings = _readability(reading)
    for position, attempt in enumerate(reading.attempts):
        findings += _fitness(attempt, position, declared)
    return _Judgement(tuple(findings), ())


def _abstention(
    expected: Abstention, turn: Turn, declared: Mapping[str, Tool], reading: Reading
) -> _Judgement:
    code = "call_after_result" if turn.follows_result else "unexpected_call"
    findings = _readability(reading)
    pairs = []
    for position, attempt in enumerate(reading.attempts):
        pairs.append((NONE, _called(attempt, declared)))
        findings.append(_finding(code, f"{_show(attempt)}, where no call was expected", position))
        findings += _fitness(attempt, position, declared)
    if expected.text is not None:
        for fault in expected.text.check(reading.text):
            findings.append(_finding("wrong_text", fault.detail))
    return _Judgement(tuple(findings), tuple(pairs) or ((NONE, NONE),))


def _calls(expected: Calls, declared: Mapping[str, Tool], reading: Reading) -> _Judgement:
    wanted, attempts = expected.calls, reading.attempts
    if not attempts:
        names = ", ".join(call.tool for call in wanted)
        said = f"; it said {reading.text!r}" if reading.text else ""
        return _Judgement(
            (_finding("no_call", f"expected {names}{said}"),),
            tuple((call.tool, NONE) for call in wanted),
        )
    forbid = expected.extra_calls == "forbid"
    candidates = len(attempts)
    if forbid and not _begins_with(wanted, attempts, expected.order):
        candidates = min(candidates, len(wanted))
    judgements = [
        _paired(expected, declared, reading, partner)
        for partner in _pairings(expected, attempts[:candidates], declared)
    ]
    if len(judgements) == 1:
        return judgements[0]
    return min(judgements, key=lambda judgement: (judgement.tool_faults, judgement.faults))


def _paired(
    expected: Calls,
    declared: Mapping[str, Tool],
    reading: Reading,
    partner: Sequence[int | None],
) -> _Judgement:
    """
    Judge by one pairing: *partner* has the position of the attempt for each expected call, or None.
    """
    wanted, attempts = expected.calls, reading.attempts
    findings = _readability(reading)
    pairs: list[tuple[str, str]] = []
    for call, position in zip(wanted, partner, strict=True):
        if position is None:
            findings.append(_finding("missing_call", f"no call of {call.tool}"))
            pairs.append((call.tool, NONE))
            continue
        attempt = attempts[position]
        pairs.append((call.tool, _called(attempt, declared)))
        if not attempt.readable:
            continue
        if attempt.name == call.tool:
            faults = _arguments(call, attempt.arguments or {}, declared[call.tool])
            findings += [_finding(code, detail, position) for code, detail in faults]
        elif attempt.name in declared:
            findings.append(
                _finding("wrong_tool", f"expected {call.tool}, called {_show(attempt)}", position)
            )
    places = [position for position in partner if position is not None]
    if expected.order == "strict" and places != sorted(places) and not _tool_faults(pairs):
        order = ", ".join(str(attempts[position].name) for position in sorted(places))
        findings.append(_finding("wrong_order", f"called in the order {order}"))
    for position, attempt in enumerate(attempts):
        findings += _fitness(attempt, position, declared)
        if attempt.readable and attempt.name in expected.forbid:
            findings.append(
                _finding("forbidden_tool", f"{attempt.name} must not be called", position)
            )
        if expected.extra_calls == "forbid" and position not in places:
            kind = _kind(attempt, position, attempts, wanted, declared)
            findings.append(
                _finding("extra_call", f"further call {_show(attempt)}", position, kind)
            )
    return _Judgement(tuple(findings), tuple(pairs))


def _begins_with(wanted: Sequence[ExpectedCall], attempts: Sequence[Attempt], order: str) -> bool:
    """
    Return whether the first calls have the expected tools, ignoring arguments.
    """
    first = [attempt.name if attempt.readable else None for attempt in attempts[: len(wanted)]]
    names = [call.tool for call in wanted]
    if order == "strict":
        return first == names
    return sorted(filter(None, first)) == sorted(names)


def _pairings(
    expected: Calls, attempts: Sequence[Attempt], declared: Mapping[str, Tool]
) -> list[list[int | None]]:
    """
    Return the pairings to consider; on a tie the first counts.
    """
    wanted, forbid = expected.calls, expected.extra_calls == "forbid"
    if len(wanted) == len(attempts) == 1 and wanted[0].tool == attempts[0].name:
        return [[0]]  # by far the most common, and no other could be cheaper
    # If extra calls are forbidden, an unpaired attempt costs a finding; pairing it saves that.
    saved = _TOOL if forbid else 0
    cost = [
        [
            _cost(call, attempt, declared, forbid=forbid) + abs(row - column) - saved
            for column, attempt in enumerate(attempts)
        ]
        for row, call in enumerate(wanted)
    ]
    padded = [row + [_TOOL] * len(wanted) for row in cost]
    pairings: list[list[int | None]] = [
        [column if column < len(attempts) else None for column in assign(padded)]
    ]
    if expected.order == "strict":
        pairings.insert(0, assign_in_order(cost, _TOOL))
    return pairings


def _cost(
    call: ExpectedCall, attempt: Attempt, declared: Mapping[str, Tool], *, forbid: bool
) -> int:
    same = attempt.name == call.tool
    if not attempt.readable:
        # An attempt at some call, and more likely at this one if it has its name.
        return _TOOL - _ARGUMENT * (2 if same else 1)
    if same:
        return _ARGUMENT * len(_arguments(call, attempt.arguments or {}, declared[call.tool]))
    if attempt.name in declared:
        # If further calls are allowed, a call of another tool is not a substitute for this one.
        return _TOOL if forbid else 2 * _TOOL
    return _TOOL - _ARGUMENT


def _arguments(call: ExpectedCall, given: Mapping[str, Any], tool: Tool) -> list[tuple[str, str]]:
    """
    Return what is wrong with the arguments *given*, each as code and detail.
    """
    faults = []
    for name, constraint in call.arguments.items():
        where = f"{call.tool}.{name}"
        if constraint.absent:
            if name in given:
                faults.append(("unexpected_argument", f"{where} must not be there"))
        elif name not in given:
            if not constraint.optional:
                faults.append(("missing_argument", f"{where} is missing"))
        else:
            checked = constraint.check(given[name])
            faults += [(fault.code, f"{where}: {fault.detail}") for fault in checked]
    allowed: Mapping[str, Any] = (
        tool.parameters.get("properties", {}) if call.other_arguments == "declared" else {}
    )
    for name in given:
        if name not in call.arguments and name not in allowed:
            faults.append(("unexpected_argument", f"{call.tool}.{name} was not expected"))
    return faults


def _readability(reading: Reading) -> list[Finding]:
    return [
        _finding(
            "unfinished_call" if attempt.unfinished else "malformed_call",
            f"{attempt.problem}: {attempt.raw!r}",
            position,
        )
        for position, attempt in enumerate(reading.attempts)
        if not attempt.readable
    ]


def _fitness(attempt: Attempt, position: int, declared: Mapping[str, Tool]) -> list[Finding]:
    """
    Return what is wrong with a readable call, whatever was expected.
    """
    if not attempt.readable or attempt.name is None:
        return []
    if attempt.name not in declared:
        return [_finding("undeclared_tool", f"nobody declared {attempt.name!r}", position)]
    errors = violations(declared[attempt.name], attempt.arguments or {})
    return [
        _finding(
            "schema_violation",
            ".".join([attempt.name, *map(str, error.absolute_path)]) + f": {error.message}",
            position,
        )
        for error in errors
    ]


def _kind(
    attempt: Attempt,
    position: int,
    attempts: Sequence[Attempt],
    wanted: Sequence[ExpectedCall],
    declared: Mapping[str, Tool],
) -> str:
    if not attempt.readable:
        return "unfinished" if attempt.unfinished else "malformed"
    if attempt.name not in declared:
        return "undeclared_tool"
    if any(
        other.readable
        and other.name == attempt.name
        and json_equal(other.arguments, attempt.arguments)
        for other in attempts[:position]
    ):
        return "duplicate"
    return "same_tool" if any(call.tool == attempt.name for call in wanted) else "other_tool"


def _called(attempt: Attempt, declared: Mapping[str, Tool]) -> str:
    if not attempt.readable or attempt.name is None:
        return UNFINISHED if attempt.unfinished else MALFORMED
    return attempt.name if attempt.name in declared else UNDECLARED


def _tool_faults(pairs: Sequence[tuple[str, str]]) -> bool:
    return any(expected != called for expected, called in pairs)


def _show(attempt: Attempt) -> str:
    if not attempt.readable:
        return repr(attempt.raw)
    return f"{attempt.name}({canonical_json(attempt.arguments)})"


def _finding(code: str, detail: str, call: int | None = None, kind: str | None = None) -> Finding:
    return Finding(code=code, detail=_cut(detail), call=call, kind=kind)


def _cut(text: str) -> str:
    # The transcript has the whole text; a record stays small whatever a model writes.
    if len(text) <= _DETAIL_LIMIT:
        return text
    return f"{text[:_DETAIL_LIMIT]}… (+{len(text) - _DETAIL_LIMIT} characters)"
