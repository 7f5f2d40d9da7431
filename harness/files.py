"""
Writing files and folders whole or not at all, whenever the process dies.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.errors import StoreError, UsageError, boundary


def write_text(path: Path, text: str) -> None:
    """
    Replace *path* by a file holding *text*.

    Raises:
        StoreError: if it is a folder, or a link that leads to itself.
        OSError: if it cannot be written.
    """
    path = _behind_links(path)
    if path.exists() and not path.is_file():
        if path.is_dir():
            raise StoreError(f"{path} is a folder; name a file in it")
        # A device or a pipe is written to, never replaced.
        path.write_text(text, "utf-8")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files for the owner alone; these are to be read like any other.
        Path(name).chmod(path.stat().st_mode if path.exists() else 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _behind_links(path: Path) -> Path:
    """
    Give the file a link stands for, or *path* where it is none.
    """
    try:
        found = path.resolve()
        # From Python 3.13 on a loop is no error, and ends at a link.
        endless = found.is_symlink()
    except RuntimeError:
        endless = True
    if endless:
        raise StoreError(f"{path} leads over a link that leads back to itself; remove the link")
    return found


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """
    Make *folder* with *files*, names to texts; it appears when it is complete.

    Raises:
        UsageError: if it is there already and not empty, or cannot be made.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} is there already; choose another name")
    with boundary(UsageError, f"cannot make {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when complete, so that no half suite is ever found.
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            draft.chmod(0o755)
            for file, text in files.items():
                (draft / file).write_text(text, "utf-8", newline="\n")
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
