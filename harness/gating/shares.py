"""
What the limits of one or several suites have of alpha.

Each kind of rule may call an equal model worse in alpha of the gates, however many limits of that
kind there are: those of one policy, and in a release those of every suite that is required. A
margin on one rate is a kind, over the suites; all zero margins are one, all slices, and all
lengths; budgets are another. Closed testing decides which of them a loss counts for (Marcus, Peritz
and Gabriel 1976, Biometrika 63:655): docs/gate.md, "Several suites, one verdict".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.comparison.compare import Comparison
from harness.comparison.paired import PairedRate, rate_of
from harness.gating.evidence import flipped, newly_bad, p_value
from harness.gating.policy import Policy
from harness.gating.power import NEW_OFFENDERS, enough_offenders
from harness.scoring.metrics import METRICS
from harness.stats import holm_tarone

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """
    What the limits of one suite have of alpha, beside those of other suites.
    """

    suites: int
    """How many suites share it: times and budgets have a level of their own in each."""
    margins: Mapping[str, float]
    """Rate -> the p of its margin, adjusted for the suites; empty for one suite."""
    slices: Mapping[tuple[str, str], float]
    """(tag, rate) -> the p of its margin, adjusted for all slices, for those with a pair."""
    of_slices: int
    """How many slices there are."""
    may_be_chance: frozenset[str]
    """The zero margins for which a rise, if there is one, may be chance among all of them."""
    zero_margins: int
    lengths: int
    """How many limits of these kinds there are."""


def share(suites: Mapping[str, tuple[Policy, Comparison]]) -> dict[str, Shares]:
    """
    Return what each suite's limits have of alpha, which all policies name alike.
    """
    margins: dict[str, dict[str, PairedRate]] = {}
    slices: dict[tuple[str, str, str], PairedRate] = {}
    zero: dict[tuple[str, str], PairedRate] = {}
    lengths = 0
    for suite, (policy, comparison) in suites.items():
        for name, limit in policy.limits.items():
            lengths += METRICS[name].kind == "length"
            # Metrics of executed cases are not there where there are none.
            paired = comparison.rates.get(name)
            if paired is not None and paired.pairs:
                if not limit.margin:
                    zero[suite, name] = paired
                elif len(suites) > 1:
                    margins.setdefault(name, {})[suite] = paired
        for tag, of_tag in policy.slices.items():
            for name in of_tag:
                if (paired := of_slice(comparison, tag, name)).pairs:
                    slices[suite, tag, name] = paired
    alpha = min((policy.alpha for policy, _ in suites.values()), default=0.05)
    adjusted = {name: _adjusted(of_suites, alpha) for name, of_suites in margins.items()}
    of_slices = _adjusted(slices, alpha)
    chance: set[tuple[str, str]] = set()
    if len(zero) > 1:  # One by itself is judged by its own rule.
        rises = [Rise.of(paired) for paired in zero.values()]
        stay = beyond_all(rises, alpha)
        chance = {key for key, stays in zip(zero, stay, strict=True) if not stays}
    return {
        suite: Shares(
            suites=len(suites),
            margins={
                name: of_suites[suite] for name, of_suites in adjusted.items() if suite in of_suites
            },
            slices={key[1:]: p for key, p in of_slices.items() if key[0] == suite},
            of_slices=len(slices),
            may_be_chance=frozenset(name for of_suite, name in chance if of_suite == suite),
            zero_margins=len(zero),
            lengths=lengths,
        )
        for suite in suites
    }


def of_slice(comparison: Comparison, tag: str, name: str) -> PairedRate:
    """
    Return a rate over the cases with a tag.
    """
    rate = comparison.rates.get(name)
    return rate_of(()) if rate is None else rate.only(set(comparison.tags.get(tag, ())))


def _adjusted(tested: Mapping[_Key, PairedRate], alpha: float) -> dict[_Key, float]:
    """
    Return the p of each margin, adjusted by Holm's method over those that could fail at all.
    """
    p_values = [p_value(paired) for paired in tested.values()]
    least = [0.5 ** (1 + int((flipped(p).net != 0).sum())) for p in tested.values()]
    return dict(zip(tested, holm_tarone(p_values, least, alpha), strict=True))


# Several zero margins


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """
    What the pairs of a zero margin show.
    """

    p: float
    newly_bad: int
    fixed: bool
    """Whether any case stopped failing."""

    @classmethod
    def of(cls, paired: PairedRate) -> "Rise":
        """
        Return what *paired* shows.
        """
        return cls(
            p=p_value(paired),
            newly_bad=newly_bad(paired),
            fixed=bool(paired.cases.fixed.any()),
        )

    def beyond(self, alpha: float, among: int) -> bool:
        """
        Return whether this by itself makes a set of so many zero margins worse.
        """
        return self.p < alpha / among or (
            self.newly_bad >= enough_offenders(among) and not self.fixed
        )


def beyond_all(rises: Sequence[Rise], alpha: float) -> list[bool]:
    """
    Return of each rise whether every set of zero margins that it belongs to is worse as a set.

    A set is, if one of it is by the share of alpha it has there, or if all of it together have
    `NEW_OFFENDERS` newly failing and none fixed. Of the sets of one size only the one that shows
    least has to be looked at, so many suites take no time.
    """
    return [
        all(
            rise.beyond(alpha, size) or not _can_be_chance(rise, others, alpha, size)
            for size in range(1, len(rises) + 1)
        )
        for place, rise in enumerate(rises)
        for others in [[*rises[:place], *rises[place + 1 :]]]
    ]


def _can_be_chance(rise: Rise, others: Sequence[Rise], alpha: float, size: int) -> bool:
    """
    Return whether *rise* belongs to a set of *size* that is not worse as a set.
    """
    quiet = [each for each in others if not each.beyond(alpha, size)]
    if len(quiet) < size - 1:
        return False
    if rise.fixed or (size > 1 and any(each.fixed for each in quiet)):
        return True
    fewest = sorted(each.newly_bad for each in quiet)[: size - 1]
    return rise.newly_bad + sum(fewest) < NEW_OFFENDERS
