"""
Answers that name no case, joined to the cases of a suite by what was asked.

A line and a turn belong together if their last user message is the same text and if, in both or in
neither, results of tools follow it: a loop of tool calls asks again and again behind one message. A
line that names a case of the suite belongs to that one. What fits twice is listed and left out, as
any choice would be a guess.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.backends.replay import Line, answer_of, read_lines
from harness.backends.responses import asked
from harness.errors import TranscriptError
from harness.suites.suite import Suite, Turn
from harness.transcript import Key, Transcript
from harness.wording import count, named

_SHOWN, _SHOWN_OF_NONE = 20, 5
"""How many lines are listed, of a file that was joined and of one that was not, before the rest is
only counted."""

_QUOTED = 60
"""How much of a prompt is quoted, in characters."""

Asked = tuple[str, bool]
"""A last user message, and whether results of tools follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """
    The answers that were joined, and in words what was not.
    """

    answers: dict[Key, tuple[int, Transcript]]
    """Each with the number of its line."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    line: Line
    reason: str


def join(source: Path, suite: Suite) -> Joined:
    """
    Join the answers in the file *source* to the cases of *suite*.

    Raises:
        TranscriptError: naming file and line of what cannot be read, or if nothing can be joined.
    """
    turns = _turns(suite)
    cases = {case.id for case in suite.cases}
    left: list[_Left] = []
    found: defaultdict[Key, list[tuple[Line, Transcript]]] = defaultdict(list)
    for line in read_lines(source):
        case = line.row.get("case")
        by_prompt = case is None or (isinstance(case, str) and case not in cases)
        joined = _joined(line, turns) if by_prompt else line
        if isinstance(joined, str):
            left.append(_Left(line=line, reason=joined))
            continue
        transcript = answer_of(source, joined)
        found[transcript.key].append((line, transcript))
    answers = {key: (fit[0][0].number, fit[0][1]) for key, fit in found.items() if len(fit) == 1}
    left += (
        _Left(line=line, reason=_twice(line, [other for other, _ in fit], key.case))
        for key, fit in found.items()
        if len(fit) > 1
        for line, _ in fit
    )
    left.sort(key=lambda each: each.line.number)
    if not answers:
        said = (
            f"{source}: none of its {count(len(left), 'line')} could be joined to a case of suite "
        )
        raise TranscriptError(
            "\n".join([said + suite.name, *_listed(source, left, _SHOWN_OF_NONE)])
        )
    return Joined(answers=answers, notes=tuple(_notes(source, suite, answers, left)))


def _turns(suite: Suite) -> Mapping[Asked, Sequence[tuple[str, int]]]:
    turns: defaultdict[Asked, list[tuple[str, int]]] = defaultdict(list)
    for case in suite.cases:
        for index, turn in enumerate(case.turns):
            if (question := _asked(turn)) is not None:
                turns[question].append((case.id, index))
    return turns


def _asked(turn: Turn) -> Asked | None:
    said = (m.content for m in reversed(turn.messages) if m.role == "user" and m.content)
    text = next(said, "").strip()
    return (text, turn.follows_result) if text else None


def _joined(line: Line, turns: Mapping[Asked, Sequence[tuple[str, int]]]) -> Line | str:
    """
    Return *line* with its case and turn, or why it has none.
    """
    try:
        question = asked(line.value)
    except ValueError as exc:
        return f"what was asked cannot be read: {exc}"
    if question is None:
        return 'it does not say what was asked; add "prompt", "messages" or "case"'
    fitting = turns.get(question, ())
    text, answered = question
    shown = repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}...")
    if not fitting:
        after = " after the results of tools" if answered else ""
        return f"no case asks {shown}{after}"
    if len(fitting) > 1:
        ids = named(list(dict.fromkeys(case for case, _ in fitting)))
        return f'several cases ask {shown} ({ids}); add "case" to say which'
    ((case, turn),) = fitting
    return replace(line, row={**line.row, "case": case, "turn": turn})


def _twice(line: Line, lines: Sequence[Line], case: str) -> str:
    others = named([str(other.number) for other in lines if other is not line])
    return (
        f"case {case!r} is answered on line {others} too; keep one, or number them with "
        '"repeat" from 0'
    )


def _notes(
    source: Path, suite: Suite, answers: Mapping[Key, Any], left: Sequence[_Left]
) -> Iterator[str]:
    if left:
        joined = count(len(answers), "line")
        yield f"{source}: {joined} joined by prompt, {len(left)} left out:"
        yield from (f"  {each}" for each in _listed(source, left, _SHOWN))
    answered = {key.case for key in answers}
    if missing := [case.id for case in suite.cases if case.id not in answered]:
        yield (
            f"{count(len(missing), 'case')} of {len(suite.cases)} without an answer, counted as "
            f"errors: {', '.join(missing)}"
        )


def _listed(source: Path, left: Sequence[_Left], shown: int) -> Iterator[str]:
    yield from (f"{source}:{each.line.number}: {each.reason}" for each in left[:shown])
    if len(left) > shown:
        yield f"and {len(left) - shown} more"
