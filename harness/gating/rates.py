"""
The rules for rates: a margin, a zero margin, a budget.

The groups of a suite vary independently, so p-values and bounds are computed over them.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from harness.comparison.paired import PairedRate, Unit
from harness.gating.policy import Limit
from harness.gating.verdict import MetricVerdict, MetricWord
from harness.runs.record import MetricValue
from harness.scoring.metrics import CASE, RATES
from harness.stats import (
    cases_to_clear,
    cases_to_detect,
    clopper_pearson,
    design_effect,
    mid_p,
    sign_flip_mid_p,
    smallest_detectable_drop,
    tango_interval,
    tango_upper,
)
from harness.wording import chance, count, moved, percent, points

FEWEST_GROUPS = 10
"""With fewer, flipping whole groups shows too little: counts are divided by the design effect."""

NEW_OFFENDERS = 3
"""At a zero margin, this many newly failing with none fixed are a regression by themselves."""

_MARGIN = (
    "regressed where the paired test gives p < {alpha:g} and the upper 95% bound of the loss is "
    "not below the margin; pass where it is below; else inconclusive"
)
_ZERO_MARGIN = (
    f"regressed where the paired test gives p < {{alpha:g}}, or at least {NEW_OFFENDERS} cases "
    "(groups, where there are groups) are newly failing and none is fixed; else pass"
)


# What the pairs say


def few_groups(paired: PairedRate) -> bool:
    """
    Return whether there are groups, but too few of them to flip.
    """
    return len(paired.groups) < min(FEWEST_GROUPS, len(paired.cases))


def units(paired: PairedRate) -> tuple[Unit, ...]:
    """
    Return what is flipped: the groups, or the cases if there are too few groups.
    """
    return paired.cases if few_groups(paired) else paired.groups


def effect(paired: PairedRate) -> float:
    """
    Return the factor by which similar answers weaken the evidence; at least 1.
    """
    return _effect(paired, lambda unit: (unit.broken, unit.fixed))


def p_value(paired: PairedRate) -> float:
    """
    Return the one-sided p of the paired test: the chance of such a loss if the models were equal.

    The sign-flip test over the groups. With fewer than `FEWEST_GROUPS`, where flipping could show
    nothing, McNemar's mid-p with the counts divided by the design effect, and never below the
    test over the cases; a single group shows nothing about itself.
    """
    p = sign_flip_mid_p([unit.net for unit in units(paired)])
    if few_groups(paired):
        broken = sum(unit.broken for unit in paired.cases)
        fixed = sum(unit.fixed for unit in paired.cases)
        alike = effect(paired)
        # Rounded against the finding; the tolerance keeps 6 / 1.0000000001 at 6.
        p = max(p, mid_p(math.floor(broken / alike + 1e-9), math.ceil(fixed / alike - 1e-9)))
    return p


def newly_bad(paired: PairedRate) -> int:
    """
    Return how many groups got worse, or how many cases if all are in one group.
    """
    return sum(unit.net > 0 for unit in (paired.groups if len(paired.groups) > 1 else paired.cases))


def upper_bound(paired: PairedRate, alike: float) -> float:
    """
    Return the upper 95 % bound of the loss; *alike* is the `effect` of the pairs.

    Fixed cases may lower it but never raise it: a group fixed as one makes the cases look more
    alike, and a bound that rose for that would punish an improvement.
    """
    broken = sum(unit.broken for unit in paired.cases)
    fixed = sum(unit.fixed for unit in paired.cases)
    gross = _effect(paired, lambda unit: (unit.broken, 0))
    return min(
        tango_upper(broken, fixed, paired.pairs, effect=alike),
        tango_upper(broken, 0, paired.pairs, effect=gross),
    )


def _effect(paired: PairedRate, counts: Callable[[Unit], tuple[int, int]]) -> float:
    if not any(sum(counts(unit)) for unit in paired.cases):
        # Nothing to estimate from. Repeats of a case that all agree are one piece of evidence.
        return paired.pairs / len(paired.cases)
    # Of a few groups the repeats within their cases may say more.
    levels = (paired.groups, paired.cases) if few_groups(paired) else (paired.groups,)
    found = []
    for level in levels:
        changes = [counts(unit) for unit in level]
        sums = [broken - fixed for broken, fixed in changes]
        found.append(design_effect(sums, [unit.pairs for unit in level], sum(map(sum, changes))))
    return max(found)


# The verdict of a limit


def judge_rate(
    name: str, limit: Limit, paired: PairedRate, alpha: float, p_adjusted: float | None = None
) -> MetricVerdict:
    """
    Return the verdict of *limit* on the rate *name* over its pairs.

    If this is one of several slices, *p_adjusted* decides instead of the p-value.
    """
    n, margin, high_is_good = paired.pairs, limit.margin, RATES[name].higher_is_better
    loss_word, gain_word = ("drop", "gain") if high_is_good else ("rise", "fall")
    broken = sum(unit.broken for unit in paired.cases)
    fixed = sum(unit.fixed for unit in paired.cases)
    alike = effect(paired)
    loss = (broken - fixed) / n
    low, high = tango_interval(broken, fixed, n, effect=alike)
    bound = upper_bound(paired, alike)
    alone = p_value(paired)
    p = alone if p_adjusted is None else p_adjusted
    noise = 2 * min(broken, fixed) / n
    # At a zero margin a few cases fail the gate by themselves, whatever this says.
    detectable = smallest_detectable_drop(n / alike, noise, alpha=alpha) if margin else None

    among = "" if p_adjusted is None else " among the policy's slices"
    beyond = f"{'beyond' if p < alpha else 'within'} chance{among} ({chance(p)})"
    interval = f"(95% interval {points(low)} to {points(high)})"
    the_loss = f"the {loss_word} of {points(loss)} points {interval}"
    seen = f"the {loss_word} seen is {points(loss)} points {interval}"
    if loss < 0:
        interval = f"(95% interval {points(-high)} to {points(-low)})"
        seen = f"a {gain_word} of {points(-loss)} points {interval} was seen"
    allowed = f"the {points(margin)} points allowed"
    needed = None
    word: MetricWord
    if not margin and (p < alpha or (newly_bad(paired) >= NEW_OFFENDERS and not fixed)):
        word = "regressed"
        says = f"{the_loss} is {beyond} and none is allowed"
        if p >= alpha:
            says = f"{NEW_OFFENDERS} or more newly failing and none fixed are too many"
    elif not margin:
        word = "pass"
        says = f"no {loss_word}" if loss <= 0 else f"{the_loss} is {beyond}"
        says += f"; {NEW_OFFENDERS} newly failing and none fixed would fail"
    elif bound < margin:
        word = "pass"
        ruled_out = f"a {loss_word} beyond {allowed}" if bound > 0 else f"any {loss_word}"
        says = f"{ruled_out} is ruled out (upper 95% bound {points(bound)})"
        says = f"{the_loss} is {beyond}, but {says}" if p < alpha else f"{seen}; {says}"
    elif p < alpha:
        word = "regressed"
        over = "more than" if loss > margin else "not shown to be within"
        says = f"{the_loss} is {beyond} and {over} {allowed}"
    else:
        word = "inconclusive"
        needed = _needed(loss, broken, fixed, n, margin, alpha, alike)
        says = (
            f"{seen if loss <= 0 else f'{the_loss} is {beyond}'}, but a {loss_word} of "
            f"up to {points(bound)} points is not ruled out and {points(margin)} are allowed; "
            f"about {needed} {RATES[name].per.noun}s would settle it"
        )
    if margin:
        says += (
            f"; a comparison of this size cannot be relied on to see any {loss_word}"
            if detectable is None
            else f"; a comparison of this size sees a {loss_word} of {points(detectable)} points "
            "in 4 of 5 tries"
        )
    return MetricVerdict(
        verdict=word,
        reason=f"{_what_happened(name, paired, broken, fixed)}; {says}",
        rule=(_MARGIN if margin else _ZERO_MARGIN).format(alpha=alpha),
        limit=limit.text,
        old=paired.old_hits / n,
        new=paired.new_hits / n,
        delta=(paired.new_hits - paired.old_hits) / n,
        # A loss is a fall of what should be high, or a rise of what should be low.
        low=-high if high_is_good else low,
        high=-low if high_is_good else high,
        p=alone,
        p_adjusted=p_adjusted,
        pairs=n,
        broken=broken,
        fixed=fixed,
        bound=bound,
        detectable=detectable,
        needed=needed,
    )


def within_budget(
    name: str, limit: Limit, metric: MetricValue, found: MetricVerdict
) -> MetricVerdict:
    """
    Return *found* with the limit's budget on the candidate's whole run added: both must be met.

    *metric* is the candidate's own, *found* the verdict of the margin on the pairs.
    """
    budget = limit.budget
    if budget is None or metric.hits is None or not metric.eligible:
        return found
    # The ends of the two-sided 90 % interval are the one-sided 95 % bounds.
    low, high = clopper_pearson(metric.hits, metric.eligible, 0.90)
    if RATES[name].higher_is_better:
        met, missed, side = low >= budget, high < budget, "at least"
    else:
        met, missed, side = high <= budget, low > budget, "at most"
    if met or found.verdict == "regressed":
        return found
    word: MetricWord = "regressed" if missed else "inconclusive"
    asks = f"its budget is {side} {percent(budget)}"
    return replace(
        found,
        verdict=word,
        reason=(
            f"{RATES[name].title}: {metric.hits} of {metric.eligible} in the candidate, by 95% "
            f"bounds {percent(low)} to {percent(high)}, and {asks}, which is "
            f"{'missed' if missed else 'not shown to be met'}; {found.reason}"
        ),
        rule=f"{found.rule}; and the one-sided 95% bound of the candidate's rate within the budget",
    )


def _needed(
    loss: float, broken: int, fixed: int, n: int, margin: float, alpha: float, alike: float
) -> int:
    """
    Return how many pairs would probably settle it if the truth is what was seen.
    """
    if loss >= margin:
        cases = cases_to_detect(loss, 2 * fixed / n, alpha=alpha)
    else:
        cases = cases_to_clear(min(1.0, margin - loss), (broken + fixed) / n)
    cases = max(n + 1, math.ceil(cases * alike))
    unit: int = 10 ** max(0, len(str(cases)) - 2)
    return math.ceil(cases / unit) * unit


def _what_happened(name: str, paired: PairedRate, broken: int, fixed: int) -> str:
    old, new = paired.old_hits / paired.pairs, paired.new_hits / paired.pairs
    over = count(paired.pairs, f"common {RATES[name].per.noun}")
    if RATES[name].per is CASE and len(paired.cases) != paired.pairs:
        over = f"{paired.pairs} answers to {count(len(paired.cases), 'common case')}"
    got_worse = "broke" if RATES[name].higher_is_better else "newly failing"
    return (
        f"{RATES[name].title} {moved(old, new, percent)} on {over}: {broken or 'none'} "
        f"{got_worse}, {fixed or 'none'} fixed"
    )
