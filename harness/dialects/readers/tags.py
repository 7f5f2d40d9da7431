"""
Find the calls between an opening and a closing tag, and account for everything else.

Every opening tag outside a call yields one attempt, or several if its body is a list: the calls of
a list count one by one, so that what breaks one does not affect those before it. Where the body
reads and the closing tag follows, the call is readable; a format without a closing tag needs only
the body. Otherwise the attempt ends at the first of

- the closing tag: malformed;
- the next opening tag: malformed, not closed before the next call;
- a token that ends the turn, or the end of the answer: unfinished,

searched for from where the reading became uncertain, so that a tag inside a complete string never
ends a call, and a string that was never closed does not swallow the calls after it. If the answer
just ends too soon, everything up to its end belongs to the unfinished call: what looks like a call
in it may be inside a string.

A proper prefix of an opening tag at the end of an answer is text: a call begins with its whole
tag, and no runtime acts on less. A call whose opening tag is missing is an attempt that cannot be
read (`harness.dialects.readers.lost`), and so is one inside thinking that is not closed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.dialects.base import Attempt, Reading
from harness.dialects.readers.json_text import JsonReader, Trouble
from harness.dialects.readers.lost import UNCLOSED, Traces, lost_calls, missing, without


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """
    What the body of one call says.
    """

    name: str | None
    arguments: Mapping[str, Any] | None
    end: int
    """Where the body ends in the text."""
    problem: str | None = None
    repairs: tuple[str, ...] = ()
    by_schema: tuple[str, ...] = ()
    """As in `Attempt`."""


_FENCE = re.compile(r"^[ \t]*```[\w+-]*[ \t]*$", re.MULTILINE)

Body = Callable[[str, int], tuple[Written, ...]]
"""Reads the calls, at least one, of the body at an index of a text; raises `Trouble`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """
    How to find calls without tags; for a lenient reading, at the start of a line.

    What follows such a call does not matter: if it did, cutting an answer could add a call.
    """

    begin: re.Pattern[str]
    body: Body
    """The position of a `Trouble` it raises is where to continue looking."""
    repair: str | None = "no call tags"
    """The repair recorded for each such call and for a code fence around it; None if a correct
    runtime reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """
    The tokens of one format.
    """

    opener: str
    """Empty if calls have none."""
    closer: str
    """Empty if a call ends with its body."""
    ends: tuple[str, ...]
    """Tokens after which a runtime sees nothing."""
    spaced: bool
    """Whether white space is allowed between the body and the closing tag."""
    also: tuple[str, ...] = ()
    """Other spellings of the opening tag."""
    own: tuple[str, ...] = ()
    """Tags at the beginning of a body that also begin a call without the opening tag: then the
    closing tag may be missing too."""
    start: re.Pattern[str] | None = None
    """Where it matches at the start of the answer, a call without a tag begins at its first group,
    and its body after the match; anything before it is not text."""
    removed: tuple[str, ...] = ()
    """Other control tokens, which are not text."""
    reasoning: tuple[str, str] | None = None
    """Tags around thinking, which is not part of the answer; calls inside are not calls."""
    traces: Traces | None = None
    """What shows a call that lost its opening tag; the closing tag by default."""
    openers: tuple[str, ...] = field(init=False)
    """Every spelling of the opening tag."""
    marks: re.Pattern[str] = field(init=False)
    borders: re.Pattern[str] = field(init=False)
    end_marks: re.Pattern[str] = field(init=False)
    thought_ends: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "openers", (self.opener, *self.also, *self.own))
        if self.traces is None and len(self.closer) > len("```"):
            traces = Traces(problem=missing(self.opener), closers=(self.closer,))
            object.__setattr__(self, "traces", traces)
        thinking, thought = (
            ((self.reasoning[0],), (self.reasoning[1],)) if self.reasoning else ((), ())
        )
        for name, tokens in (
            ("marks", (*self.openers, *self.ends, *thinking)),
            ("borders", (*self.openers, self.closer, *self.ends)),
            ("end_marks", self.ends),
            ("thought_ends", (*thought, *self.ends)),
        ):
            pattern = "|".join(map(self._pattern, filter(None, tokens)))
            object.__setattr__(self, name, re.compile(pattern or r"(?!)"))

    def _pattern(self, token: str) -> str:
        # A backtick right after a tag that needs a name quotes the tag: no runtime calls that.
        return re.escape(token) + ("(?!`)" if token in self.own else "")


def read_tagged(
    output: str, tags: Tags, body: Body, bare: Bare | None = None, names: tuple[str, ...] = ()
) -> Reading:
    """
    Read a whole answer; never raise. *names* are the declared tools: they reveal calls that lost
    their opening tag.
    """
    attempts: list[Attempt] = []
    repairs: list[str] = []
    text: list[str] = []

    def prose(start: int, end: int) -> None:
        found = [] if bare is None else _bare_calls(output, start, end, bare)
        for attempt, repaired in found:
            rest(start, attempt.start, fenced=True)
            start = attempt.end
            attempts.append(attempt)
            repairs.extend(repaired)
        rest(start, end, fenced=bool(found))

    def rest(start: int, end: int, *, fenced: bool = False, thinking: bool = False) -> None:
        if start == end:
            return
        lost: list[Attempt] = []
        if tags.traces is not None:
            traces = (
                tags.traces.with_openers((tags.opener, *tags.also)) if thinking else tags.traces
            )
            problem = UNCLOSED if thinking else None
            lost = lost_calls(output, start, end, traces, names, problem=problem)
        attempts.extend(lost)
        told = without(output, start, end, lost)
        text.extend(_FENCE.sub("", piece) for piece in told) if fenced else text.extend(told)

    def call(start: int, inside: int, opener: str = "") -> int:
        found, repaired = _calls(output, start, inside, tags, body, opener)
        attempts.extend(found)
        repairs.extend(repaired)
        return found[-1].end

    at = 0
    if tags.start is not None and (begun := tags.start.match(output)) is not None:
        at = call(begun.start(1), begun.end())
    while (mark := tags.marks.search(output, at)) is not None:
        prose(at, mark.start())
        at = mark.end()
        if mark.group() in tags.openers:
            at = call(mark.start(), mark.end(), mark.group())
        elif mark.group() in tags.ends:
            break
        elif tags.reasoning is not None:
            closing = tags.thought_ends.search(output, at)
            if closing is None or closing.group() != tags.reasoning[1]:
                rest(at, closing.start() if closing else len(output), thinking=True)
                break
            at = closing.end()
    else:
        prose(at, len(output))
    return Reading(
        attempts=tuple(attempts),
        text=_without("".join(text), tags.removed).strip(),
        repairs=tuple(dict.fromkeys(repairs)),
    )


def _calls(
    output: str, start: int, inside: int, tags: Tags, body: Body, opener: str
) -> tuple[list[Attempt], list[str]]:
    """
    Read the calls after one tag *opener*, which runs from *start* to *inside*.
    """
    last: Attempt | None = None
    written: tuple[Written, ...] = ()
    own = opener in tags.own
    try:
        written = body(output, start if own else inside)
        end = _closed(output, written[-1], tags, needed=not own)
    except Trouble as trouble:
        # In a list that is not closed the last call is unfinished; those before it are finished.
        written = written[:-1] or trouble.done
        end = written[-1].end if written else start
        last = _unreadable(output, end, max(inside, end), tags, trouble)
    attempts: list[Attempt] = []
    repairs: list[str] = []
    for number, call in enumerate(written, start=1):
        attempt = attempted(output, start, call, end if number == len(written) else call.end)
        attempts.append(attempt)
        repairs += () if call.problem else call.repairs
        start = attempt.end
    return [*attempts, last] if last is not None else attempts, repairs


def attempted(output: str, start: int, call: Written, end: int | None = None) -> Attempt:
    """
    Return the attempt for *call*, whose text runs from *start* to *end*, or to where its body ends.
    """
    return Attempt(
        name=call.name,
        arguments=None if call.problem else call.arguments,
        raw=output[start : call.end if end is None else end],
        start=start,
        problem=call.problem,
        by_schema=() if call.problem else call.by_schema,
    )


def _closed(output: str, written: Written, tags: Tags, *, needed: bool) -> int:
    reader = JsonReader(output)
    reader.sure = written.end
    reader.name = (written.name, written.end) if written.name is not None else None
    at = reader.skip(written.end) if tags.spaced else written.end
    if not output.startswith(tags.closer, at):
        if not needed:
            return written.end
        reader.fail(f"expected {tags.closer}", at, early=reader.begins(tags.closer, at))
    return at + len(tags.closer)


def _unreadable(output: str, start: int, inside: int, tags: Tags, trouble: Trouble) -> Attempt:
    since = max(inside, trouble.sure)
    border = (tags.end_marks if trouble.early else tags.borders).search(output, since)
    end = border.start() if border else len(output)
    found = border.group() if border else ""
    reason = f"{trouble.reason} (character {trouble.position})"
    unfinished = False
    if found and found == tags.closer:
        end += len(tags.closer)
        problem = reason
    elif found and found in tags.openers:
        problem = f"not closed before the next call; {reason}"
        if output.startswith(found, trouble.position):
            problem = "not closed before the next call"
    elif not tags.closer:
        unfinished = trouble.early or trouble.position >= end
        problem = "the answer ends inside the call" if unfinished else reason
    elif trouble.early and output[since:end].rstrip().endswith(tags.closer):
        # The closing tag is the last thing written, so the model meant to close the call: only
        # the end of a string is missing.
        problem = f"a string is not closed before {tags.closer}"
    else:
        unfinished = True
        problem = f"the answer ends before {tags.closer}"
        if not trouble.early and trouble.position < end:
            problem += f"; {reason}"
    known = trouble.name is not None and trouble.name[1] <= end
    return Attempt(
        name=trouble.name[0] if trouble.name is not None and known else None,
        arguments=None,
        raw=output[start:end],
        start=start,
        problem=problem,
        unfinished=unfinished,
    )


def _bare_calls(
    output: str, start: int, end: int, bare: Bare
) -> list[tuple[Attempt, tuple[str, ...]]]:
    found: list[tuple[Attempt, tuple[str, ...]]] = []
    segment = output[start:end]
    fence: tuple[str, ...] | None = None
    at = 0
    while (line := bare.begin.search(segment, at)) is not None:
        begin = line.end()
        try:
            calls = bare.body(segment, begin)
        except Trouble as trouble:
            if trouble.early:
                break  # the rest is inside something that was never finished
            at = max(begin + 1, trouble.position)
            continue
        at = calls[-1].end
        if fence is None:
            fence = ("code fence",) if _FENCE.search(segment) else ()
        for call in calls:
            attempt = attempted(output, start + begin, call, start + call.end)
            begin = call.end
            made = call.repairs if bare.repair is None else (*call.repairs, bare.repair, *fence)
            found.append((attempt, made))
    return found


def _without(text: str, tokens: tuple[str, ...]) -> str:
    for token in tokens:
        text = text.replace(token, "")
    return text
