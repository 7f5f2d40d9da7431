"""
One case of a run in full: what was sent, what was answered, how it was read, what was found, and
where the answer first differs from another run's.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.canonical import canonical_json
from harness.dialects.base import Dialect, Reading
from harness.dialects.reading import read
from harness.dialects.registry import spoken_by
from harness.errors import StoreError, UsageError
from harness.messages import Message
from harness.reports.blocks import plain
from harness.reports.conversation import outcome, returned, spell_change
from harness.reports.escape import visible
from harness.reports.format import call
from harness.reports.prompts import rendered_prompt, tokenizer_of
from harness.runs.store import StoredRun, read_transcripts_by_key
from harness.scoring.arms import armed_cases
from harness.scoring.results import CaseResult, Finding, TurnResult
from harness.scoring.tool_names import shown_case
from harness.suites.suite import Case
from harness.transcript import Key, Transcript
from harness.wording import count

COLOURS = {"call": "32", "unreadable": "31", "unfinished": "33"}
"""The terminal colour of what each part of an answer was read as (ECMA-48, SGR)."""

AROUND = 3
"""How many tokens are shown on either side of the first that differs."""

_SAME = "the same answer"


def explain_case(
    run: StoredRun, identity: str, *, against: StoredRun | None = None, colour: bool = False
) -> Iterator[str]:
    """
    Return the lines that explain case *identity* of *run*, each safe for a terminal.

    With *against*, they say where the answer first differs from that run's. With *colour*, the raw
    answer is coloured by what it was read as; the lines below it say the same in words.

    Raises:
        UsageError: if the run's suite has no such case.
        StoreError: if the run was judged by another suite than the one beside it.
    """
    # As the model saw it, with the names its tools had there.
    suite = run.suite()
    (asked,) = armed_cases(suite, [suite.case(identity)], run.record.backend.arm)
    case = shown_case(asked, run.record.backend.tool_names)
    transcripts = read_transcripts_by_key(run.folder)
    others = read_transcripts_by_key(against.folder) if against is not None else {}
    reader = spoken_by(run.record.checkpoint)
    if all(result.id != identity for result in run.record.cases):
        raise UsageError(f"{run.folder}: case {identity!r} was not asked in this run")
    for result in run.record.cases:
        if result.id == identity and len(result.turns) != len(case.turns):
            raise StoreError(
                f"{run.folder}: case {identity!r} has {count(len(result.turns), 'turn')} in "
                f"run.json and {len(case.turns)} in suite.json; judge it again with harness score"
            )
    tokenizer, why = tokenizer_of(run.record)
    for result in run.record.cases:
        if result.id != identity:
            continue
        yield from _head(case, result)
        if result.executed is not None:
            yield from _steps(run, case, result, transcripts, reader, colour=colour)
            if against is not None:
                yield f"against {visible(str(against.folder))}"
                yield f"  {_first_departure(result, transcripts, others, tokenizer)}"
            continue
        for number, (turn, judged) in enumerate(zip(case.turns, result.turns, strict=True)):
            key = Key(identity, result.repeat, number)
            yield ""
            yield f"turn {number + 1}" if len(case.turns) > 1 else "sent"
            if tokenizer is not None:
                yield from _block("prompt", rendered_prompt(tokenizer, suite, case, key))
                offered = {tool.name for tool in case.tools}
                for line in run.record.checkpoint.not_shown:
                    if line.partition(":")[0] in offered:
                        yield from _block("not shown", line)
            else:
                for message in turn.messages:
                    yield from _block(message.role, _said(message))
                yield from _block("rendered", f"unavailable: {why}")
            yield "came"
            transcript = transcripts.get(key)
            if transcript is None or transcript.error is not None:
                reason = transcript.error if transcript else "no answer was stored"
                yield from _block("error", reason or "")
                continue
            reading = read(reader, transcript, case.tools)
            yield from _answer(transcript, reading, colour=colour)
            yield f"read as {reader.name}"
            yield from _read(reading)
            lenient = read(reader, transcript, case.tools, lenient=True)
            if lenient.repairs:
                yield f"read leniently, repairing: {', '.join(lenient.repairs)}"
                yield from _read(lenient)
            yield from _found(judged)
            if against is not None:
                yield f"against {visible(str(against.folder))}"
                yield f"  {_departure(transcript, others.get(key), tokenizer)}"


def _steps(
    run: StoredRun,
    case: Case,
    result: CaseResult,
    transcripts: Mapping[Key, Transcript],
    reader: Dialect,
    *,
    colour: bool,
) -> Iterator[str]:
    """
    Yield the whole conversation of an executed case, and what came of it.
    """
    executed = result.executed
    assert executed is not None
    relevant = (case.outcome.relevant if case.outcome is not None else None) or {}
    yield ""
    yield "sent"
    for message in case.turns[0].messages:
        yield from _block(message.role, _said(message))
    for step, judged in enumerate(result.answers):
        yield ""
        yield f"step {step}: came"
        transcript = transcripts.get(Key(case.id, result.repeat, 0, step))
        if transcript is None or transcript.error is not None:
            reason = transcript.error if transcript else "no answer was stored"
            yield from _block("error", reason or "")
            continue
        reading = read(reader, transcript, case.tools)
        yield from _answer(transcript, reading, colour=colour)
        yield f"read as {reader.name}"
        yield from _read(reading)
        if transcript.results:
            yield "returned"
        for each in transcript.results or ():
            if each.documents is not None:
                yield from _block("documents", plain(returned(each, relevant)))
            yield from _block("text", each.text)
            if each.length is not None:
                yield from _block("cut", f"after {len(each.text):,} of {each.length:,} characters")
        yield from _found(judged)
    yield ""
    yield "came to"
    for line in outcome(executed):
        yield f"  {line}"
    for change in executed.changes:
        yield f"  state: {visible(spell_change(change))}"
    yield from _findings(executed.findings)


def _first_departure(
    result: CaseResult,
    here: Mapping[Key, Transcript],
    there: Mapping[Key, Transcript],
    tokenizer: Any,
) -> str:
    """
    Return at which step, and where in it, the answer first differs from the other run's.
    """
    for step in range(len(result.answers)):
        key = Key(result.id, result.repeat, 0, step)
        if key not in here or here[key].error is not None:
            continue
        said = _departure(here[key], there.get(key), tokenizer)
        if said != _SAME:
            return f"step {step}: {said}"
    return _SAME


def _answer(transcript: Transcript, reading: Reading, *, colour: bool) -> Iterator[str]:
    if transcript.output is None:
        yield from _block("answer", canonical_json(transcript.message))
        return
    output = transcript.output
    if not colour:
        yield from _block("answer", output)
        return
    parts: list[str] = []
    at = 0
    for attempt in reading.attempts:
        parts.append(visible(output[at : attempt.start], keep="\n"))
        kind = "unfinished" if attempt.unfinished else "unreadable"
        code = COLOURS["call" if attempt.readable else kind]
        shown = visible(output[attempt.start : attempt.end], keep="\n").split("\n")
        parts.append("\n".join(f"\x1b[{code}m{line}\x1b[0m" for line in shown))
        at = attempt.end
    parts.append(visible(output[at:], keep="\n"))
    yield from _lines("answer", "".join(parts))
    legend = ", ".join(f"\x1b[{code}m{kind}\x1b[0m" for kind, code in COLOURS.items())
    yield f"  {'':<9} ({legend}, text)"


def _departure(here: Transcript, there: Transcript | None, tokenizer: Any) -> str:
    """
    Return where the answer first differs from the other run's.
    """
    if there is None or there.error is not None:
        return "it has no answer to this turn"
    if here.message is not None or there.message is not None:
        new, old = (canonical_json(one.said) for one in (here, there))
    else:
        new, old = str(here.output), str(there.output)
    if new == old:
        return _SAME
    unit, new_parts, old_parts = "character", list(new), list(old)
    if tokenizer is not None and here.output is not None and there.output is not None:
        unit = "token"
        new_parts, old_parts = (
            [
                str(tokenizer.decode([id_]))
                for id_ in tokenizer.encode(text, add_special_tokens=False)
            ]
            for text in (new, old)
        )
    first = next(
        (
            index
            for index, (ours, theirs) in enumerate(zip(new_parts, old_parts, strict=False))
            if ours != theirs
        ),
        min(len(new_parts), len(old_parts)),
    )
    reach = AROUND if unit == "token" else 10 * AROUND
    before = "".join(new_parts[max(0, first - reach) : first])
    ours, theirs = (
        "".join(parts[first : first + reach]) or "the end" for parts in (new_parts, old_parts)
    )
    return visible(
        f"the first {unit} that differs is number {first + 1}: after {before!r} "
        f"it was {theirs!r} and is {ours!r}"
    )


def _head(case: Case, result: CaseResult) -> Iterator[str]:
    yield f"{visible(case.id)}: {result.status}" + (
        f", leniently {result.status_lenient}" if result.status_lenient != result.status else ""
    )
    offered = ", ".join(visible(tool.name) for tool in case.tools) or "none"
    yield f"tools offered: {offered}"


def _said(message: Message) -> str:
    calls = [call({"tool": made.name, "arguments": made.arguments}) for made in message.tool_calls]
    return "\n".join([*filter(None, [message.content]), *calls])


def _read(reading: Reading) -> Iterator[str]:
    if not reading.attempts:
        yield "  no call"
    for attempt in reading.attempts:
        place = f"characters {attempt.start} to {attempt.end}"
        if attempt.readable:
            made = call({"tool": attempt.name, "arguments": attempt.arguments})
            yield f"  {visible(made)}  ({place})"
        else:
            yield f"  unreadable: {visible(attempt.problem or '')}  ({place})"
    if reading.text:
        yield from _block("text", reading.text)


def _found(judged: TurnResult) -> Iterator[str]:
    yield "found"
    yield from _findings(judged.findings)


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        kind = f" ({finding.kind})" if finding.kind else ""
        yield f"  {finding.code}{kind}: {visible(finding.detail)}"
    if not findings:
        yield "  nothing wrong"


def _block(label: str, text: str) -> Iterator[str]:
    yield from _lines(label, visible(text, keep="\n"))


def _lines(label: str, shown: str) -> Iterator[str]:
    first, *others = shown.split("\n")
    yield f"  {label:<9} {first}"
    for other in others:
        yield f"  {'':<9} {other}"
