"""
Accepted runs: saved under a name at one stable path, listed, and their history.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from harness.canonical import canonical_json, digest_bytes, parse_json
from harness.errors import StoreError, boundary
from harness.runs.store import HISTORY, RUN, SUITE, TRANSCRIPTS, StoredRun, load_run
from harness.runs.swap import heal, lock_folder, put_back, remove, set_aside
from harness.runs.verify import verified

_ENTRY = {"saved", "from", "reason", "run", "checkpoint", "suite", "metrics"}


def save_baseline(
    run: StoredRun, baselines: Path, name: str, *, saved: str, reason: str | None
) -> StoredRun:
    """
    Accept *run* as the baseline *name* of its suite, and note it in the baseline's history.

    *saved* is the time, ISO 8601. A replaced baseline stays in git and, by digest, in the history;
    files that are not part of a run stay where they are.

    Raises:
        StoreError: if it cannot be saved, or the baseline's history cannot be read.
        HarnessError: as `verified`, if the run does not follow from its evidence; then nothing is
            replaced.
    """
    for what, part in (("baseline", name), ("suite", run.record.suite.name)):
        if not re.fullmatch(r"[\w\-][\w.\-]*", part):
            raise StoreError(
                f"{what} name {part!r} cannot be a folder's name; use letters, digits, - _ and ."
            )
    target = baselines / run.record.suite.name / name
    verified(run)
    with boundary(StoreError, f"{run.folder}: cannot be saved as {target}"), lock_folder(target):
        put_back(target)
        # Left over if an earlier process was killed between a swap and its clean-up.
        remove(set_aside(target))
        baseline_history(target)
        history = _history_text(target)
        if history and not history.endswith("\n"):
            history += "\n"
        entry = {
            "saved": saved,
            "from": os.path.relpath(run.folder, baselines.parent),
            "reason": reason,
            "run": digest_bytes([(run.folder / RUN).read_bytes()]),
            "checkpoint": run.record.checkpoint.to_json(),
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
            aside = set_aside(target)
            if target.exists():
                _carry_over(target, fresh)
                target.rename(aside)
            fresh.rename(target)
            remove(aside)
    return load_run(target)


def _carry_over(old: Path, new: Path) -> None:
    """
    Copy the files in *old* that are not part of a run.
    """
    for path in old.iterdir() if old.is_dir() else ():
        target = new / path.name
        if path.name in (RUN, TRANSCRIPTS, SUITE, HISTORY):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, target, symlinks=True)
        else:
            shutil.copy2(path, target, follow_symlinks=False)


def list_baselines(baselines: Path) -> list[StoredRun]:
    """
    Return every baseline under *baselines*, ordered by suite and name.
    """
    if not baselines.is_dir():
        return []
    for hidden in baselines.glob("*/.*.before"):
        heal(hidden.with_name(hidden.name[1 : -len(".before")]))
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
