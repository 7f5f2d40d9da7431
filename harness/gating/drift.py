"""
A chain of releases of which each lost too little to be seen: one trend test over all of them.

Every case has an outcome in every release. Its slope over the releases is as likely up as down if
nothing drifts, so the slopes are tested as the losses of a gate are: by flipping the signs of what
varies independently.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.stats import sign_flip_mid_p

ALPHA = 0.01
"""The p below which a chain drifts. It is looked at after every release, and of chains of ten in
which nothing drifts one in twenty or fewer ever alarms (docs/gate.md)."""

FEWEST = 3
"""Of fewer releases a trend is what the gate tests anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """
    How accuracy moved over a chain of releases.
    """

    p: float | None
    """One-sided, of a decline this steady if nothing drifts; None of fewer than `FEWEST`."""
    per_release: float | None
    """The slope by least squares, as a share of the answers; None without one in common."""

    @property
    def drifts(self) -> bool:
        """
        Whether the decline is beyond chance.
        """
        return self.p is not None and self.p < ALPHA


def trend(outcomes: Mapping[str, Sequence[int]]) -> Trend:
    """
    Return the trend of *outcomes*: of each group, or of each case without one, how many answers
    were right in every release, the first one first.

    *outcomes* hold the same answers in every release; how many answers there are in all does not
    change p.
    """
    releases = len(next(iter(outcomes.values()), ()))
    # Twice the distance from the middle release: whole numbers, and in sum zero.
    places = [2 * place - (releases - 1) for place in range(releases)]
    slopes = [
        sum(place * right for place, right in zip(places, each, strict=True))
        for each in outcomes.values()
    ]
    if not slopes or releases < 2:
        return Trend(p=None, per_release=None)
    spread = sum(place * place for place in places) / 2
    return Trend(
        p=sign_flip_mid_p([-slope for slope in slopes]) if releases >= FEWEST else None,
        per_release=sum(slopes) / spread,
    )
