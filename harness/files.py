"""
Files and folders written whole or not at all, whenever the process is killed.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from harness.canonical import digest_bytes
from harness.errors import StoreError, UsageError, boundary

_DRAFT = re.compile(r"\.(.+)\.[a-z0-9_]{8}")
# How `tempfile.mkstemp` names what `write_text` asks it for.


def write_text(path: Path, text: str) -> None:
    """
    Write *text* to *path*, replacing the file there.

    Raises:
        StoreError, OSError: as `write_bytes`.
    """
    write_bytes(path, [text.encode("utf-8")])


def write_bytes(path: Path, chunks: Iterable[bytes | bytearray]) -> None:
    """
    Write *chunks* to *path*, one after the other, replacing the file there.

    Raises:
        StoreError: if it is a folder, or a link that leads to itself.
        OSError: if it cannot be written.
    """
    path = _behind_links(path)
    if path.exists() and not path.is_file():
        if path.is_dir():
            raise StoreError(f"{path} is a folder; name a file in it")
        # A device or a pipe is written to, never replaced.
        with path.open("wb") as stream:
            stream.writelines(chunks)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(chunks)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files that only the owner can read; these get the usual permissions.
        Path(name).chmod(path.stat().st_mode if path.exists() else usual_mode())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def drafts(folder: Path, names: Collection[str]) -> list[Path]:
    """
    Return what a `write_text` that was killed left in *folder* of the files *names*.
    """
    return [
        path
        for path in folder.iterdir()
        if (found := _DRAFT.fullmatch(path.name)) and found[1] in names
    ]


def usual_mode(*, folder: bool = False) -> int:
    """
    Return the permissions of a new file, or folder, by the umask of the user.
    """
    umask = os.umask(0)
    os.umask(umask)
    return (0o777 if folder else 0o666) & ~umask


def _behind_links(path: Path) -> Path:
    """
    Return the file that a link points to, or *path* itself if it is not a link.
    """
    try:
        found = path.resolve()
        # From Python 3.13 on a loop is not an error; the result is a link.
        endless = found.is_symlink()
    except RuntimeError:
        endless = True
    if endless:
        raise StoreError(f"{path} goes through a link that points to itself; remove the link")
    return found


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """
    Create *folder* with *files*, a mapping of names to texts; it appears only once complete.

    Raises:
        UsageError: if it exists and is not empty, or cannot be created.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} already exists; choose another name")
    with boundary(UsageError, f"cannot create {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Renamed once complete, so that a half-written folder is never seen.
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            draft.chmod(usual_mode(folder=True))
            for file, text in files.items():
                (draft / file).write_text(text, "utf-8", newline="\n")
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def read_stored(path: Path) -> bytes:
    """
    Return the bytes of a file of JSON, line ends as they were written: a checkout on Windows may
    have changed them, and JSON holds none inside a value.
    """
    return as_stored(path.read_bytes())


def as_stored(data: bytes) -> bytes:
    """
    Return *data* with line ends as they were written. (One byte is found far sooner than two.)
    """
    return data.replace(b"\r\n", b"\n") if b"\r" in data else data


def stored_chunks(path: Path) -> Iterator[bytes]:
    """
    Yield what `read_stored` returns, piece by piece.
    """
    kept = b""
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            whole = kept + chunk
            # Half a line end waits for its other half.
            kept = b"\r" if whole.endswith(b"\r") else b""
            yield as_stored(whole[: len(whole) - len(kept)])
    yield kept


def read_intact(path: Path, digest: str | None) -> bytes | None:
    """
    Return what `read_stored` does of a file that has this *digest*; None if it has another, or
    cannot be read.
    """
    if digest is None:
        return None
    try:
        content = read_stored(path)
    except OSError:
        return None
    return content if digest_bytes([content]) == digest else None
