"""
The rules for rates: a margin, a zero margin, a budget.

What the pairs show is weighed in `harness.gating.evidence`.
"""

import math
from dataclasses import replace

from harness.comparison.paired import PairedRate
from harness.gating.evidence import BOUND, FEWEST_TO_PASS, Evidence, newly_bad, weigh
from harness.gating.policy import Limit
from harness.gating.power import NEW_OFFENDERS, cases_to_settle, smallest_rise
from harness.gating.verdict import MetricVerdict, MetricWord
from harness.runs.record import MetricValue
from harness.scoring.metrics import CASE, RATES
from harness.stats import (
    clopper_pearson,
    smallest_detectable_drop,
)
from harness.wording import chance, count, moved, percent, points

_MARGIN = (
    "regressed where the paired test gives p < {alpha:g} and the upper 95% bound of the loss is "
    "not below the margin; pass where it is below; else inconclusive"
)
_GROUPED = f"; groups vary, not cases: in fewer than {FEWEST_TO_PASS} groups no loss is ruled out"
_ZERO_MARGIN = (
    f"regressed where the paired test gives p < {{alpha:g}}, or at least {NEW_OFFENDERS} cases "
    "(groups, where there are groups) are newly failing and none is fixed; else pass"
)


# The verdict of a limit


def judge_rate(
    name: str,
    limit: Limit,
    paired: PairedRate,
    alpha: float,
    p_adjusted: float | None = None,
    *,
    among: str = "the policy's slices",
    zero_margins: int = 1,
    may_be_chance: bool = False,
) -> MetricVerdict:
    """
    Return the verdict of *limit* on the rate *name* over its pairs.

    If this is one of several, *p_adjusted* decides instead of the p-value, and *among* says of what
    it is one. A zero margin is
    judged by itself; that it shares alpha with others makes so many *zero_margins*, which say what
    rise would be seen. If it *may be chance* among them, its interval holds 0, whatever it shows.
    """
    margin, high_is_good = limit.margin, RATES[name].higher_is_better
    loss_word, gain_word = ("drop", "gain") if high_is_good else ("rise", "fall")
    found = weigh(paired, alpha)
    n, broken, fixed, loss, bound = found.pairs, found.broken, found.fixed, found.loss, found.bound
    p = found.p if p_adjusted is None else p_adjusted
    noise = 2 * min(broken, fixed) / n
    detectable = (
        smallest_detectable_drop(found.worth, noise, alpha=alpha)
        if margin
        else smallest_rise(int(found.worth), fixed / n, alpha, zero_margins)
    )
    too_many = not margin and newly_bad(paired) >= NEW_OFFENDERS and not fixed
    low, high = found.interval((p < alpha or too_many) and not may_be_chance)
    few = found.groups is not None and found.groups < FEWEST_TO_PASS

    aside = "" if p_adjusted is None else f" among {among}"
    beyond = f"{'beyond' if p < alpha else 'within'} chance{aside} ({chance(p)})"
    level = 100 * (BOUND - alpha)
    interval = f"({level:g}% interval {points(low)} to {points(high)})"
    the_loss = f"the {loss_word} of {points(loss)} points {interval}"
    seen = f"the {loss_word} seen is {points(loss)} points {interval}"
    if loss < 0:
        interval = f"({level:g}% interval {points(-high)} to {points(-low)})"
        seen = f"a {gain_word} of {points(-loss)} points {interval} was seen"
    allowed = f"the {points(margin)} points allowed"
    needed = None
    word: MetricWord
    if not margin and (p < alpha or too_many):
        word = "regressed"
        says = f"{the_loss} is {beyond} and none is allowed"
        if p >= alpha:
            says = f"{NEW_OFFENDERS} or more newly failing and none fixed are too many"
    elif not margin:
        word = "pass"
        says = "none seen" if not broken else f"no {loss_word} seen"
        says = says if loss <= 0 else f"{the_loss} is {beyond}"
        says += (
            f"; no {loss_word} can be relied on to be seen"
            if detectable is None
            else f"; a {loss_word} of {points(detectable)} points would be seen in 4 of 5 tries"
        )
    elif bound < margin and not few:
        word = "pass"
        ruled_out = f"a {loss_word} beyond {allowed}" if bound >= 0 else f"any {loss_word}"
        says = f"{ruled_out} is ruled out"
        says = f"{the_loss} is {beyond}, but {says}" if p < alpha else f"{seen}; {says}"
    elif p < alpha:
        word = "regressed"
        over = "more than" if loss > margin else "not shown to be within"
        says = f"{the_loss} is {beyond} and {over} {allowed}"
    else:
        word = "inconclusive"
        needed = None if few else _needed(found, margin, alpha)
        says = (
            f"{seen if loss <= 0 else f'{the_loss} is {beyond}'}, but a {loss_word} of "
            f"up to {points(bound)} points is not ruled out and {points(margin)} are allowed; "
            f"about {needed} {RATES[name].per.noun}s would settle it"
        )
        if few:
            says = (
                f"{seen if loss <= 0 else f'{the_loss} is {beyond}'}, but the cases form only "
                f"{count(found.groups or 0, 'group')}, and under {FEWEST_TO_PASS} no "
                f"{loss_word} is ruled out"
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
        reason=f"{_what_happened(name, paired, found)}; {says}",
        rule=(_MARGIN if margin else _ZERO_MARGIN).format(alpha=alpha)
        + (_GROUPED if margin and found.groups else ""),
        limit=limit.text,
        old=paired.old_hits / n,
        new=paired.new_hits / n,
        delta=(paired.new_hits - paired.old_hits) / n,
        # A loss is a fall of what should be high, or a rise of what should be low.
        low=-high if high_is_good else low,
        high=-low if high_is_good else high,
        p=found.p,
        p_adjusted=p_adjusted,
        pairs=n,
        broken=broken,
        fixed=fixed,
        bound=bound,
        detectable=detectable,
        needed=needed,
    )


