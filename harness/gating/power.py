"""
How many cases a question takes, by summing the chances of every outcome of the gate.

For independent cases, of which each breaks or is fixed with a given chance: counts are binomial,
and the gate's word on counts is known. So nothing is approximated, and where a suite is small or
few answers change, where the normal formula promises too much, the promise holds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from harness.stats import binomial_at_most, tango_score, z_upper

POWER = 0.80
"""4 of 5 tries."""

NEW_OFFENDERS = 3
"""At a zero margin, this many newly failing with none fixed are a regression by themselves."""

_MOST = 10_000_000


def enough_offenders(many: int) -> int:
    """
    Return how many newly failing with none fixed are enough for one of *many* zero margins.

    `NEW_OFFENDERS`, and each one more halves the chance.
    """
    return NEW_OFFENDERS + (many - 1).bit_length()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """
    How likely the gate on a rate says what.
    """

    passes: float
    regresses: float

    @property
    def settled(self) -> float:
        """
        The chance that it is not inconclusive.
        """
        return self.passes + self.regresses


@lru_cache(4096)
def chances(
    n: int,
    broken: float,
    fixed: float,
    margin: float | None,
    alpha: float = 0.05,
    offenders: int = NEW_OFFENDERS,
) -> Chances:
    """
    Return how likely the gate on *n* independent cases passes and regresses.

    A case breaks with chance *broken* and is fixed with chance *fixed*. With a *margin* of 0 the
    rule of a zero margin decides, by which so many *offenders* are enough; with None only whether
    the paired test gives p < alpha.
    """
    passes = regresses = 0.0
    most, worse = -1, 1
    mean, spread = n * fixed, math.sqrt(n * fixed * (1 - fixed))
    first, last = max(0, int(mean - 6 * spread)), min(n, math.ceil(mean + 6 * spread) + 3)
    before = binomial_at_most(first - 1, n, fixed)
    for gained in range(first, last + 1):
        up_to = binomial_at_most(gained, n, fixed)
        weight, before = up_to - before, up_to
        # Both limits move by little from one number of fixed cases to the next.
        while worse > 1 and beyond_chance(worse - 1, gained, alpha):
            worse -= 1
        while worse <= n and not beyond_chance(worse, gained, alpha):
            worse += 1
        enough = min(worse, offenders) if margin == 0 and not gained else worse
        if margin:
            while most >= 0 and not within(most, gained, n, margin):
                most -= 1
            while most < n and within(most + 1, gained, n, margin):
                most += 1
        left = n - gained
        chance = min(1.0, broken / (1 - fixed)) if fixed < 1 else 0.0
        passing = binomial_at_most(most, left, chance)
        passes += weight * passing
        regresses += weight * (1 - binomial_at_most(max(enough - 1, most), left, chance))
    if margin == 0:
        passes = 1 - regresses
    return Chances(passes=passes, regresses=regresses)


@lru_cache(65536)
def beyond_chance(broken: int, fixed: int, alpha: float) -> bool:
    """
    Return whether McNemar's mid-p of a loss is below *alpha*.
    """
    changed = broken + fixed
    at_least = 1 - binomial_at_most(broken - 1, changed, 0.5)
    more = 1 - binomial_at_most(broken, changed, 0.5)
    return (at_least + more) / 2 < alpha


def within(broken: int, fixed: int, n: int, margin: float) -> bool:
    """
    Return whether the upper 95 % bound of the loss is below *margin*, as the gate computes it.
    """
    z = z_upper(0.05)

    def bounded(gained: int) -> bool:
        if broken == gained == 0 and n * math.log1p(-margin) > math.log(0.05):
            return False
        return (
            broken < n
            and (broken - gained) / n < margin
            and (tango_score(broken, gained, n, margin) < -z)
        )

    return broken + fixed <= n and (bounded(fixed) or bounded(0))


def cases_to_detect(
    drop: float, discordance: float, *, alpha: float = 0.05, power: float = POWER
) -> int:
    """
    Return how many independent cases find a true *drop* beyond chance with probability *power*.

    *discordance* is the share of cases on which two equal models differ, half of it each way.
    """
    _check(drop)
    half = min(discordance, 1 - drop) / 2
    return _fewest(lambda n: chances(n, half + drop, half, None, alpha).regresses >= power)


def cases_to_clear(margin: float, discordance: float, *, power: float = POWER) -> int:
    """
    Return how many independent cases show an equal model to be within *margin* with that chance.
    """
    _check(margin)
    margin, half = min(margin, 1 - 1e-9), discordance / 2
    return _fewest(lambda n: chances(n, half, half, margin).passes >= power)


def cases_to_settle(n: int, broken: float, fixed: float, margin: float, alpha: float = 0.05) -> int:
    """
    Return how many more than *n* independent cases settle it in 4 of 5 tries, to two digits.

    *broken* and *fixed* are the true shares, say those seen.
    """
    return _fewest(lambda k: chances(k, broken, fixed, margin, alpha).settled >= POWER, n + 1, 0.02)


def smallest_rise(n: int, fixed: float, alpha: float = 0.05, among: int = 1) -> float | None:
    """
    Return the smallest rise that a zero margin over *n* independent cases sees in 4 of 5 tries.

    *fixed* is the share of cases that stop failing meanwhile; *among* so many zero margins alpha is
    shared. None if it sees none.
    """
    low, high = 0.0, 1 - fixed
    # What one limit shows by itself, whatever the others do, is called worse in every set of them.
    rule = (0.0, alpha / among, enough_offenders(among))
    if n < 1 or chances(n, high, fixed, *rule).regresses < POWER:
        return None
    while high - low > 5e-4:
        middle = (low + high) / 2
        if chances(n, middle, fixed, *rule).regresses < POWER:
            low = middle
        else:
            high = middle
    return high - fixed if high > fixed else None


def _fewest(enough: Callable[[int], bool], least: int = 1, within_share: float = 0.0) -> int:
    """
    Return the smallest size that is enough, to *within_share* of it. As counts are whole, a
    somewhat larger size may fall short again; the size returned is past that.
    """
    low, high = least - 1, least
    while not enough(high):
        if high > _MOST:
            return high
        low, high = high, max(high + 1, math.ceil(high * 1.5))
    while high - low > max(1, within_share * high - 3):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    step = max(1, high // 50)
    for _ in range(6):
        short = next((n for n in range(high + 5 * step, high, -step) if not enough(n)), None)
        if short is None:
            break
        high = short + step
    return high


def _check(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"{share} is not above 0 and at most 1")
