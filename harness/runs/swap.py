"""
One folder put in the place of another, so that a kill at any moment loses neither.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock


def remove(path: Path) -> None:
    """
    Remove a file, a link or a whole folder; one that does not exist is fine.
    """
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def set_aside(target: Path) -> Path:
    """
    Return where what stood at *target* waits while its successor takes the place.
    """
    return target.with_name(f".{target.name}.before")


def heal(target: Path) -> None:
    """
    Put back what a kill in the middle of a swap left aside; a swap that is going on is waited for.
    """
    # The current folder and the root have no name, and are no baselines.
    if target.name and set_aside(target).exists() and not target.exists():
        with lock_folder(target):
            put_back(target)


def put_back(target: Path) -> None:
    """
    Undo a swap that a kill left half done; the folder's lock must be held.
    """
    aside = set_aside(target)
    if aside.exists() and not target.exists():
        aside.rename(target)


@contextlib.contextmanager
def lock_folder(target: Path) -> Iterator[None]:
    """
    Hold the lock of *target*, across processes.
    """
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
