from pathlib import Path

import pytest

from harness.checkpoints.cache import cache_folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    for name in ("HARNESS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path


def test_the_cache_is_where_it_was_on_linux(home):
    assert home / ".cache" / "toolcall-harness" == cache_folder()


def test_the_caches_of_a_user_may_be_elsewhere(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "fast"))

    assert home / "fast" / "toolcall-harness" == cache_folder()


def test_the_harness_may_have_a_cache_of_its_own(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "fast"))
    monkeypatch.setenv("HARNESS_CACHE", "~/mine")

    assert home / "mine" == cache_folder()


def test_a_relative_cache_home_is_ignored(home, monkeypatch):
    """
    As the XDG Base Directory Specification asks: it would be another folder for each command.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", "fast")

    assert home / ".cache" / "toolcall-harness" == cache_folder()
