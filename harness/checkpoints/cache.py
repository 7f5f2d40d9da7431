"""
What is kept on this machine between runs: prepared models and the digests of large files.

Everything here can be deleted at any time and is made again when it is next needed.
"""

import hashlib
import json
import os
from pathlib import Path

WORTH_KEEPING = 16 * 2**20
"""Files below this many bytes are hashed faster than a stored digest pays for."""


def cache_folder() -> Path:
    """
    Return the user's cache folder, which need not exist yet.

    It is ``$HARNESS_CACHE``, or toolcall-harness where the system keeps caches:
    ``$XDG_CACHE_HOME`` or ``~/.cache`` on Linux, ``~/Library/Caches`` on macOS.
    """
    chosen = os.environ.get("HARNESS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("toolcall-harness", appauthor=False)


def content_digest(path: Path) -> str:
    """
    Return the SHA-256 of a file's content, as ``sha256:<64 hex digits>``.
    """
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def file_digest(path: Path) -> str:
    """
    Return `content_digest` of a file that stays where it is.

    The digest of a large file is kept and used again while path, size and time of change are the
    same, so that weights of some hundred megabytes are read once.
    """
    status = path.stat()
    if status.st_size < WORTH_KEEPING:
        return content_digest(path)
    place = str(path.resolve())
    identity = [place, status.st_size, status.st_mtime_ns]
    name = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()
    entry = cache_folder() / "digests" / f"{name}.json"
    known = _kept(entry)
    if known is not None and known[:3] == identity:
        return str(known[3])
    found = content_digest(path)
    _keep(entry, [*identity, found])
    return found


def _kept(entry: Path) -> list[object] | None:
    try:
        row = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return row if isinstance(row, list) and len(row) == 4 else None


def _keep(entry: Path, row: list[object]) -> None:
    draft = entry.with_suffix(f".{os.getpid()}")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(row), encoding="utf-8")
        draft.replace(entry)
    except OSError:
        # Nothing but time is lost where the cache cannot be written.
        return
