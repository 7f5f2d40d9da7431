"""
Accepted runs: saved under a name at one stable path, listed, and their history.

A baseline is replaced by two renames. What it was before moves to ``<suite>/history/<name>-<time>``
and is then a run folder like any other, which no command lists as a baseline.
"""

import contextlib
import os
import re
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.canonical import canonical_json, digest_bytes, parse_json
from harness.errors import StoreError, boundary
from harness.runs.accepted import ACCEPTED
from harness.runs.overrides import OVERRIDES, read_overrides
from harness.runs.record import is_intact, is_sealed
from harness.runs.store import HISTORY, RUN, SUITE, TRANSCRIPTS, StoredRun, load_run
from harness.runs.swap import heal, lock_folder, put_back, remove, set_aside
from harness.runs.verify import verified

REPLACED = "history"
"""The folder in a suite's baselines that keeps what they were before."""

_STAMPED = re.compile(r"(.+)-(\d{8}-\d{6})(?:-(\d+))?")
_PARTS = (RUN, TRANSCRIPTS, SUITE)
_ENTRY = {"saved", "from", "reason", "run", "checkpoint", "suite", "metrics"}


def baseline_folder(baselines: Path, suite: str, name: str) -> Path:
    """
    Return the folder of the baseline *name* of *suite*, whether it exists or not.

    Raises:
        StoreError: if a name cannot be that of a folder.
    """
    for what, part in (("baseline", name), ("suite", suite)):
        if not re.fullmatch(r"[\w\-][\w.\-]*", part):
            raise StoreError(
                f"{what} name {part!r} cannot be a folder's name; use letters, digits, - _ and ."
            )
    if name == REPLACED:
        raise StoreError(f"baseline name {name!r} is that of the folder of replaced runs")
    return baselines / suite / name


def save_baseline(
    run: StoredRun,
    baselines: Path,
    name: str,
    *,
    saved: str,
    reason: str | None,
    instead_of: str | None,
) -> StoredRun:
    """
    Store *run* as the baseline *name* of its suite, and note it in the baseline's history.

    *saved* is the time, ISO 8601, and *instead_of* what `digest_of_run` said of the baseline that
    is replaced: if another run is there by now, nothing is. A replaced run is kept under
    ``history/`` beside the baseline, unless it is the same run; files that are not part of a run
    stay where they are. Whether the run should be accepted is asked in
    `harness.workflow.baseline`.

    Raises:
        StoreError: if it cannot be saved, or the baseline's history cannot be read.
        HarnessError: as `verified`, if the run does not follow from its evidence; then nothing is
            replaced.
    """
    target = baseline_folder(baselines, run.record.suite.name, name)
    verified(run)
    with boundary(StoreError, f"{run.folder}: cannot be saved as {target}"), lock_folder(target):
        _tidy(target, saved)
        if digest_of_run(target) != instead_of:
            raise StoreError(
                f"{target}: another run was accepted at the same moment; save again to see which"
            )
        # A baseline that was removed brings its history back with it.
        kept = run.folder.resolve().parent == (target.parent / REPLACED).resolve()
        before = run.folder if kept and not target.exists() else target
        baseline_history(before)
        history = _history_text(before)
        if history and not history.endswith("\n"):
            history += "\n"
        entry: dict[str, Any] = {
            "saved": saved,
            "from": os.path.relpath(run.folder, baselines.parent),
            "reason": reason,
            "run": digest_of_run(run.folder),
            "checkpoint": run.record.checkpoint.to_json(),
            "suite": {"version": run.record.suite.version, "digest": run.record.suite.digest},
            "metrics": {key: metric.value for key, metric in run.record.metrics.items()},
            "intervals": {
                key: [metric.low, metric.high]
                for key, metric in run.record.metrics.items()
                if metric.low is not None
            },
        }
        if overrides := read_overrides(run.folder):
            entry["overrides"] = overrides
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=_new(target)) as work:
            fresh = Path(work) / "baseline"
            fresh.mkdir()
            for part in _PARTS:
                shutil.copyfile(run.folder / part, fresh / part)
            if is_sealed(run.record) and not is_intact((fresh / RUN).read_bytes()):
                raise StoreError(f"{run.folder / RUN} was changed while it was saved; restore it")
            (fresh / HISTORY).write_text(history + canonical_json(entry) + "\n", "utf-8")
            if target.exists():
                _carry_over(target, fresh, same=same_run(target, run.folder))
                target.rename(set_aside(target))
            fresh.rename(target)
            _tidy(target, saved)
    return replace(run, folder=target)


def digest_of_run(folder: Path) -> str | None:
    """
    Return the digest of the run.json in *folder*; None if there is none.
    """
    path = folder / RUN
    return digest_bytes([path.read_bytes()]) if path.is_file() else None


def same_run(one: Path, other: Path) -> bool:
    """
    Return whether two folders hold the same run, byte for byte.
    """
    return all(
        (one / part).is_file()
        and (other / part).is_file()
        and (one / part).read_bytes() == (other / part).read_bytes()
        for part in _PARTS
    )


