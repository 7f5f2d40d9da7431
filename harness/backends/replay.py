"""
Stored answers instead of a model: a file of answers, made by this harness or anything else.

One JSON line per answer, as in transcripts.jsonl or as an API returned it; plain or gzipped.
docs/replay.md has every key.
"""

import gzip
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.responses import ANSWERS, as_line
from harness.canonical import parse_json
from harness.checkpoints.cache import file_digest
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.reference import Reference
from harness.dialects.anthropic import holds_calls
from harness.dialects.base import Dialect
from harness.dialects.registry import dialect, names, own_template
from harness.documents import read_document
from harness.errors import DialectError, TranscriptError, UsageError, boundary
from harness.transcript import Key, Transcript


class ReplayBackend:
    """
    The answers of one file.
    """

    def __init__(
        self,
        *,
        checkpoint: Checkpoint,
        transcripts: Mapping[Key, Transcript],
        notify: Callable[[str], None] = lambda _: None,
        once: bool = False,
    ) -> None:
        """
        With *once* an answer is let go when it is given, and not given again.
        """
        self._once = once
        self._checkpoint = checkpoint
        self._transcripts = dict(transcripts)
        self._asked: set[Key] = set()
        self._notify = notify

    @classmethod
    def open(cls, reference: Reference, options: BackendOptions) -> Self:
        """
        Read the whole file.

        Raises:
            TranscriptError: for a bad line, two lines for one answer, or a line for a case that is
                not in the suite; the message begins with file:line.
            DialectError: if there is raw output and no dialect is given.
        """
        path = Path(reference.target).expanduser()
        return cls.of(reference, read_transcripts(path, cases=options.cases), options)

    @classmethod
    def of(
        cls,
        reference: Reference,
        transcripts: Mapping[Key, Transcript],
        options: BackendOptions,
        *,
        once: bool = False,
    ) -> Self:
        """
        Return a backend of *transcripts*, which were read from the file of *reference*, and which
        it gives *once* or as often as it is asked.

        Raises:
            TranscriptError, DialectError: as `open`.
        """
        path = Path(reference.target).expanduser()
        spoken = _dialect(options.dialect, transcripts.values(), path)
        with boundary(TranscriptError, f"{path} cannot be read"):
            content = file_digest(path)
        checkpoint = Checkpoint(
            reference=str(reference),
            # The file is taken for the model: two files are two checkpoints.
            weights=content,
            dialect=spoken.name,
            dialect_version=spoken.version,
            response_template=own_template(spoken),
        )
        return cls(checkpoint=checkpoint, transcripts=transcripts, notify=options.notify, once=once)

    @property
    def checkpoint(self) -> Checkpoint:
        """
        The checkpoint that is replayed; the digest of the file is given as that of its weights.
        """
        return self._checkpoint

    def describe(self) -> Mapping[str, Any]:
        """
        Return the ``backend`` block of run.json; what is unknown of a file is None.
        """
        unknown = dict.fromkeys(("dtype", "device", "batch", "attention"))
        return {"name": "replay", **unknown}

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Yield the stored answers; an answer without a line is a transcript with `error`.
        """
        self._asked.update(request.key for request in requests)
        yield [self._stored(request.key) for request in requests]

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Refuse: there is no time to measure.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"{self._checkpoint.reference}: a replay cannot be timed; drop --latency, and the "
            "times stored in its lines are kept"
        )

    def close(self) -> None:
        """
        Free the answers, and report those of requested cases that were never requested themselves.
        """
        unused = self._transcripts.keys() - self._asked
        if unused:
            cases = {key.case for key in self._asked}
            unused = {key for key in unused if key.case in cases}
        if unused:
            first = min(unused)
            self._notify(
                f"note: {len(unused)} lines of {self._checkpoint.reference} were not used, such as "
                f"{first.as_written}; --repeats sets how many repeats are"
            )
        self._transcripts.clear()

    def _stored(self, key: Key) -> Transcript:
        found = (self._transcripts.pop if self._once else self._transcripts.get)(key, None)
        if found is not None:
            # What the calls of an executed case return is made again.
            return found if found.results is None else replace(found, results=None)
        repeat = f", repeat {key.repeat}" if key.repeat else ""
        turn = f", turn {key.turn + 1}" if key.turn else ""
        turn += f", step {key.step}" if key.step else ""
        missing = f"no line for case {key.case!r}{repeat}{turn} in {self._checkpoint.reference}"
        return Transcript(key=key, error=missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One line of a file of answers.
    """

    number: int
    row: Mapping[str, Any]
    """As `harness.backends.responses.as_line` writes it; without ``case`` if it names none."""
    value: Mapping[str, Any]
    """As it is in the file."""


def read_lines(path: Path) -> Iterator[Line]:
    """
    Read a file of answers: JSON lines, plain or gzipped, or one JSON list.

    Raises:
        TranscriptError: naming file and line of what cannot be read.
    """
    for number, value in _values(path):
        yield _line(path, number, value)


