"""
One limit of a policy x one metric of a comparison -> what the limit makes of the metric.

The rules are those of docs/gate.md: margins for rates, an exact bound for lengths, an interval for
times. Nothing here knows of the whole: `harness.gate` puts the limits together.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.compare import Comparison, PairedRate, PairedValues, Unit
from harness.metrics import METRICS
from harness.policy import Limit
from harness.stats import (
    cases_to_clear,
    cases_to_detect,
    clopper_pearson,
    design_effect,
    hodges_lehmann,
    sign_flip_mid_p,
    smallest_detectable_drop,
    tango_interval,
    tango_upper,
)

MetricWord = Literal["pass", "inconclusive", "not_comparable", "regressed", "not_measured"]

FEWEST_GROUPS = 10
"""With fewer, groups say too little about how alike their cases are; each case counts alone."""

FEWEST_VALUES = 20
"""With fewer answers, a median that rose too far may be chance."""

NEW_OFFENDERS = 3
"""At a zero margin, this many newly bad cases and none mended are a regression by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """
    What one limit makes of one metric.
    """

    verdict: MetricWord
    reason: str
    """One sentence for a person."""
    rule: str
    """The rule that decided, for a person."""
    limit: str
    """As the policy spells it."""
    old: float | None = None
    new: float | None = None
    """Over the pairs; the whole runs may differ."""
    delta: float | None = None
    """new - old."""
    low: float | None = None
    high: float | None = None
    """The two-sided 95 % interval of delta; None for lengths and times."""
    p: float | None = None
    """One-sided: of a loss this large if the models were equal."""
    pairs: int = 0
    broken: int = 0
    fixed: int = 0
    """How many of the pairs got worse and better."""
    bound: float | None = None
    """The upper 95 % bound of the loss, for rates."""
    ratio: tuple[float, float, float] | None = None
    """new / old, answer by answer, with its 95 % interval, for times."""
    detectable: float | None = None
    """The smallest loss that so many pairs find in 4 of 5 tries; None if none, or no margin."""
    needed: int | None = None
    """About how many pairs would settle an inconclusive rate."""
    advisory: bool = False
    """Whether the overall verdict leaves this limit out."""


def judge(name: str, limit: Limit, comparison: Comparison, alpha: float) -> MetricVerdict:
    """
    Hold the metric *name* against *limit*.
    """
    paired = comparison.metrics[name]
    if not paired.pairs:
        return _without_pairs(name, limit, comparison)
    if isinstance(paired, PairedRate):
        found = _judge_rate(name, limit, paired, alpha)
        return found if limit.budget is None else _within_budget(name, limit, comparison, found)
    if METRICS[name].unit == "ms":
        return _judge_times(name, limit, paired, comparison)
    return _judge_lengths(name, limit, paired)


def not_comparable(name: str, limit: Limit, comparison: Comparison, why: str) -> MetricVerdict:
    """
    Give the verdict on a metric of runs that must not be compared.
    """
    return MetricVerdict(
        verdict="not_comparable",
        reason=f"{METRICS[name].title}: not compared: {why}",
        rule="runs that were made differently are not compared",
        limit=limit.text,
        pairs=comparison.metrics[name].pairs,
        advisory=METRICS[name].unit == "ms",
    )


def units(paired: PairedRate) -> tuple[Unit, ...]:
    """
    Give what varies independently: the groups, or the cases where there are too few groups.
    """
    return paired.groups if len(paired.groups) >= FEWEST_GROUPS else paired.cases


def effect(paired: PairedRate) -> float:
    """
    Give the factor by which answers that are alike weaken the evidence; at least 1.
    """
    return _effect([(unit.broken, unit.fixed, unit.pairs) for unit in units(paired)], paired)


# Rates


