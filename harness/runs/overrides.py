"""
Regressions of a run that somebody let through: ``overrides.jsonl`` in its folder, a line each.

They go with the run: a baseline that it becomes has them in its history.
"""

from pathlib import Path
from typing import Any

from harness.canonical import canonical_json, parse_json
from harness.errors import StoreError, boundary
from harness.files import write_text
from harness.runs.swap import lock_folder

OVERRIDES = "overrides.jsonl"

_KEYS = ("by", "reason", "when", "verdict", "because", "baseline")


def add_override(
    folder: Path, *, by: str, reason: str, when: str, verdict: str, because: str, baseline: str
) -> None:
    """
    Note that *by* overrode *verdict* on the run in *folder*, *when* (ISO 8601) and why.

    *because* is the verdict's first reason and *baseline* what the run was held against. The same
    override is noted once, however often the run is gated.

    Raises:
        StoreError: if it cannot be written, or a line that is there cannot be read.
    """
    row = dict(zip(_KEYS, (by, reason, when, verdict, because, baseline), strict=True))
    with boundary(StoreError, f"{folder / OVERRIDES}: cannot be written"), lock_folder(folder):
        rows = read_overrides(folder)
        if row not in rows:
            lines = (canonical_json(each) + "\n" for each in (*rows, row))
            write_text(folder / OVERRIDES, "".join(lines))


def read_overrides(folder: Path) -> list[dict[str, Any]]:
    """
    Return the overrides of the run in *folder*, the first one first.

    Raises:
        StoreError: naming file and line of what cannot be read.
    """
    path = folder / OVERRIDES
    if not path.is_file():
        return []
    found = []
    with boundary(StoreError, f"{path}: cannot be read"):
        lines = path.read_text("utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            with boundary(StoreError, f"{path}:{number}: not an override"):
                row = parse_json(line)
                if not isinstance(row, dict) or not all(isinstance(row[key], str) for key in _KEYS):
                    raise ValueError(f"it has {', '.join(_KEYS)}, all of them text")
            found.append(row)
    return found
