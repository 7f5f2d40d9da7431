"""
What became of a case from release to release, and whether it tells anything.

A case whose answer goes back and forth says nothing about a release: the next flip will look like
a regression. It is proposed for quarantine, by a line for the suite and with a last day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Literal

State = Literal["right", "wrong", "accepted", "quarantined", "broke", "absent"]
"""Of one case in one release. Accepted: wrong, and taken for its baseline as it is. Broke: the
infrastructure failed. Absent: not asked, or not kept."""

AMONG = 5
"""How many of the last releases are looked at."""
FLIPS = 2
"""So many changes among them, and a case is flaky."""
QUARANTINE = timedelta(days=60)
"""For how long a quarantine is proposed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """
    One case over the releases.
    """

    case: str
    states: tuple[State, ...]
    """The first release first."""
    asked_anew: tuple[int, ...] = ()
    """The releases from which on it asks or expects something else, by position."""
    must_pass: bool = False
    undecided: bool = False
    """Whether the repeats of it differ in the last release."""

    @property
    def latest(self) -> tuple[State, ...]:
        """
        The last outcomes of the question as it is asked now: right or wrong, whatever is between.
        """
        since = max(self.asked_anew, default=0)
        told = [each for each in self.states[since:] if each in ("right", "wrong", "accepted")]
        return tuple(told[-AMONG:])

    @property
    def flips(self) -> int:
        """
        How often the latest outcomes changed.
        """
        right = [each == "right" for each in self.latest]
        return sum(one != other for one, other in pairwise(right))

    @property
    def flaky(self) -> bool:
        """
        Whether it should be quarantined. One that is there already is not.
        """
        if self.states[-1] in ("quarantined", "absent"):
            return False
        return self.flips >= FLIPS or self.undecided

    @property
    def why(self) -> str:
        """
        Why it is flaky.
        """
        if self.flips >= FLIPS:
            return f"{self.flips} flips in {len(self.latest)} releases"
        return "its repeats differ in one run"

    def quarantine(self, today: date) -> dict[str, Any]:
        """
        Return the quarantine that is proposed, as a suite has it.
        """
        return {"reason": f"flaky: {self.why}", "until": (today + QUARANTINE).isoformat()}


def flaky_first(strips: Sequence[Strip]) -> list[Strip]:
    """
    Return the flaky ones of *strips*, those that flip most first.
    """
    return sorted((each for each in strips if each.flaky), key=lambda each: -each.flips)