def _judge_rate(name: str, limit: Limit, paired: PairedRate, alpha: float) -> MetricVerdict:
    n, margin, high_is_good = paired.pairs, limit.margin, METRICS[name].higher_is_better
    loss_word = "drop" if high_is_good else "rise"
    independent = units(paired)
    broken = sum(unit.broken for unit in independent)
    fixed = sum(unit.fixed for unit in independent)
    alike = effect(paired)
    loss = (broken - fixed) / n
    low, high = tango_interval(broken, fixed, n, effect=alike)
    bound = _upper_bound(paired)
    p = sign_flip_mid_p([unit.net for unit in independent])
    noise = 2 * min(broken, fixed) / n
    # At a zero margin a few cases fail the gate by themselves, whatever this says.
    detectable = smallest_detectable_drop(n / alike, noise, alpha=alpha) if margin else None

    beyond = f"{'beyond' if p < alpha else 'within'} chance ({_p(p)})"
    the_loss = (
        f"the {loss_word} of {points(loss)} points (95% interval {points(low)} to {points(high)})"
    )
    allowed = f"the {points(margin)} points allowed"
    needed = None
    word: MetricWord
    if not margin and (p < alpha or (len(paired.broken) >= NEW_OFFENDERS and not fixed)):
        word = "regressed"
        says = f"{the_loss} is {beyond} and none is allowed"
        if p >= alpha:
            says = f"{NEW_OFFENDERS} or more newly bad cases and none mended are too many"
    elif not margin:
        word = "pass"
        says = f"no {loss_word}" if loss <= 0 else f"{the_loss} is {beyond}"
        says += f"; {NEW_OFFENDERS} newly bad cases and none mended would fail"
    elif bound < margin:
        word = "pass"
        ruled_out = f"a {loss_word} beyond {allowed}" if bound > 0 else f"any {loss_word}"
        says = f"{ruled_out} is ruled out (upper 95% bound {points(bound)})"
        if p < alpha:
            says = f"{the_loss} is {beyond}, but {says}"
    elif p < alpha:
        word = "regressed"
        over = "more than" if loss > margin else "not shown to be within"
        says = f"{the_loss} is {beyond} and {over} {allowed}"
    else:
        word = "inconclusive"
        needed = _needed(loss, broken, fixed, n, margin, alpha, alike)
        says = (
            f"{f'no {loss_word} was seen' if loss <= 0 else f'{the_loss} is {beyond}'}, but one of "
            f"up to {points(bound)} points is not ruled out and {points(margin)} are allowed; "
            f"about {needed} {_things(name)} would settle it"
        )
    if margin and word != "regressed":
        says += (
            f"; a comparison of this size cannot be relied on to see any {loss_word}"
            if detectable is None
            else f"; a comparison of this size sees a {loss_word} of {points(detectable)} points "
            "in 4 of 5 tries"
        )
    return MetricVerdict(
        verdict=word,
        reason=f"{_what_happened(name, paired, broken, fixed)}; {says}",
        rule=_ZERO_MARGIN.format(alpha=alpha) if not margin else _MARGIN.format(alpha=alpha),
        limit=limit.text,
        old=paired.old_hits / n,
        new=paired.new_hits / n,
        delta=(paired.new_hits - paired.old_hits) / n,
        # A loss is a fall of what should be high and a rise of what should be low.
        low=-high if high_is_good else low,
        high=-low if high_is_good else high,
        p=p,
        pairs=n,
        broken=broken,
        fixed=fixed,
        bound=bound,
        detectable=detectable,
        needed=needed,
    )


_MARGIN = (
    "regressed where the paired test gives p < {alpha:g} and the upper 95% bound of the loss is "
    "not below the margin; pass where it is below; else inconclusive"
)
_ZERO_MARGIN = (
    f"regressed where the paired test gives p < {{alpha:g}}, or at least {NEW_OFFENDERS} cases are "
    "newly bad and none was mended; else pass"
)


