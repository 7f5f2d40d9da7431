"""
What the pairs of a rate show: how many independent cases they are worth, the p of a loss, and its
interval.

The groups of a suite vary independently, their cases do not. How alike the cases of a group are is
estimated from how alike they were answered, as a few changes cannot tell; every figure here is
computed with that. How often the rules built on it are wrong: docs/gate-simulation.md.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.comparison.paired import PairedRate, Units, paired_rate
from harness.stats import (
    design_effect,
    intraclass,
    sign_flip_mid_p,
    studentised,
    t_tail,
    tango_upper,
)

if TYPE_CHECKING:
    from harness.scoring.columns import Floats, Ints

    Numbers = Ints | Floats

FEWEST_GROUPS = 10
"""With fewer, flipping whole groups shows too little: single cases are flipped, and quantiles of
the bounds are of t with groups - 1 degrees of freedom."""

FEWEST_TO_PASS = 5
"""With fewer groups than this, no loss can be ruled out."""

ALIKE = 0.6
PRIOR_GROUPS = 20
"""
Before anything is seen, the correlation within groups is taken to be `ALIKE`, and that weighs as
much as this many groups. High and stubborn, because losses come by template: docs/gate.md.
"""

UNSEEN = 2
"""
To tell a loss from chance, so many more cases are counted as gained, by whole groups if nothing
shows that gains come singly. Single cases that break beside a group that might have been fixed and
was not look like a loss; simulated: docs/gate-simulation.md, "not exchangeable".
"""

BOUND = 0.95
"""The confidence of the upper bound of a loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    What the pairs of one rate show about a loss.
    """

    broken: int
    fixed: int
    pairs: int
    groups: int | None
    """How many groups the cases form; None if no case has a group."""
    alike: float
    """The factor by which similar answers weaken the evidence; at least 1."""
    p: float
    """One-sided: of a loss this large if the models were equal."""
    low: float
    bound: float
    """The one-sided lower (1 - alpha) and upper 95 % bounds of the loss."""

    @property
    def loss(self) -> float:
        """
        The share by which more broke than were fixed.
        """
        return (self.broken - self.fixed) / self.pairs

    @property
    def worth(self) -> float:
        """
        How many independent answers the pairs weigh as much as.
        """
        return self.pairs / self.alike

    def interval(self, beyond_chance: bool) -> tuple[float, float]:
        """
        Return the interval of the loss, which holds 0 unless the loss is *beyond_chance*.

        Its ends are the bounds. At 0, the paired test decides, not the score behind the bounds: so
        no verdict contradicts the interval that is shown with it.
        """
        if beyond_chance:
            return min(max(self.low, 0.0), self.bound), self.bound
        return min(self.low, 0.0), self.bound


def weigh(paired: PairedRate, alpha: float = 0.05) -> Evidence:
    """
    Return what *paired* shows; *alpha* is the chance allowed for calling an equal model worse.

    Raises:
        ValueError: if there are no pairs.
    """
    broken, fixed = int(paired.cases.broken.sum()), int(paired.cases.fixed.sum())
    alike, gross = effect(paired), effect(_without_fixes(paired))
    spread = _degrees(paired)
    # The loss is at least what the same answers, turned round, show to be gained at most.
    sure = 1 - max(alpha, 1e-12)
    low = -tango_upper(fixed, broken, paired.pairs, sure, alike, spread)
    # Fixed cases may lower the bound but never raise it: a group fixed as one makes the cases look
    # more alike, and a bound that rose for that would punish an improvement.
    bound = min(
        tango_upper(broken, fixed, paired.pairs, BOUND, alike, spread),
        tango_upper(broken, 0, paired.pairs, BOUND, gross, spread),
    )
    if _p_value(paired, -1) >= 1 - BOUND:
        bound = max(bound, 0.0)  # A gain that the paired test does not show is not shown.
    return Evidence(
        broken=broken,
        fixed=fixed,
        pairs=paired.pairs,
        groups=len(paired.groups) if _grouped(paired) or _one_group(paired) else None,
        alike=alike,
        p=p_value(paired),
        low=min(low, (broken - fixed) / paired.pairs),
        bound=bound,
    )


def p_value(paired: PairedRate) -> float:
    """
    Return the one-sided p of the paired test: the chance of such a loss if the models were equal.

    The sign-flip test over the groups, which is exact where they are exchangeable. They are not if
    single cases break while whole groups are fixed, so in groups p is never below that of the
    studentised loss, t with groups - 1 degrees of freedom. With fewer than `FEWEST_GROUPS`, cases
    are flipped.
    """
    return _p_value(paired, 1)


def flipped(paired: PairedRate) -> Units:
    """
    Return what is flipped: the groups, or the cases if there are too few groups.
    """
    return paired.cases if few_groups(paired) else paired.groups


def few_groups(paired: PairedRate) -> bool:
    """
    Return whether there are groups, but too few of them to flip.
    """
    return len(paired.groups) < min(FEWEST_GROUPS, len(paired.cases))


def newly_bad(paired: PairedRate) -> int:
    """
    Return how many groups got worse, or how many cases if all are in one group.
    """
    units = paired.groups if len(paired.groups) > 1 else paired.cases
    return int((units.net > 0).sum())


def effect(paired: PairedRate) -> float:
    """
    Return the factor by which similar answers weaken the evidence; at least 1.

    The larger of the design effect seen in the changes and the one that the correlation within
    groups implies, 1 + (A - 1) rho for groups of A cases (weighted by size; Kish 1965, Survey
    Sampling, section 5.4), times that of repeats.
    """
    # Of a few groups the repeats within their cases may say more.
    found = _seen(paired, paired.groups)
    if few_groups(paired):
        found = max(found, _seen(paired, paired.cases))
    return max(found, _implied(paired, correlation(paired))) if _grouped(paired) else found


def correlation(paired: PairedRate) -> float:
    """
    Return how alike the cases of one group are: 0 if not at all, 1 if they rise and fall together.

    The larger of two estimates, both shrunk towards `ALIKE`: from who was right in either run,
    which takes every answer, and from what changed. Each weighs as much as there are groups that
    say something: of answers, those without whose kind (all right, all wrong) there were nothing
    to see; of changes, those with one.
    """
    cases = paired.cases
    changes = _by_group(paired, cases.net / cases.pairs)
    moved = sum(many for group, many in changes.items() if any(group))
    right, told = _answered_alike(paired)
    return max(0.0, _shrunk(right, told), _shrunk(intraclass(changes), moved))


def _answered_alike(paired: PairedRate) -> tuple[float, float]:
    """
    Return the correlation of who was right, over both runs, and how many groups say so.
    """
    cases = paired.cases
    runs = [
        _by_group(paired, cases.old_hits / cases.pairs),
        _by_group(paired, cases.new_hits / cases.pairs),
    ]
    told = [
        min(
            sum(many for group, many in run.items() if any(group)),
            sum(many for group, many in run.items() if min(group) < 1),
        )
        for run in runs
    ]
    if not any(told):
        return 0.0, 0.0
    found = sum(weight * intraclass(run) for weight, run in zip(told, runs, strict=True))
    return found / sum(told), sum(told) / 2


def _shrunk(seen: float, weight: float) -> float:
    return (weight * seen + PRIOR_GROUPS * ALIKE) / (weight + PRIOR_GROUPS)


def _seen(paired: PairedRate, units: Units) -> float:
    """
    Return the design effect of *units* in what changed.
    """
    changed = _changed(paired)
    if not changed:
        # Nothing to estimate from. Repeats of a case that all agree are one piece of evidence.
        return max(1.0, paired.pairs / max(1, len(paired.cases)))
    return design_effect(units.net.tolist(), units.pairs.tolist(), changed)


def _implied(paired: PairedRate, alike: float) -> float:
    """
    Return the design effect of groups whose cases are *alike* so much, times that of repeats.
    """
    return _seen(paired, paired.cases) * (1 + (_weighted_size(paired) - 1) * alike)


def _p_value(paired: PairedRate, way: int) -> float:
    """
    *way* is 1 to test for a loss and -1 for a gain.
    """
    p = sign_flip_mid_p((way * flipped(paired).net).tolist())
    if not _grouped(paired):
        return p
    groups = paired.groups
    t = studentised(
        (way * groups.net).tolist(),
        groups.pairs.tolist(),
        _changed(paired),
        # As alike as the answers show, without the prior: a test that took every suite for one of
        # alike cases would be blind where they are not. What rules out a loss cannot do without.
        _implied(paired, max(0.0, _answered_alike(paired)[0])),
        _unseen(paired, paired.cases.fixed if way == 1 else paired.cases.broken),
    )
    return max(p, t_tail(t, len(groups) - 1))


def _unseen(paired: PairedRate, gained: "Ints") -> float:
    """
    Return the variance that gains add which come by whole groups and were not seen.

    That of `UNSEEN` more cases, as alike within groups as those that *gained*: single ones show
    that gains come singly, none show nothing, and then they are as alike as `ALIKE`.
    """
    gains = _by_group(paired, gained / paired.cases.pairs)
    told = sum(many for group, many in gains.items() if any(group))
    alike = (told * max(0.0, intraclass(gains)) + ALIKE) / (told + 1)
    answers = paired.pairs / len(paired.cases) * _seen(paired, paired.cases)
    return UNSEEN * answers * (_weighted_size(paired) - 1) * alike


def _degrees(paired: PairedRate) -> int | None:
    """
    Return the degrees of freedom of the quantiles; None for the normal distribution.
    """
    return len(paired.groups) - 1 if few_groups(paired) and _grouped(paired) else None


def _grouped(paired: PairedRate) -> bool:
    return 1 < len(paired.groups) < len(paired.cases)


def _one_group(paired: PairedRate) -> bool:
    return len(paired.groups) == 1 < len(paired.cases)


def _changed(paired: PairedRate) -> int:
    return int(paired.cases.broken.sum() + paired.cases.fixed.sum())


def _weighted_size(paired: PairedRate) -> float:
    """
    Return how many cases are in the group of a case.
    """
    import numpy as np

    sizes: list[int] = np.bincount(paired.places).tolist()
    return sum(size * size for size in sizes) / sum(sizes)


def _by_group(paired: PairedRate, values: "Numbers") -> Counter[tuple[float, ...]]:
    """
    Return how many groups have these *values*, in rising order; there is one value a case.
    """
    import numpy as np

    order = np.lexsort((values, paired.places))
    ends = np.cumsum(np.bincount(paired.places)).tolist()
    by_group = values[order].tolist()
    return Counter(tuple(by_group[start:end]) for start, end in zip([0, *ends], ends, strict=False))


def _without_fixes(paired: PairedRate) -> PairedRate:
    """
    Return the pairs as they were if what is fixed had stayed as it was.
    """
    cases = paired.cases
    moved = cases.net.nonzero()[0]
    if not cases.fixed.any() or not len(moved):
        return paired
    # 1 where a fixed case is a new hit, -1 where it is one no longer.
    first = moved[0]
    risen = bool(cases.new_hits[first] > cases.old_hits[first])
    better = 1 if risen == bool(cases.net[first] < 0) else -1
    counts = cases.counts.copy()
    counts[:, 4] -= better * cases.fixed
    counts[:, 1] = 0
    return paired_rate(replace(cases, counts=counts))