def nothing_changed(found: MetricVerdict) -> MetricVerdict:
    """
    Return the verdict of a margin where every answer is the same to the token.

    How many cases the suite is worth has no say then: there is no change to estimate.
    """
    happened = found.reason.split("; ")[0]
    return replace(
        found,
        verdict="pass",
        reason=f"{happened}; nothing changed: every answer is the same to the token",
        rule=f"{found.rule}; pass where every answer is the same to the token",
        needed=None,
    )


def within_budget(
    name: str, limit: Limit, metric: MetricValue, found: MetricVerdict, suites: int = 1
) -> MetricVerdict:
    """
    Return *found* with the limit's budget on the candidate's whole run added: both must be met.

    *metric* is the candidate's own, *found* the verdict of the margin on the pairs. So many
    *suites* share the chance of a budget that is missed by chance.
    """
    budget = limit.budget
    if budget is None or metric.hits is None or not metric.eligible:
        return found
    # The ends of the two-sided 90 % interval are the one-sided 95 % bounds.
    low, high = clopper_pearson(metric.hits, metric.eligible, 0.90)
    least, most = low, high
    if suites > 1:
        least, most = clopper_pearson(metric.hits, metric.eligible, 1 - 0.10 / suites)
    if RATES[name].higher_is_better:
        met, missed, side = low >= budget, most < budget, "at least"
    else:
        met, missed, side = high <= budget, least > budget, "at most"
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


def _needed(found: Evidence, margin: float, alpha: float) -> int:
    """
    Return how many pairs would settle it in 4 of 5 tries if the truth is what was seen.
    """
    n = found.pairs
    alone = cases_to_settle(
        int(found.worth), found.broken / n, found.fixed / n, min(margin, 0.99), alpha
    )
    cases = max(n + 1, math.ceil(alone * found.alike))
    unit: int = 10 ** max(0, len(str(cases)) - 2)
    return math.ceil(cases / unit) * unit


def _what_happened(name: str, paired: PairedRate, found: Evidence) -> str:
    old, new = paired.old_hits / paired.pairs, paired.new_hits / paired.pairs
    over = count(paired.pairs, f"common {RATES[name].per.noun}")
    if RATES[name].per is CASE and len(paired.cases) != paired.pairs:
        over = f"{paired.pairs} answers to {count(len(paired.cases), 'common case')}"
    if found.alike > 1.05:
        over += f", worth {found.worth:.0f} independent ones"
    got_worse = "broke" if RATES[name].higher_is_better else "newly failing"
    return (
        f"{RATES[name].title} {moved(old, new, percent)} on {over}: {found.broken or 'none'} "
        f"{got_worse}, {found.fixed or 'none'} fixed"
    )