def answer_of(path: Path, line: Line) -> Transcript:
    """
    Return the answer of a *line* of the file *path*.

    Raises:
        TranscriptError: if it names no case, or is not one answer.
    """
    place = f"{path}:{line.number}"
    if line.row.get("case") is None and any(line.row.get(name) for name in ANSWERS):
        raise TranscriptError(
            f'{place}: a transcript needs "case", the id of a case (or "custom_id"); '
            "`harness score FILE --match prompt` joins answers by what was asked"
        )
    try:
        return Transcript.from_row(line.row)
    except ValueError as exc:
        raise TranscriptError(f"{place}: {exc}") from exc


def read_transcripts(path: Path, *, cases: Collection[str] | None = None) -> dict[Key, Transcript]:
    """
    Read a file of answers that name their cases, in the order of its lines.

    Raises:
        TranscriptError: as `ReplayBackend.open` says; *cases* are the ids of the suite.
    """
    return {key: transcript for key, (_, transcript) in by_key(path, cases)}


def by_key(
    path: Path, cases: Collection[str] | None = None
) -> Iterator[tuple[Key, tuple[int, Transcript]]]:
    """
    Yield the answers of a file by key, each with the number of its line.

    Raises:
        TranscriptError: as `read_transcripts`.
    """
    first: dict[Key, int] = {}
    for number, transcript in _answers(path):
        key = transcript.key
        if cases is not None and key.case not in cases:
            raise TranscriptError(
                f"{path}:{number}: case {key.case!r} is not in the suite; use the suite it was "
                "made with, or remove the line"
            )
        if key in first:
            raise TranscriptError(
                f"{path}:{number}: {key.as_written} already has an answer on line {first[key]}; "
                "remove one"
            )
        first[key] = number
        yield key, (number, transcript)


def _answers(path: Path) -> Iterator[tuple[int, Transcript]]:
    for number, value in _values(path, Transcript.at_once):
        if isinstance(value, Transcript):
            yield number, value
        else:
            yield number, answer_of(path, _line(path, number, value))


def _line(path: Path, number: int, value: Any) -> Line:
    if not isinstance(value, Mapping):
        raise TranscriptError(f"{path}:{number}: a transcript is an object")
    try:
        row = as_line(value)
    except ValueError as exc:
        raise TranscriptError(f"{path}:{number}: {exc}") from exc
    return Line(number=number, row=row, value=value)


def _values(
    path: Path, at_once: Callable[[str], Any] = lambda _: None
) -> Iterator[tuple[int, Any]]:
    """
    Yield the value of each line with its number: what *at_once* makes of its text, unless that is
    None.
    """
    begun = False
    for number, text in _lines(path):
        # A list, or an object over several lines: no line of it is a value of its own.
        if not begun and (text.lstrip().startswith("[") or text.strip() == "{"):
            yield from _whole(path)
            return
        begun = True
        try:
            if (value := at_once(text)) is None:
                value = parse_json(text)
        except (ValueError, RecursionError) as exc:
            raise TranscriptError(f"{path}:{number}: {exc}") from exc
        yield number, value


def _whole(path: Path) -> Iterator[tuple[int, Any]]:
    document = read_document(path, ending=".json")
    if document.problems:
        raise TranscriptError(
            f"{document.problems[0]}; write one JSON object a line (`jq -c . FILE`) or one list"
        )
    if isinstance(document.value, list):
        for index, value in enumerate(document.value):
            yield document.places.find((index,))[1] or 1, value
    else:
        yield 1, document.value


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    with boundary(TranscriptError, f"{path} cannot be read"):
        opener = gzip.open if path.suffix == ".gz" else open
        file = opener(path, "rb")
    with file:
        while True:
            try:
                line = file.readline().decode("utf-8-sig" if number == 0 else "utf-8")
            except Exception:
                # Entered for what went wrong alone: for each line it takes as long as reading it.
                with boundary(TranscriptError, f"{path}:{number + 1}"):
                    raise
            if not line:
                return
            number += 1
            if line.strip():
                yield number, line


def _dialect(asked: str | None, transcripts: Collection[Transcript], path: Path) -> Dialect:
    if asked is not None:
        return dialect(asked)
    if any(transcript.output is not None for transcript in transcripts):
        raise DialectError(
            f"{path} holds raw output, which does not say how tool calls are written in it; "
            f"choose one with --dialect: {', '.join(names())}"
        )
    messages = {each.key.case: each.message for each in transcripts if each.message is not None}
    blocks = next((case for case, message in messages.items() if holds_calls(message)), None)
    calls = next((case for case, message in messages.items() if message.get("tool_calls")), None)
    if blocks is not None and calls is not None:
        raise DialectError(
            f"{path} holds messages of two APIs: OpenAI's (case {calls!r}) and Anthropic's (case "
            f"{blocks!r}); score them from a file each, as two checkpoints"
        )
    return dialect("native" if blocks is None else "anthropic")
