"""
What is kept on this machine between runs: prepared models, the digests of large files, and what
checks of models have shown.

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
    match kept(entry):
        case [*known, str(digest)] if known == identity:
            return digest
    found = content_digest(path)
    keep(entry, [*identity, found])
    return found


def kept(entry: Path) -> object:
    """
    Return what `keep` wrote to a file of the cache; None if there is nothing that can be read.
    """
    try:
        return json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def keep(entry: Path, value: object) -> None:
    """
    Write *value* to a file of the cache, as JSON, if the cache can be written.
    """
    draft = entry.with_suffix(f".{os.getpid()}")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(value), encoding="utf-8")
        draft.replace(entry)
    except OSError:
        # Nothing but time is lost where the cache cannot be written.
        return
