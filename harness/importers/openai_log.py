"""
Live traffic: requests and responses of OpenAI's chat API as gateways log them, or spans of
OpenTelemetry (`harness.importers.readers.logged`).

Each question becomes one case, however often it was asked. What it expects is what was answered
most often, and only proposed: no case counts before somebody has confirmed it. Personal data is
masked by rules (`harness.importers.readers.masking`). Cases that ask nearly the same share a group.
Of more cases than `limit` those are kept that show all tools alike.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Self

from harness.canonical import canonical_json, digest
from harness.diagnostics import Problem
from harness.importers.base import Imported, ImportedCase, Sources
from harness.importers.readers.conversations import Conversation, cases, conversation
from harness.importers.readers.logged import KNOWN, Exchange, exchange, span_exchange, spans_of
from harness.importers.readers.masking import Masks
from harness.importers.readers.rows import MALFORMED, Row, json_rows, unknown_keys
from harness.importers.readers.sampling import sampled
from harness.suites.lint.similarity import near, normalized
from harness.suites.lint.suite_rules import WITHIN_SUITE
from harness.wording import count, named

DIFFER = "answers-differ"
"""The tag of a case whose question was answered in different ways."""

_NO_CALL = "no call"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenaiLog:
    """
    The format described above.
    """

    limit: int = 500
    """How many cases at most."""

    @property
    def name(self) -> str:
        """
        The name for ``harness suite import``.
        """
        return "openai-log"

    @property
    def takes(self) -> Mapping[str, bool]:
        """
        Only files of lines.
        """
        return {"rows": True}

    def limited(self, limit: int) -> Self:
        """
        Return an importer of at most *limit* cases.
        """
        return replace(self, limit=limit)

    def read(self, sources: Sources, today: date) -> Imported:
        """
        Read the logs.
        """
        notes: list[Problem] = []
        left_out = _LeftOut()
        questions = _questions(_exchanges(sources, notes, left_out), notes, left_out)
        groups = _groups(questions)
        chosen = self._chosen(questions, groups, notes, left_out)
        notes += left_out.notes()
        notes += _repeated(questions)
        rows, tools = cases(list(chosen.values()))
        sizes = Counter(groups[place] for place in chosen)
        return Imported(
            cases=tuple(
                _proposed(
                    case, questions[place], groups[place] if sizes[groups[place]] > 1 else None
                )
                for case, place in zip(rows, chosen, strict=True)
            ),
            tools=tools,
            description="Questions of live traffic, with the answers that were given as proposals.",
            notes=tuple(notes),
        )

    def _chosen(
        self,
        questions: Sequence["_Question"],
        groups: Sequence[str],
        notes: list[Problem],
        left_out: "_LeftOut",
    ) -> dict[int, Conversation]:
        """
        Return the conversations of the questions that become cases, by their positions. One that
        cannot be read makes room for another.
        """
        able: Sequence[int] = range(len(questions))
        made: dict[int, Conversation | None] = {}
        while True:
            kept = sampled(
                [questions[place].calls for place in able],
                [groups[place] for place in able],
                [questions[place].identity for place in able],
                self.limit,
            )
            places = [able[index] for index in sorted(kept)]
            for place in places:
                if place not in made:
                    made[place] = _conversation(questions[place], notes, left_out)
            read = {place: each for place in places if (each := made[place]) is not None}
            if len(read) == len(places):
                notes += _not_sampled([questions[each] for each in able if each not in read], read)
                return read
            able = [place for place in able if place not in made or made[place] is not None]


class _LeftOut:
    """
    Rows that are no case, by the reason.
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = {}

    def add(self, row: Row, reason: str) -> None:
        self._rows.setdefault(reason, []).append(row)

    def notes(self) -> Iterator[Problem]:
        """
        Yield a note for each reason, at the first row.
        """
        for reason, rows in self._rows.items():
            many = "" if len(rows) == 1 else f" ({len(rows)} of them)"
            yield rows[0].note(f"left out: {reason}{many}")


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else "it cannot be read"


@dataclass(slots=True, kw_only=True)
class _Question:
    """
    What was asked once or more, and how it was answered.
    """

    row: Row
    messages: Sequence[Any]
    tools: Any
    identity: str
    answers: dict[str, Any]
    """Each different answer by what it calls, the first of its kind."""
    times: Counter[str]

    @property
    def usual(self) -> str:
        """
        The key of the most frequent answer, the first of equals.
        """
        return self.times.most_common(1)[0][0]

    @property
    def calls(self) -> str:
        """
        The tools that the most frequent answer calls.
        """
        names = {call[0] for call in _calls(self.answers[self.usual])}
        return ", ".join(sorted(names)) or _NO_CALL

    @property
    def prompt(self) -> str:
        said = [each for each in self.messages if each.get("role") == "user"]
        content = said[-1].get("content") if said else ""
        return content if isinstance(content, str) else canonical_json(content)


