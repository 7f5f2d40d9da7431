"""
One case of a run in full: what was sent, what came, how it was read, what was found.
"""

from collections.abc import Iterator

from harness.canonical import canonical_json
from harness.dialects.base import Reading
from harness.dialects.registry import dialect, read
from harness.errors import UsageError
from harness.judging import read_transcripts_by_key
from harness.messages import Message
from harness.renderers.safe import visible
from harness.renderers.spelling import call
from harness.results import CaseResult, TurnResult
from harness.store import StoredRun
from harness.suite import Case
from harness.suite_files import load_suite_copy
from harness.tool_names import shown_case
from harness.transcript import Key


def explain_case(run: StoredRun, identity: str) -> Iterator[str]:
    """
    Give the lines that explain case *identity* of *run*, each safe for a terminal.

    Raises:
        UsageError: if the run's suite has no such case.
    """
    case = load_suite_copy(run.suite_path).case(identity)
    # As the model was shown it, under the names its tools had there.
    case = shown_case(case, run.record.backend.get("tool_names"))
    transcripts = read_transcripts_by_key(run.folder)
    reader = dialect(run.record.checkpoint["dialect"])
    if all(result.id != identity for result in run.record.cases):
        raise UsageError(f"{run.folder}: case {identity!r} was not asked in this run")
    for result in run.record.cases:
        if result.id != identity:
            continue
        yield from _head(case, result)
        for number, (turn, judged) in enumerate(zip(case.turns, result.turns, strict=True)):
            yield ""
            yield f"turn {number}" if len(case.turns) > 1 else "sent"
            for message in turn.messages:
                yield from _block(message.role, _said(message))
            transcript = transcripts.get(Key(identity, result.repeat, number))
            yield "came"
            if transcript is None or transcript.error is not None:
                reason = transcript.error if transcript else "no answer was stored"
                yield from _block("error", reason or "")
                continue
            answer = transcript.output
            if answer is None:
                answer = canonical_json(transcript.message)
            yield from _block("answer", answer)
            yield f"read as {reader.name}"
            yield from _read(read(reader, transcript, case.tools))
            lenient = read(reader, transcript, case.tools, lenient=True)
            if lenient.repairs:
                yield f"read leniently, mending: {', '.join(lenient.repairs)}"
                yield from _read(lenient)
            yield from _found(judged)


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
    for finding in judged.findings:
        kind = f" ({finding.kind})" if finding.kind else ""
        yield f"  {finding.code}{kind}: {visible(finding.detail)}"
    if not judged.findings:
        yield "  nothing wrong"


def _block(label: str, text: str) -> Iterator[str]:
    first, *others = visible(text, keep="\n").split("\n")
    yield f"  {label:<9} {first}"
    for other in others:
        yield f"  {'':<9} {other}"
