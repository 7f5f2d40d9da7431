"""
Stored answers instead of a model: a file of transcripts, made by this harness or anything else.

One JSON line per answer, as in transcripts.jsonl; plain or gzipped.
"""

import gzip
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from harness.backends.base import BackendOptions, Generation, Request
from harness.checkpoints.cache import file_digest
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.reference import Reference
from harness.dialects.base import Dialect
from harness.dialects.registry import dialect, names, own_template
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
    ) -> None:
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
        transcripts = read_transcripts(path, cases=options.cases)
        spoken = _dialect(options.dialect, transcripts.values(), path)
        with boundary(TranscriptError, f"{path} cannot be read"):
            content = file_digest(path)
        checkpoint = Checkpoint(
            reference=str(reference),
            # The file stands for the model: two files are two checkpoints.
            weights=content,
            dialect=spoken.name,
            dialect_version=spoken.version,
            response_template=own_template(spoken),
        )
        return cls(checkpoint=checkpoint, transcripts=transcripts, notify=options.notify)

    @property
    def checkpoint(self) -> Checkpoint:
        """
        The checkpoint that is replayed; the digest of the file stands for its weights.
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
        cases = {key.case for key in self._asked}
        unused = [key for key in self._transcripts.keys() - self._asked if key.case in cases]
        if unused:
            first = min(unused)
            self._notify(
                f"note: {len(unused)} lines of {self._checkpoint.reference} were not used, such as "
                f"repeat {first.repeat}, turn {first.turn} of case {first.case!r}; --repeats sets "
                "how many repeats are"
            )
        self._transcripts.clear()

    def _stored(self, key: Key) -> Transcript:
        found = self._transcripts.get(key)
        if found is not None:
            return found
        which = f"case {key.case}, repeat {key.repeat}, turn {key.turn}"
        return Transcript(key=key, error=f"no line for {which} in {self._checkpoint.reference}")


def read_transcripts(path: Path, *, cases: Collection[str] | None = None) -> dict[Key, Transcript]:
    """
    Read a file of transcripts, ``.jsonl`` or ``.jsonl.gz``, in the order of its lines.

    Raises:
        TranscriptError: as `ReplayBackend.open` says; *cases* are the ids of the suite.
    """
    found: dict[Key, Transcript] = {}
    lines: dict[Key, int] = {}
    for number, line in _lines(path):
        with boundary(TranscriptError, f"{path}:{number}"):
            transcript = Transcript.from_json(line)
        key = transcript.key
        if cases is not None and key.case not in cases:
            raise TranscriptError(
                f"{path}:{number}: case {key.case!r} is not in the suite; use the suite it was "
                "made with, or remove the line"
            )
        if key in found:
            raise TranscriptError(
                f"{path}:{number}: case {key.case!r}, repeat {key.repeat}, turn {key.turn} already "
                f"has an answer on line {lines[key]}; remove one"
            )
        found[key], lines[key] = transcript, number
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    with boundary(TranscriptError, f"{path} cannot be read"):
        opener = gzip.open if path.suffix == ".gz" else open
        file = opener(path, "rb")
    with file:
        while True:
            with boundary(TranscriptError, f"{path}:{number + 1}"):
                line = file.readline().decode("utf-8-sig" if number == 0 else "utf-8")
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
    return dialect("native")