def _exchanges(sources: Sources, notes: list[Problem], left_out: _LeftOut) -> Iterator[Exchange]:
    rows = json_rows(sources["rows"], notes)
    spans: list[tuple[Row, bool]] = []
    lines = []
    for row in rows:
        try:
            found = spans_of(row)
        except MALFORMED:
            left_out.add(row, "its spans cannot be read")
            continue
        spans += [(row, False)] if found is None else [(each, True) for each in found]
        lines += [row] if found is None else []
    notes += unknown_keys(lines, KNOWN)
    for row, is_span in spans:
        try:
            yield span_exchange(row) if is_span else exchange(row)
        except MALFORMED as exc:
            left_out.add(row, _reason(exc))


def _questions(
    exchanges: Iterable[Exchange], notes: list[Problem], left_out: _LeftOut
) -> list[_Question]:
    questions: dict[str, _Question] = {}
    found: defaultdict[str, list[tuple[Row, int]]] = defaultdict(list)
    examples: dict[str, str] = {}
    clean: set[str] = set()
    for each in exchanges:
        if not each.tools:
            left_out.add(each.row, "it offered no tools")
            continue
        masks = Masks(clean=clean)
        try:
            if not all(isinstance(message, Mapping) for message in each.messages):
                raise ValueError('"messages" must be a list of messages')
            messages = masks.mask(list(each.messages))
            answer = masks.mask(dict(each.answer))
            key = canonical_json([messages, each.tools])
            called = canonical_json(_calls(answer))
        except MALFORMED as exc:
            left_out.add(each.row, _reason(exc))
            continue
        for rule, values in masks.values.items():
            found[rule].append((each.row, len(values)))
            examples.setdefault(rule, next(iter(values.values())))
        question = questions.get(key)
        if question is None:
            question = questions[key] = _Question(
                row=each.row,
                messages=messages,
                tools=each.tools,
                identity=f"log-{digest(key).removeprefix('sha256:')[:12]}",
                answers={},
                times=Counter(),
            )
        question.answers.setdefault(called, answer)
        question.times[called] += 1
    notes += (
        places[0][0].note(
            f"masked: {rule}, {sum(many for _, many in places)} in "
            f"{count(len(places), 'exchange')}, such as {examples[rule]}"
        )
        for rule, places in found.items()
    )
    return list(questions.values())


def _calls(answer: Mapping[str, Any]) -> list[list[str]]:
    """
    Return name and arguments of what a message calls.
    """
    given = [call["function"] for call in answer.get("tool_calls") or ()]
    if answer.get("function_call"):
        given.append(answer["function_call"])
    if not all(isinstance(call["name"], str) for call in given):
        raise ValueError("a call without a name")
    return [[call["name"], canonical_json(call.get("arguments"))] for call in given]


def _conversation(
    asked: _Question, notes: list[Problem], left_out: _LeftOut
) -> Conversation | None:
    row = replace(asked.row, value={"id": asked.identity})
    said: list[Problem] = []
    # The history is as it was, whoever wrote it.
    history = [
        {**message, "weight": 0} if message.get("role") == "assistant" else message
        for message in asked.messages
    ]
    try:
        made = conversation(row, [*history, asked.answers[asked.usual]], asked.tools, said)
    except MALFORMED as exc:
        left_out.add(asked.row, _reason(exc))
        return None
    notes += said
    return made


def _groups(questions: Sequence[_Question]) -> list[str]:
    """
    Return the group of each question: that of the first one that it is near, or whose conversation
    it goes on with, or else its own.
    """
    leader = list(range(len(questions)))

    def lead(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    def join(one: int, other: int) -> None:
        first, last = sorted((lead(one), lead(other)))
        leader[last] = first

    begun: dict[str, int] = {}
    for place, asked in enumerate(questions):
        opening = next((each for each in asked.messages if each.get("role") == "user"), None)
        join(place, begun.setdefault(canonical_json(opening), place))
    # Equal prompts need no comparison.
    prompts: dict[str, int] = {}
    for place, asked in enumerate(questions):
        join(place, prompts.setdefault(normalized(asked.prompt), place))
    places = list(prompts.values())
    for found in near(list(prompts), threshold=WITHIN_SUITE):
        join(places[found.position], places[found.other])
    return [questions[lead(place)].identity for place in range(len(questions))]


def _not_sampled(left: Sequence[_Question], kept: Sized) -> Iterator[Problem]:
    if left:
        of_each = Counter(each.calls for each in left)
        shares = [f"{many} with {name}" for name, many in of_each.most_common()]
        yield left[0].row.note(
            f"left out: {count(len(left), 'question')} beyond {len(kept)} that show tools alike: "
            f"{named(shares)}; --limit takes more"
        )


def _repeated(questions: Sequence[_Question]) -> Iterator[Problem]:
    again = [each for each in questions if each.times.total() > 1]
    if again:
        more = sum(each.times.total() - 1 for each in again)
        differ = sum(len(each.times) > 1 for each in again)
        yield again[0].row.note(
            f"{count(len(again), 'question')} asked {more} more times and taken once"
            + (f", {differ} of them answered differently (tag {DIFFER})" if differ else "")
        )


def _proposed(case: ImportedCase, asked: _Question, group: str | None) -> ImportedCase:
    row: dict[str, Any] = {**case.row, "status": "proposed"}
    if group is not None:
        row["group"] = group
    if len(asked.times) > 1:
        row["tags"] = [DIFFER]
    return replace(case, row=row, numbered=False)


IMPORTER = OpenaiLog()
