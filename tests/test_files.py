"""
Where a file cannot be written at all; what a death in the middle leaves is in test_store.
"""

import os
from pathlib import Path

import pytest

from harness.errors import HarnessError, StoreError, UsageError
from harness.files import read_stored, stored_chunks, write_folder, write_text


def _loop(folder: Path) -> Path:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    return folder / "a"


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o077, 0o600, 0o700), (0o002, 0o664, 0o775)]
)
def test_what_is_written_has_the_permissions_of_the_users_umask(
    tmp_path: Path, umask: int, file: int, folder: int
):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "a")
        write_folder(tmp_path / "b", {"c.txt": "c"})
    finally:
        os.umask(before)

    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a.txt", "b", "b/c.txt")]
    assert [file, folder, file] == modes


def test_a_link_that_leads_to_itself_is_not_written_through(tmp_path: Path):
    link = _loop(tmp_path)

    with pytest.raises(StoreError, match="goes through a link that points to itself; remove"):
        write_text(link, "x")
    assert link.is_symlink()
    assert ["a", "b"] == sorted(file.name for file in tmp_path.iterdir())


def test_nothing_is_written_below_a_link_that_leads_to_itself(tmp_path: Path):
    link = _loop(tmp_path)

    with pytest.raises((HarnessError, OSError)):
        write_text(link / "file", "x")
    with pytest.raises(UsageError, match="cannot create"):
        write_folder(link / "folder", {"file": "x"})


def test_a_link_is_written_through(tmp_path: Path):
    (tmp_path / "link").symlink_to("file")

    write_text(tmp_path / "link", "x")

    assert (tmp_path / "link").is_symlink()
    assert "x" == (tmp_path / "file").read_text("utf-8")


@pytest.mark.parametrize("around", [0, 1, 2, 3])
def test_pieces_of_a_stored_file_are_the_whole(tmp_path: Path, around: int):
    path = tmp_path / "stored"
    path.write_bytes(b"x" * ((1 << 20) - around) + b"\r\n" + b"y" * 9 + b"\r")

    assert read_stored(path) == b"".join(stored_chunks(path))
    assert b"\r\n" not in read_stored(path)
