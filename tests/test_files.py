"""
Where a file cannot be written at all; what a death in the middle leaves is in test_store.
"""

from pathlib import Path

import pytest

from harness.errors import HarnessError, StoreError, UsageError
from harness.files import write_folder, write_text


def _loop(folder: Path) -> Path:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    return folder / "a"


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
