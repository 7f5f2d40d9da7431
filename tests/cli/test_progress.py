"""
What a long step says of itself, and when it keeps quiet.
"""

import io
import re
import sys
import time

import pytest

from harness.cli.progress import EVERY, watching


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_how_fast_and_how_long_still(monkeypatch: pytest.MonkeyPatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)

    with watching("routing, tuned") as progress:
        progress.expect(40)
        progress.advance(30)
        progress.notify("a batch of 8 does not fit")

    assert "routing, tuned" in shown.getvalue()
    # Elapsed and left, answers a second.
    assert re.search(r"30/40 \[[\d:]+<[\d:?]+, *[\d.]+k?answer/s\]", shown.getvalue())
    assert "\na batch of 8" in shown.getvalue() or "\ra batch of 8" in shown.getvalue()
    # The bar is gone in the end.
    assert shown.getvalue().endswith("\r")


def test_one_bar_at_a_time_is_shown(monkeypatch: pytest.MonkeyPatch):
    """
    A gate may ask two checkpoints again: the second bar takes the place of the first.
    """
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)

    with watching("batch size 1") as progress:
        for _ in range(2):
            progress.expect(10)
            progress.advance(10)

    assert "\n" not in shown.getvalue()


def test_a_log_has_lines_and_no_bar(capsys: pytest.CaptureFixture[str]):
    with watching("routing, tuned") as progress:
        progress.expect(40)
        progress.advance(30)
        progress.notify("a batch of 8 does not fit")

    said = capsys.readouterr()
    assert "routing, tuned: 40 answers to make\na batch of 8 does not fit\n" == said.err
    assert "" == said.out
    assert not progress.bar


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]):
    with watching("routing, tuned", quiet=True) as progress:
        progress.expect(40)
        progress.advance(40)
        progress.notify("a batch of 8 does not fit")

    assert ("", "") == capsys.readouterr()


def test_a_log_says_how_far_it_is_by_the_clock(monkeypatch: pytest.MonkeyPatch):
    """
    Also while a batch takes long: nothing is made between two of the lines.
    """
    said: list[str] = []
    monkeypatch.setattr("harness.cli.progress.EVERY", 0.01)
    monkeypatch.setattr("harness.cli.progress.say", said.append)

    with watching("routing, tuned") as progress:
        progress.expect(40)
        progress.advance(30)
        while len(said) < 4:
            time.sleep(0.005)
    closed = len(said)
    time.sleep(0.05)

    first, *others = said
    assert "routing, tuned: 40 answers to make" == first
    form = r"routing, tuned: 30 of 40 after \d\.\d s, about \d\.\d s left"
    # The clock may have run before the first answer.
    assert all(re.fullmatch(form, line) for line in others[1:])
    assert closed == len(said)


def test_a_log_makes_no_estimate_of_the_first_few(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr("harness.cli.progress.EVERY", 0.01)
    monkeypatch.setattr("harness.cli.progress.say", said.append)

    with watching("routing") as progress:
        progress.expect(40)
        progress.advance(3)
        while len(said) < 4:
            time.sleep(0.005)

    assert not [line for line in said if "left" in line]


def test_a_log_has_a_line_every_half_minute():
    assert 30.0 == EVERY