def _upper_bound(paired: PairedRate) -> float:
    """
    The upper 95 % bound of the loss.

    What was mended may lower it but never raise it: a group mended as one makes the cases look
    more alike, and a bound that rose for that would punish an improvement.
    """
    broken = sum(unit.broken for unit in paired.cases)
    fixed = sum(unit.fixed for unit in paired.cases)
    gross = _effect([(unit.broken, 0, unit.pairs) for unit in units(paired)], paired)
    return min(
        tango_upper(broken, fixed, paired.pairs, effect=effect(paired)),
        tango_upper(broken, 0, paired.pairs, effect=gross),
    )


def _effect(counts: Sequence[tuple[int, int, int]], paired: PairedRate) -> float:
    changed = sum(broken + fixed for broken, fixed, _ in counts)
    if not changed:
        # Nothing to estimate from. Repeats of a case that all agree are one piece of evidence.
        return paired.pairs / len(paired.cases)
    return design_effect(
        [broken - fixed for broken, fixed, _ in counts], [pairs for *_, pairs in counts], changed
    )


def _needed(
    loss: float, broken: int, fixed: int, n: int, margin: float, alpha: float, alike: float
) -> int:
    """
    How many pairs would probably settle it if what was seen is what is so.
    """
    if loss >= margin:
        cases = cases_to_detect(loss, 2 * fixed / n, alpha=alpha)
    else:
        cases = cases_to_clear(min(1.0, margin - loss), (broken + fixed) / n)
    cases = max(n + 1, math.ceil(cases * alike))
    unit: int = 10 ** max(0, len(str(cases)) - 2)
    return math.ceil(cases / unit) * unit


def _within_budget(
    name: str, limit: Limit, comparison: Comparison, found: MetricVerdict
) -> MetricVerdict:
    """
    Hold the candidate's whole run against the budget too: both have to be met.
    """
    metric = comparison.new_run.get(name)
    budget = limit.budget
    if budget is None or metric is None or metric.hits is None or not metric.eligible:
        return found
    # The ends of the two-sided 90 % interval are the one-sided 95 % bounds.
    low, high = clopper_pearson(metric.hits, metric.eligible, 0.90)
    if METRICS[name].higher_is_better:
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
            f"{METRICS[name].title}: {metric.hits} of {metric.eligible} in the candidate, by 95% "
            f"bounds {percent(low)} to {percent(high)}, and {asks}, which is "
            f"{'missed' if missed else 'not shown to be met'}; {found.reason}"
        ),
        rule=f"{found.rule}; and the one-sided 95% bound of the candidate's rate within the budget",
    )


# Lengths and times


def _judge_lengths(name: str, limit: Limit, paired: PairedValues) -> MetricVerdict:
    old, new = _both(paired)
    word: MetricWord = "pass"
    says = "within"
    if new > old * (1 + limit.margin):
        word, says = "regressed", "more than"
        if paired.pairs < FEWEST_VALUES:
            word = "inconclusive"
            says = f"too few (under {FEWEST_VALUES}) to tell it from chance, but more than"
    return MetricVerdict(
        verdict=word,
        reason=(
            f"{METRICS[name].title} {_moved(old, new, _plain)} on "
            f"{count(paired.pairs, 'common answer')}: {says} the {percent(limit.margin)} allowed"
        ),
        rule=(
            "lengths carry no noise of a machine: regressed where the value over the pairs rose "
            f"beyond the limit (inconclusive under {FEWEST_VALUES} answers), else pass"
        ),
        limit=limit.text,
        old=old,
        new=new,
        delta=new - old,
        pairs=paired.pairs,
    )


