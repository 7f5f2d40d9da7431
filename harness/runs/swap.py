"""
Replace one folder by another so that a process killed at any moment loses neither.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock


def remove(path: Path) -> None:
    """
    Remove a file, a link or a whole folder, if it exists.
    """
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def set_aside(target: Path) -> Path:
    """
    Return where the old content of *target* is kept while the new one moves in.
    """
    return target.with_name(f".{target.name}.before")


def heal(target: Path) -> None:
    """
    Undo a swap that was killed half-way, after waiting for one in progress.
    """
    # The current folder and the root have no name; they are never baselines.
    if target.name and set_aside(target).exists() and not target.exists():
        with lock_folder(target):
            put_back(target)


def put_back(target: Path) -> None:
    """
    Undo a swap that was killed half-way; the folder's lock must be held.
    """
    aside = set_aside(target)
    if aside.exists() and not target.exists():
        aside.rename(target)


@contextlib.contextmanager
def lock_folder(target: Path) -> Iterator[None]:
    """
    Hold the lock of *target* inside the block, across processes.
    """
    from filelock import FileLock

    path = target.with_name(f".{target.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    lock.acquire()
    try:
        yield
    finally:
        release(lock)


def release(lock: "FileLock") -> None:
    """
    Release a lock and leave no file behind.
    """
    # Removed while held: a process that waits for it notices and creates it again.
    with contextlib.suppress(OSError):
        Path(lock.lock_file).unlink()
    lock.release()
