"""
Complete runs and baselines: read, accepted, listed. `harness.runs.writer` is what writes a run.

A baseline is a copy of a run folder under ``<suite>/<name>/``, with ``history.jsonl`` beside it:
one line for each run ever accepted there, with when, from what and why.

A baseline's folder is swapped by two renames and healed by the next reader if a kill falls between
them.
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.canonical import canonical_json, digest_bytes, parse_json
from harness.errors import StoreError, TranscriptError, boundary
from harness.runs.record import RunRecord, decode
from harness.transcript import Transcript

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

    *saved* is when, ISO 8601. What stood there before stays in git and in the history's digests;
    files that are not ours stay where they are.

    Raises:
        StoreError: if it cannot be saved, or the baseline's history cannot be read.
        TranscriptError: if the run's evidence cannot be read; nothing is replaced by it.
    """
    for what, part in (("baseline", name), ("suite", run.record.suite.name)):
        if not re.fullmatch(r"[\w\-][\w.\-]*", part):
            raise StoreError(
                f"{what} name {part!r} cannot be a folder's name; use letters, digits, - _ and ."
            )
    target = baselines / run.record.suite.name / name
    _check_evidence(run)
    with boundary(StoreError, f"{run.folder}: cannot be saved as {target}"), _lock(target):
        _put_back(target)
        # Left where a kill fell between a swap and its tidying up.
        _remove(_before(target))
        baseline_history(target)
        history = _history_text(target)
        if history and not history.endswith("\n"):
            history += "\n"
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
                _carry_over(target, fresh)
                target.rename(before)
            fresh.rename(target)
            _remove(before)
    return load_run(target)


def _check_evidence(run: StoredRun) -> None:
    """
    Read what a baseline will be judged by again.
    """
    for _ in run.transcripts():
        pass
    with boundary(StoreError, f"{run.suite_path}: cannot be read; run the suite again"):
        if not isinstance(json.loads(run.suite_path.read_text("utf-8")), dict):
            raise StoreError(f"{run.suite_path}: no suite; run the suite again")


def _carry_over(old: Path, new: Path) -> None:
    """
    Copy what somebody else laid into the folder *old*.
    """
    for path in old.iterdir() if old.is_dir() else ():
        target = new / path.name
        if path.name in (RUN, TRANSCRIPTS, SUITE, HISTORY):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, target, symlinks=True)
        else:
            shutil.copy2(path, target, follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


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
            entry = parse_json(line)
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
    # The current folder and the root have no name, and are no baselines.
    if target.name and _before(target).exists() and not target.exists():
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
    lock = FileLock(path)
    lock.acquire()
    try:
        yield
    finally:
        release(lock)


def release(lock: FileLock) -> None:
    """
    Give a lock back and leave no file behind.
    """
    # Removed while it is held: who waits for it sees that and makes it anew.
    with contextlib.suppress(OSError):
        Path(lock.lock_file).unlink()
    lock.release()
