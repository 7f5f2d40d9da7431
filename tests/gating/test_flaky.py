"""
Which cases go back and forth from release to release, and what is proposed for them.
"""

from datetime import date
from typing import Any

import pytest

from harness.gating.flaky import State, Strip, flaky_first

STATES: dict[str, State] = {
    "R": "right",
    "W": "wrong",
    "A": "accepted",
    "Q": "quarantined",
    "x": "broke",
    "-": "absent",
}


def strip(states: str, case: str = "c", **more: Any) -> Strip:
    return Strip(case=case, states=tuple(STATES[each] for each in states), **more)


@pytest.mark.parametrize(
    ("states", "flips", "flaky"),
    [
        ("RRRRR", 0, False),
        ("RRRWW", 1, False),
        ("RWRRR", 2, True),
        ("RWRWRRRRR", 0, False),  # It was, long ago.
        ("RW-xR", 2, True),  # What is not known is no flip.
        ("RWAAR", 2, True),
        ("WAWAW", 0, False),  # Accepted is wrong.
        ("RWRWQ", 3, False),  # It is put aside already.
        ("RWRW-", 3, False),
        ("W", 0, False),
    ],
)
def test_two_changes_in_five_releases_make_a_case_flaky(states: str, flips: int, flaky: bool):
    assert (flips, flaky) == (strip(states).flips, strip(states).flaky)


def test_what_is_asked_otherwise_now_begins_anew():
    assert 3 == strip("RWRW").flips
    assert 1 == strip("RWRW", asked_anew=(2,)).flips
    assert 0 == strip("RWRW", asked_anew=(1, 3)).flips


def test_repeats_that_differ_are_enough():
    found = strip("RRRW", undecided=True)

    assert found.flaky
    assert "its repeats differ in one run" == found.why


def test_the_quarantine_that_is_proposed_ends():
    wanted = {"reason": "flaky: 3 flips in 5 releases", "until": "2027-01-29"}

    assert wanted == strip("RRWRW").quarantine(date(2026, 11, 30))


def test_the_most_flaky_one_comes_first():
    strips = [strip("RRR", "a"), strip("RWR", "b"), strip("RWRWR", "c"), strip("WRW", "d")]

    assert ["c", "b", "d"] == [each.case for each in flaky_first(strips)]