def remove_baseline(folder: Path, *, removed: str) -> Path:
    """
    Move the baseline in *folder* to ``history/`` beside it at the time *removed*, ISO 8601, and
    return where it is now.
    """
    with boundary(StoreError, f"{folder}: cannot be removed"), lock_folder(folder):
        _tidy(folder, removed)
        return _retire(folder, folder, removed)


def rename_baseline(folder: Path, name: str, *, renamed: str) -> Path:
    """
    Give the baseline in *folder* another name at the time *renamed*, ISO 8601, and return its
    folder.

    Raises:
        StoreError: if there is a baseline of that name, or it cannot be a folder's.
    """
    target = baseline_folder(folder.parent.parent, folder.parent.name, name)
    with boundary(StoreError, f"{folder}: cannot be renamed"), contextlib.ExitStack() as held:
        for each in sorted({folder, target}):
            held.enter_context(lock_folder(each))
            _tidy(each, renamed)
        if target.exists():
            raise StoreError(
                f"{target} exists; nothing is replaced: `harness baseline rm {name}` removes it"
            )
        folder.rename(target)
    return target


def replaced_runs(baselines: Path) -> dict[tuple[str, str], list[Path]]:
    """
    Return the runs under ``history/`` by suite and name of the baseline, the newest first.
    """
    found: dict[tuple[str, str], list[tuple[str, int, Path]]] = {}
    for folder in baselines.glob(f"*/{REPLACED}/*"):
        if matched := _STAMPED.fullmatch(folder.name):
            name, stamp, number = matched.groups(default="1")
            key = (folder.parent.parent.name, name)
            found.setdefault(key, []).append((stamp, int(number), folder))
    return {
        key: [folder for *_, folder in sorted(found[key], reverse=True)] for key in sorted(found)
    }


def prune_replaced(baselines: Path, *, keep: int) -> list[Path]:
    """
    Remove all but the newest *keep* replaced runs of each baseline, and return what was removed.
    """
    old = [each for runs in replaced_runs(baselines).values() for each in runs[keep:]]
    for folder in old:
        with boundary(StoreError, f"{folder}: cannot be removed"):
            shutil.rmtree(folder)
    return old


def _tidy(target: Path, when: str) -> None:
    """
    Finish or undo a swap that was killed, and clean up after it; the folder's lock must be held.
    """
    put_back(target)
    for left in target.parent.glob(f"{_new(target)}*"):
        remove(left)
    aside = set_aside(target)
    if not aside.exists():
        remove(aside)  # a link to nothing
    elif same_run(aside, target):
        remove(aside)
    else:
        _retire(aside, target, when)


def _new(target: Path) -> str:
    """
    Return how the folders begin in which the next content of *target* is put together.
    """
    return f".{target.name}.new."


def _retire(folder: Path, target: Path, when: str) -> Path:
    """
    Move *folder*, which holds what *target* was until *when*, to ``history/``.
    """
    moment = datetime.fromisoformat(when)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    stamped = target.parent / REPLACED / f"{target.name}-{moment:%Y%m%d-%H%M%S}"
    place, number = stamped, 2
    while place.exists():
        place = stamped.with_name(f"{stamped.name}-{number}")
        number += 1
    place.parent.mkdir(exist_ok=True)
    if folder.is_symlink():
        # A relative link would lead elsewhere from there.
        shutil.copytree(folder, place, symlinks=True)
        folder.unlink()
    else:
        folder.rename(place)
    return place


def _carry_over(old: Path, new: Path, *, same: bool) -> None:
    """
    Copy the files in *old* that are not part of a run; what was accepted for it or overridden, only
    where the run is the *same*.
    """
    for path in old.iterdir() if old.is_dir() else ():
        target = new / path.name
        of_run = path.name in (ACCEPTED, OVERRIDES)
        if path.name in (*_PARTS, HISTORY) or (of_run and not same):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, target, symlinks=True)
        else:
            shutil.copy2(path, target, follow_symlinks=False)


def heal_baselines(baselines: Path) -> None:
    """
    Undo each swap of a baseline that was killed between its renames: until then it is not there.
    """
    for hidden in baselines.glob("*/.*.before"):
        folder = hidden.with_name(hidden.name[1 : -len(".before")])
        with boundary(StoreError, f"{folder}: cannot be put back from {hidden.name}"):
            heal(folder)


def list_baselines(baselines: Path) -> list[StoredRun]:
    """
    Return every baseline under *baselines*, ordered by suite and name.
    """
    if not baselines.is_dir():
        return []
    heal_baselines(baselines)
    return [
        load_run(path.parent)
        for path in sorted(baselines.glob(f"*/*/{RUN}"))
        if not path.parent.name.startswith(".")
    ]


def baseline_history(folder: Path) -> list[dict[str, Any]]:
    """
    Return the history of the baseline in *folder*, oldest entry first.

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
            raise StoreError(f"{where}: not a history entry, which has {keys}")
        entries.append(entry)
    return entries


def _history_text(folder: Path) -> str:
    path = folder / HISTORY
    with boundary(StoreError, f"{path}: cannot be read"):
        return path.read_text("utf-8") if path.exists() else ""
