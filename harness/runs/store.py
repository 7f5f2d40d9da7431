"""
Complete runs and baselines, read from disk. Runs are written by `harness.runs.writer`.

A baseline is a copy of a run folder under ``<suite>/<name>/``, with ``history.jsonl`` beside it:
one line for each run ever accepted there, with time, source and reason. What it was before it was
replaced or removed is kept in ``<suite>/history/<name>-<time>/``.

A baseline's folder is swapped by two renames and repaired by the next reader if the process is
killed between them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from harness.canonical import digest_bytes
from harness.errors import StoreError, TranscriptError, boundary
from harness.files import read_intact, stored_chunks
from harness.lazy import Lazily
from harness.runs.record import Digests, RunRecord, decode
from harness.runs.swap import heal
from harness.suites.copies import CopiedCase, copied_cases, load_suite_copy
from harness.suites.suite import Suite
from harness.transcript import Key, Transcript

if TYPE_CHECKING:
    import msgspec

T = TypeVar("T")

RUN, TRANSCRIPTS, SUITE = "run.json", "transcripts.jsonl", "suite.json"
UNFINISHED, HISTORY = "unfinished.json", "history.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """
    A complete run on disk.
    """

    folder: Path
    record: RunRecord

    @property
    def suite_path(self) -> Path:
        """
        The copy of the suite this run was made with.
        """
        return self.folder / SUITE

    def suite(self) -> Suite:
        """
        Return the copy of the suite this run was made with.

        Raises:
            SuiteError: listing its problems.
        """
        return load_suite_copy(self.suite_path, digest=self._digest_of("suite"))

    def cases(self) -> Mapping[str, CopiedCase]:
        """
        Return the cases of that suite by id, each built when it is looked at.

        Raises:
            SuiteError: as `suite`.
        """
        return copied_cases(self.suite_path, digest=self._digest_of("suite"))

    def transcripts(self) -> Iterator[Transcript]:
        """
        Yield the run's transcripts in the order they were made.
        """
        return read_transcripts(self.folder / TRANSCRIPTS)

    def answers(self) -> Mapping[Key, Transcript]:
        """
        Return the same by key, each read when it is looked at.

        Raises:
            StoreError, TranscriptError: as `read_transcripts_by_key`.
        """
        text = read_intact(self.folder / TRANSCRIPTS, self._digest_of("transcripts"))
        return read_transcripts_by_key(self.folder) if text is None else _by_key_lazily(text)

    def _digest_of(self, part: Literal["suite", "transcripts"]) -> str | None:
        digests = self.record.digests
        return None if digests is None else getattr(digests, part)


@cache
def _keyed() -> "msgspec.json.Decoder[Any]":
    import msgspec

    counted = [(name, int, 0) for name in ("repeat", "turn", "step")]
    return msgspec.json.Decoder(msgspec.defstruct("Keyed", [("case", str), *counted], gc=False))


def key_of(line: bytes) -> Key:
    """
    Return the key of a sound line of transcripts.jsonl.
    """
    if b"\\u" in line:  # half a surrogate pair, perhaps, which msgspec refuses
        return Transcript.from_json(line.decode("utf-8")).key
    return Key.of(_keyed().decode(line))


def _decoded(line: bytes) -> Transcript:
    return Transcript.from_json(line.decode("utf-8"))


def _by_key_lazily(text: bytes) -> Mapping[Key, Transcript]:
    """
    Return the transcripts in a transcripts.jsonl that is as it was written.
    """
    return Lazily(lambda: dict(zip(_keys(text), text.splitlines(), strict=True)), _decoded)


def _keys(text: bytes) -> Iterable[Key]:
    """
    Return the key of each line of *text*, as `key_of` does.
    """
    if b"\\u" in text:
        return map(key_of, text.splitlines())
    # All at once, which takes half as long.
    return map(Key.of, _keyed().decode_lines(text))


def is_run(folder: Path) -> bool:
    """
    Return whether *folder* holds a run, complete or unfinished.
    """
    return (folder / RUN).is_file() or (folder / UNFINISHED).is_file()


def suite_of_run(folder: Path) -> str:
    """
    Return the name of the suite of the run in *folder*, complete or unfinished.

    Raises:
        StoreError: if there is none, or its copy of the suite cannot be read.
    """
    if not is_run(folder):
        raise StoreError(f"{folder}: neither a complete nor an unfinished run is there")
    with boundary(StoreError, f"{folder / SUITE}: cannot be read"):
        return str(json.loads((folder / SUITE).read_text("utf-8"))["name"])


def load_run(folder: Path) -> StoredRun:
    """
    Read a complete run, or a baseline.

    Raises:
        StoreError: if there is none.
        RecordError: if its run.json cannot be read.
    """
    heal(folder)
    path = folder if folder.name == RUN and folder.is_file() else folder / RUN
    if not path.is_file():
        if (folder / UNFINISHED).exists():
            raise StoreError(
                f"{folder}: this run is unfinished; continue it with `harness run --resume`"
            )
        raise StoreError(f"{folder}: no {RUN} here, so this is not a run folder")
    with boundary(StoreError, f"{path}: cannot be read"):
        content = path.read_bytes()
    return StoredRun(folder=path.parent, record=decode(content, str(path)))


def digests_of(folder: Path) -> Digests:
    """
    Return the digests of what the run in *folder* is judged from.

    Raises:
        StoreError: if a file cannot be read.
    """
    return Digests(suite=_digest(folder / SUITE), transcripts=_digest(folder / TRANSCRIPTS))


def _digest(path: Path) -> str:
    with boundary(StoreError, f"{path}: cannot be read"):
        return digest_bytes(stored_chunks(path))


def read_transcripts(path: Path) -> Iterator[Transcript]:
    """
    Yield the transcripts of a run's transcripts.jsonl.

    Raises:
        StoreError: if there is no such file.
        TranscriptError: naming file and line of what cannot be read.
    """
    for number, line in _numbered(path):
        yield _read_line(path, number, line, Transcript.from_json)


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        stream = path.open("rb")
    except OSError as exc:
        raise StoreError(f"{path}: cannot be read: {exc.strerror}") from exc
    with stream:
        yield from enumerate(stream, start=1)


def _read_line(path: Path, number: int, line: bytes, read: Callable[[str], T]) -> T:
    try:
        return read(line.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise TranscriptError(f"{path}:{number}: {exc}") from exc


def read_transcripts_by_key(folder: Path) -> Mapping[Key, Transcript]:
    """
    Return the transcripts of a run folder, complete or not, by key. All are read at once, to find
    what is wrong with them, and each again when it is looked at: only their lines are kept.

    Raises:
        TranscriptError: if two answers have the same key, or there is a gap in the repeats.
    """
    path = folder / TRANSCRIPTS
    lines: dict[Key, bytes] = {}
    for number, line in _numbered(path):
        key = _read_line(path, number, line, Transcript.key_in)
        if key in lines:
            first = 1 + list(lines).index(key)
            raise TranscriptError(
                f"{path}:{number}: {key.as_written} already has an answer on line {first}; "
                "remove one"
            )
        lines[key] = line
    if gap := gap_in_repeats(lines):
        index, reason = gap
        raise TranscriptError(f"{path}:{index + 1}: {reason}")
    return Lazily(lambda: lines, _decoded)


def gap_in_repeats(keys: Iterable[Key]) -> tuple[int, str] | None:
    """
    Return the index in *keys* at which there is a gap in the repeats, and the gap in words; None
    if there is none.

    The highest repeat decides how many are judged, so one mistyped number would otherwise add that
    many answers that were never asked for.
    """
    first: dict[int, tuple[int, Key]] = {}
    for index, key in enumerate(keys):
        first.setdefault(key.repeat, (index, key))
    last = max(first, default=-1)
    if last < len(first):
        return None
    missing = next(number for number in count() if number not in first)
    index, key = first[last]
    return index, (
        f"case {key.case!r} has repeat {last}, but no answer has repeat {missing}; repeats count "
        "from 0 without a gap"
    )
