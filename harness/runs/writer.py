"""
A run in progress: the only writer of answers.

A run folder holds ``suite.json`` (the suite as it was), ``transcripts.jsonl`` (appended and flushed
group by group during the run) and, once it is judged, ``run.json``, written last: its presence
means that the run is complete. Until then ``unfinished.json`` records what the run was started
with, so that ``--resume`` continues the same run or refuses. A process that writes to the run holds
``.lock``: two at once would lose each other's answers.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, TextIO

from filelock import FileLock, Timeout

from harness.canonical import canonical_json
from harness.errors import StoreError, boundary
from harness.files import drafts, write_bytes, write_text
from harness.runs.record import RunRecord, encoded
from harness.runs.store import (
    RUN,
    SUITE,
    TRANSCRIPTS,
    UNFINISHED,
    StoredRun,
    digests_of,
    key_of,
    read_transcripts,
)
from harness.runs.swap import release
from harness.transcript import Key, Transcript

LOCK = ".lock"

_FILES = (RUN, UNFINISHED, TRANSCRIPTS, SUITE)


class RunWriter:
    """
    A run in progress. A context manager; leaving it closes the file, keeps what was written and
    releases the folder's lock.
    """

    def __init__(
        self, folder: Path, done: frozenset[Key], stream: TextIO, held: contextlib.ExitStack
    ) -> None:
        self.folder = folder
        self.done = done
        """The answers that were already there when the run was resumed."""
        self._appended: list[Key] = []
        self._stream = stream
        self._held = held

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._held.close()

    def append(self, group: Sequence[Transcript]) -> None:
        """
        Write finished transcripts, one line each, and force them to disk.
        """
        for transcript in group:
            self._stream.write(canonical_json(transcript.to_json()) + "\n")
            self._appended.append(transcript.key)
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def finish(self, record: RunRecord) -> StoredRun:
        """
        Write run.json: the run is complete. The answers are put into the order of its cases, so
        that equal answers are equal files in whatever order they came.
        """
        self._stream.close()
        self._sort(record)
        record = replace(record, digests=digests_of(self.folder))
        write_bytes(self.folder / RUN, encoded(record))
        (self.folder / UNFINISHED).unlink(missing_ok=True)
        return StoredRun(folder=self.folder, record=record)

    def _sort(self, record: RunRecord) -> None:
        path = self.folder / TRANSCRIPTS
        places = {key: place for place, key in enumerate(record.columns.keys)}

        def rank(key: Key) -> tuple[int, int, int]:
            return places.get(key[:2], len(places)), key.turn, key.step

        # The order of answers that were there before is not known here.
        in_order = not self.done and all(
            one <= other for one, other in pairwise(map(rank, self._appended))
        )
        if not in_order:
            lines = path.read_bytes().splitlines(keepends=True)
            lines.sort(key=lambda line: rank(key_of(line)))
            write_bytes(path, lines)


def start_run(
    folder: Path, *, suite: str, plan: Mapping[str, Any], resume: bool = False
) -> RunWriter:
    """
    Start a run in *folder*, or resume the one started there.

    *suite* is the text of the suite (`Suite.text`). *plan* is everything that decides the answers;
    a run resumes only with an equal plan and suite.

    Raises:
        StoreError: if *folder* is in the way, holds a run started with something else, or another
            process is writing to it.
    """
    content = [suite.encode("utf-8"), b"\n"]
    _refuse(folder, resume, content)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locked(folder))
        # Another process may have got here first.
        _refuse(folder, resume, content)
        _remove_drafts(folder)
        if resume and (folder / UNFINISHED).exists():
            done = _resume(folder, json.loads(suite), plan)
        else:
            done = frozenset()
            write_bytes(folder / SUITE, content)
            # Written after the suite: its presence means the folder can be resumed.
            write_text(folder / UNFINISHED, canonical_json(plan) + "\n")
        stream = (folder / TRANSCRIPTS).open("a", encoding="utf-8")
        return RunWriter(folder, done, stream, stack.pop_all())


def _refuse(folder: Path, resume: bool, suite: Sequence[bytes]) -> None:
    """
    Raise if a run of the suite with this content cannot be put into *folder*.
    """
    if (folder / RUN).exists():
        hint = "it is complete: there is nothing to resume"
        if not resume:
            hint = "no run is replaced: choose another --out (--repeats K pools K answers)"
        raise StoreError(f"{folder} already holds a run; {hint}")
    if (folder / UNFINISHED).exists():
        if not resume:
            raise StoreError(
                f"{folder} holds an unfinished run; `harness run --resume` continues it, or choose "
                "another --out"
            )
        return
    if not folder.exists():
        return
    # A run killed right at the start may have left only the suite: nothing was answered yet.
    if not folder.is_dir() or any(
        path.name != LOCK
        and path not in drafts(folder, _FILES)
        and not (path.name == SUITE and (resume or path.read_bytes() == b"".join(suite)))
        for path in folder.iterdir()
    ):
        raise StoreError(f"{folder} is not an empty folder; choose another --out")


def can_resume(folder: Path, *, suite: str, plan: Mapping[str, Any]) -> bool:
    """
    Return whether *folder* holds an unfinished run started with exactly this.
    """
    return (folder / UNFINISHED).exists() and all(
        (folder / name).read_text("utf-8") == text + "\n"
        for name, text in ((SUITE, suite), (UNFINISHED, canonical_json(plan)))
    )


def discard_run(folder: Path) -> None:
    """
    Remove the run in *folder*, complete or not. Anything else there is left alone.

    Raises:
        StoreError: if another process is writing to it.
    """
    if not folder.is_dir():
        return
    with _locked(folder):
        # run.json first: a folder without it never looks complete.
        for name in _FILES:
            (folder / name).unlink(missing_ok=True)
        _remove_drafts(folder)


@contextlib.contextmanager
def all_or_nothing(folder: Path) -> Iterator[None]:
    """
    Remove what the block began in *folder* and did not finish: doing it again makes it again.
    """
    there = folder.exists()
    empty = not there or (folder.is_dir() and not any(folder.iterdir()))
    try:
        yield
    except BaseException:
        # What was there before is somebody's, and a run with its run.json is finished.
        if empty and not (folder / RUN).is_file():
            discard_run(folder)
            if not there:
                with contextlib.suppress(OSError):
                    folder.rmdir()
        raise


def _remove_drafts(folder: Path) -> None:
    for path in drafts(folder, _FILES):
        path.unlink()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        # Raised before filelock 4 by file systems without locks: a run there goes without one.
        with contextlib.suppress(NotImplementedError):
            lock.acquire()
    except Timeout:
        raise StoreError(
            f"{folder}: another process is writing to this run; wait for it or choose another --out"
        ) from None
    try:
        yield
    finally:
        release(lock)


def _resume(folder: Path, suite: Mapping[str, Any], plan: Mapping[str, Any]) -> frozenset[Key]:
    """
    Check that the run in *folder* can be resumed, and return the keys of the answers it has.
    """
    for name, now in ((SUITE, suite), (UNFINISHED, plan)):
        with boundary(StoreError, f"{folder / name}: cannot be read; choose another --out"):
            then = dict(json.loads((folder / name).read_text("utf-8")))
        if then != json.loads(canonical_json(now)):
            changed = sorted(
                key
                for key in {*then, *now}
                if then.get(key) != json.loads(canonical_json(now)).get(key)
            )
            raise StoreError(
                f"{folder / name}: the unfinished run was started with another "
                f"{', '.join(changed)}; choose another --out to start over"
            )
    path = folder / TRANSCRIPTS
    path.touch()
    _drop_torn_line(path)
    return _keep_answers(path)


def _keep_answers(path: Path) -> frozenset[Key]:
    """
    Drop the lines that record an error, so that they are asked again, and duplicate answers after
    the first; return the keys of those left.
    """
    kept = list(read_transcripts(path))
    answers: dict[Key, Transcript] = {}
    for transcript in kept:
        if transcript.error is None:
            answers.setdefault(transcript.key, transcript)
    if len(answers) < len(kept):
        lines = (canonical_json(transcript.to_json()) + "\n" for transcript in answers.values())
        write_text(path, "".join(lines))
    return frozenset(answers)


def _drop_torn_line(path: Path) -> None:
    """
    Cut off a last line that a killed process left half written: its answer is simply made again.
    """
    with path.open("rb+") as stream:
        size = stream.seek(0, os.SEEK_END)
        keep = size
        while keep:
            # Lines are short: step back in blocks until a line break is found.
            start = max(0, keep - 65536)
            stream.seek(start)
            block = stream.read(keep - start)
            if (cut := block.rfind(b"\n")) >= 0:
                keep = start + cut + 1
                break
            keep = start
        stream.truncate(keep)