def _judge_times(
    name: str, limit: Limit, paired: PairedValues, comparison: Comparison
) -> MetricVerdict:
    apart = [
        difference.field
        for difference in comparison.differences
        if difference.effect in ("latency", "not_comparable")
    ]
    if apart or not comparison.same_hardware:
        differ = f"{', '.join(apart)} differ" if apart else "a run does not name its hardware"
        return not_comparable(name, limit, comparison, f"{differ}; time both on one machine")
    old, new = _both(paired)
    logs = [math.log(now / was) for was, now in paired.values if was > 0 and now > 0]
    shift = hodges_lehmann(logs) if logs else None
    found = MetricVerdict(
        verdict="inconclusive",
        reason=f"{METRICS[name].title}: too few times for an interval",
        rule=(
            "regressed where the whole 95% interval of the ratio, answer by answer, lies above "
            "the limit; pass where it lies below; else inconclusive, without weight"
        ),
        limit=limit.text,
        old=old,
        new=new,
        delta=new - old,
        pairs=paired.pairs,
        advisory=True,
    )
    if shift is None or shift.low is None or shift.high is None:
        return found
    ratio, low, high = math.exp(shift.estimate), math.exp(shift.low), math.exp(shift.high)
    word: MetricWord = "inconclusive"
    if low > 1 + limit.margin:
        word = "regressed"
    elif high < 1 + limit.margin:
        word = "pass"
    return replace(
        found,
        verdict=word,
        reason=(
            f"{METRICS[name].title} {_moved(old, new, _plain)} ms on "
            f"{count(paired.pairs, 'common answer')}: answer by answer {ratio:.2f} times the old "
            f"time (95% interval {low:.2f} to {high:.2f}), allowed {1 + limit.margin:.2f}"
        ),
        ratio=(ratio, low, high),
        advisory=word == "inconclusive",
    )


def _without_pairs(name: str, limit: Limit, comparison: Comparison) -> MetricVerdict:
    old, new = comparison.old_run.get(name), comparison.new_run.get(name)
    lost = bool(old and old.eligible and not (new and new.eligible))
    title, times = METRICS[name].title, METRICS[name].unit == "ms"
    if lost and not times:
        return MetricVerdict(
            verdict="inconclusive",
            reason=f"{title}: {old.eligible if old else 0} in the baseline, nothing to measure now",
            rule="inconclusive where only the baseline could be measured",
            limit=limit.text,
        )
    return MetricVerdict(
        verdict="not_measured",
        reason=f"{title}: nothing to measure in {'the candidate' if lost else 'common'}",
        rule="left out where no pair can be measured",
        limit=limit.text,
        advisory=True,
    )


def _both(paired: PairedValues) -> tuple[float, float]:
    if paired.old is None or paired.new is None:
        raise ValueError("a quantile over no pair")
    return paired.old, paired.new


# Words


def _what_happened(name: str, paired: PairedRate, broken: int, fixed: int) -> str:
    old, new = paired.old_hits / paired.pairs, paired.new_hits / paired.pairs
    over = count(paired.pairs, "common " + _things(name)[:-1])
    if _things(name) == "cases" and len(paired.cases) != paired.pairs:
        over = f"{paired.pairs} answers to {count(len(paired.cases), 'common case')}"
    got_worse = "broke" if METRICS[name].higher_is_better else "newly offended"
    return (
        f"{METRICS[name].title} {_moved(old, new, percent)} on {over}: {broken or 'none'} "
        f"{got_worse}, {mended(fixed)}"
    )


def _things(name: str) -> str:
    return "turns" if name == "call_after_result_rate" else "cases"


def _moved(old: float, new: float, spell: Callable[[float], str]) -> str:
    if new == old:
        return f"stayed at {spell(old)}"
    return f"{'rose' if new > old else 'fell'} from {spell(old)} to {spell(new)}"


def _plain(value: float) -> str:
    return f"{value:.4g}"


def percent(share: float) -> str:
    """
    Spell a share as a percentage.
    """
    return f"{100 * share:.1f}%"


def points(share: float) -> str:
    """
    Spell a share as percentage points, without the word.
    """
    return f"{100 * share:.1f}".removesuffix(".0")


def mended(fixed: int) -> str:
    """
    Spell how many were mended.
    """
    return f"{fixed or 'none'} {'was' if fixed < 2 else 'were'} mended"


def count(many: int, noun: str) -> str:
    """
    Spell how many there are, with the noun in the right number.
    """
    return f"{many} {noun}" if many == 1 else f"{many} {noun}s"


def _p(p: float) -> str:
    return f"p {p:.2g}" if p >= 0.0001 else "p < 0.0001"
