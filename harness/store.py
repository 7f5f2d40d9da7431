"""
The only writer of runs and baselines.

A run folder holds ``suite.json`` (the suite as it was), ``transcripts.jsonl`` (appended and flushed
group by group while the run goes) and, once it is judged, ``run.json``, written last: its presence
means the run is complete. Until then ``unfinished.json`` says what the run was started with, so
that ``--resume`` goes on with the same thing or refuses.

A baseline is a copy of a run folder under ``<suite>/<name>/``, with ``history.jsonl`` beside it:
one line for each run ever accepted there, with when, from what and why.

Files are replaced whole, by rename; a baseline's folder is swapped by two renames and healed by the
next reader if a kill falls between them.
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from filelock import FileLock

from harness.canonical import as_written, canonical_json, digest_bytes
from harness.errors import StoreError, TranscriptError, boundary
from harness.files import write_text
from harness.record import RunRecord, decode, encode
from harness.transcript import Key, Transcript

RUN, TRANSCRIPTS, SUITE = "run.json", "transcripts.jsonl", "suite.json"
UNFINISHED, HISTORY = "unfinished.json", "history.jsonl"
_ENTRY = {"saved", "from", "reason", "run", "checkpoint", "suite", "metrics"}


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

    def transcripts(self) -> Iterator[Transcript]:
        """
        Read the run's evidence, one answer at a time, in the order it was made.
        """
        return read_transcripts(self.folder / TRANSCRIPTS)


class RunWriter:
    """
    A run in the making. A context manager; leaving it closes the file and keeps what is there.
    """

    def __init__(self, folder: Path, done: frozenset[Key], stream: TextIO) -> None:
        self.folder = folder
        self.done = done
        """The answers that were there when the run was taken up again."""
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def append(self, group: Sequence[Transcript]) -> None:
        """
        Write finished transcripts, one line each, and force them to disk.
        """
        for transcript in group:
            self._stream.write(canonical_json(transcript.to_json()) + "\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def finish(self, record: RunRecord) -> StoredRun:
        """
        Write run.json: the run is complete.
        """
        self._stream.close()
        write_text(self.folder / RUN, encode(record))
        (self.folder / UNFINISHED).unlink(missing_ok=True)
        return StoredRun(folder=self.folder, record=record)


def start_run(
    folder: Path, *, suite: Mapping[str, Any], plan: Mapping[str, Any], resume: bool = False
) -> RunWriter:
    """
    Begin a run in *folder*, or go on with the one begun there.

    *plan* is everything that decides the answers; a run goes on only with an equal plan and suite.

    Raises:
        StoreError: if *folder* is in the way, or holds a run begun with something else.
    """
    if (folder / RUN).exists():
        hint = "it is complete: there is nothing to resume"
        if not resume:
            hint = "no run replaces another: choose another --out (--repeats K pools K answers)"
        raise StoreError(f"{folder} holds a run already; {hint}")
    if resume and (folder / UNFINISHED).exists():
        return _resume(folder, suite, plan)
    if (folder / UNFINISHED).exists():
        raise StoreError(
            f"{folder} holds an unfinished run; go on with --resume or choose another --out"
        )
    # A kill right at the start may have left the suite alone: then nothing has been answered yet.
    harmless = {SUITE} if resume else set()
    if folder.exists() and (
        not folder.is_dir() or {path.name for path in folder.iterdir()} - harmless
    ):
        raise StoreError(f"{folder} is not an empty folder; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SUITE, as_written(suite) + "\n")
    # Written after the suite: its presence means the folder can be resumed.
    write_text(folder / UNFINISHED, canonical_json(plan) + "\n")
    return RunWriter(folder, frozenset(), (folder / TRANSCRIPTS).open("a", encoding="utf-8"))


def can_resume(folder: Path, *, suite: Mapping[str, Any], plan: Mapping[str, Any]) -> bool:
    """
    Say whether *folder* holds an unfinished run begun with just this.
    """
    return (folder / UNFINISHED).exists() and all(
        (folder / name).read_text("utf-8") == text + "\n"
        for name, text in ((SUITE, as_written(suite)), (UNFINISHED, canonical_json(plan)))
    )


def discard_run(folder: Path) -> None:
    """
    Remove the run in *folder*, complete or not. Anything else there is left alone.
    """
    # run.json first: a folder without it never looks complete.
    for name in (RUN, UNFINISHED, TRANSCRIPTS, SUITE):
        (folder / name).unlink(missing_ok=True)


def _resume(folder: Path, suite: Mapping[str, Any], plan: Mapping[str, Any]) -> RunWriter:
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
                f"{folder / name}: the unfinished run was begun with another "
                f"{', '.join(changed)}; choose another --out to begin anew"
            )
    path = folder / TRANSCRIPTS
    path.touch()
    _drop_torn_line(path)
    done = _keep_answers(path)
    return RunWriter(folder, done, path.open("a", encoding="utf-8"))


def _keep_answers(path: Path) -> frozenset[Key]:
    """
    Drop the lines that say what broke, so that it is asked again; give the keys of the others.
    """
    kept = list(read_transcripts(path))
    answers = [transcript for transcript in kept if transcript.error is None]
    if len(answers) < len(kept):
        lines = (canonical_json(transcript.to_json()) + "\n" for transcript in answers)
        write_text(path, "".join(lines))
    return frozenset(transcript.key for transcript in answers)


def _drop_torn_line(path: Path) -> None:
    """
    Cut off a last line that a kill left half written: its answer is simply made again.
    """
    with path.open("rb+") as stream:
        size = stream.seek(0, os.SEEK_END)
        keep = size
        while keep:
            # Lines are short; step back in blocks until a line break is found.
            start = max(0, keep - 65536)
            stream.seek(start)
            block = stream.read(keep - start)
            if (cut := block.rfind(b"\n")) >= 0:
                keep = start + cut + 1
                break
            keep = start
        stream.truncate(keep)


def load_run(folder: Path) -> StoredRun:
    """
    Read a complete run, or a baseline.

    Raises:
        StoreError: if there is none.
        RecordError: if its run.json cannot be read.
    """
    _heal(folder)
    path = folder if folder.name == RUN and folder.is_file() else folder / RUN
    if not path.is_file():
        if (folder / UNFINISHED).exists():
            raise StoreError(f"{folder}: this run is unfinished; go on with `harness run --resume`")
        raise StoreError(f"{folder}: no {RUN} here, so this is no run folder")
    with boundary(StoreError, f"{path}: cannot be read"):
        text = path.read_text("utf-8")
    return StoredRun(folder=path.parent, record=decode(text, str(path)))


def read_transcripts(path: Path) -> Iterator[Transcript]:
    """
    Read a run's transcripts.jsonl.

    Raises:
        StoreError: if there is no such file.
        TranscriptError: naming file and line of what cannot be read.
    """
    try:
        stream = path.open("rb")
    except OSError as exc:
        raise StoreError(f"{path}: cannot be read: {exc.strerror}") from exc
    with stream:
        for number, line in enumerate(stream, start=1):
            try:
                transcript = Transcript.from_json(line.decode("utf-8"))
            except (ValueError, RecursionError) as exc:
                raise TranscriptError(f"{path}:{number}: {exc}") from exc
            yield transcript


def save_baseline(
    run: StoredRun, baselines: Path, name: str, *, saved: str, reason: str | None
) -> StoredRun:
    """
    Accept *run* as the baseline *name* of its suite, and note it in the baseline's history.

    *saved* is when, ISO 8601. What stood there before stays in git and in the history's digests.
    """
    for what, part in (("baseline", name), ("suite", run.record.suite.name)):
        if not re.fullmatch(r"[\w\-][\w.\-]*", part):
            raise StoreError(
                f"{what} name {part!r} cannot be a folder's name; use letters, digits, - _ and ."
            )
    target = baselines / run.record.suite.name / name
    with boundary(StoreError, f"{run.folder}: cannot be saved as {target}"), _lock(target):
        _put_back(target)
        # Left where a kill fell between a swap and its tidying up.
        shutil.rmtree(_before(target), ignore_errors=True)
        history = _history_text(target)
        entry = {
            "saved": saved,
            "from": os.path.relpath(run.folder, baselines.parent),
            "reason": reason,
            "run": digest_bytes([(run.folder / RUN).read_bytes()]),
            "checkpoint": run.record.checkpoint,
            "suite": {"version": run.record.suite.version, "digest": run.record.suite.digest},
            "metrics": {key: metric.value for key, metric in run.record.metrics.items()},
            "intervals": {
                key: [metric.low, metric.high]
                for key, metric in run.record.metrics.items()
                if metric.low is not None
            },
        }
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}.new.") as work:
            fresh = Path(work) / "baseline"
            fresh.mkdir()
            for part in (RUN, TRANSCRIPTS, SUITE):
                shutil.copyfile(run.folder / part, fresh / part)
            (fresh / HISTORY).write_text(history + canonical_json(entry) + "\n", "utf-8")
            before = _before(target)
            if target.exists():
                target.rename(before)
            fresh.rename(target)
            shutil.rmtree(before, ignore_errors=True)
    return load_run(target)


def list_baselines(baselines: Path) -> list[StoredRun]:
    """
    Give every baseline under *baselines*, by suite and name.
    """
    if not baselines.is_dir():
        return []
    for hidden in baselines.glob("*/.*.before"):
        _heal(hidden.with_name(hidden.name[1 : -len(".before")]))
    return [
        load_run(path.parent)
        for path in sorted(baselines.glob(f"*/*/{RUN}"))
        if not path.parent.name.startswith(".")
    ]


def baseline_history(folder: Path) -> list[dict[str, Any]]:
    """
    Give the acceptances noted for the baseline in *folder*, oldest first.

    Raises:
        StoreError: naming file and line of an entry that cannot be read.
    """
    entries = []
    for number, line in enumerate(_history_text(folder).split("\n"), start=1):
        if not line:
            continue
        where = f"{folder / HISTORY}:{number}"
        with boundary(StoreError, f"{where}: cannot be read"):
            entry = json.loads(line)
        if not isinstance(entry, dict) or not entry.keys() >= _ENTRY:
            keys = ", ".join(sorted(_ENTRY))
            raise StoreError(f"{where}: no entry of a history, which has {keys}")
        entries.append(entry)
    return entries


def _history_text(folder: Path) -> str:
    path = folder / HISTORY
    with boundary(StoreError, f"{path}: cannot be read"):
        return path.read_text("utf-8") if path.exists() else ""


def _before(target: Path) -> Path:
    return target.with_name(f".{target.name}.before")


def _heal(target: Path) -> None:
    """
    Put back what a kill in the middle of a swap left aside; a swap that is going on is waited for.
    """
    if _before(target).exists() and not target.exists():
        with _lock(target):
            _put_back(target)


def _put_back(target: Path) -> None:
    before = _before(target)
    if before.exists() and not target.exists():
        before.rename(target)


@contextlib.contextmanager
def _lock(target: Path) -> Iterator[None]:
    path = target.with_name(f".{target.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path):
            yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
