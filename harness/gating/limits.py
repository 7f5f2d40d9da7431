"""
The limits of a policy x a comparison -> the verdict of each limit on its metric.

The rules are those of docs/gate.md: margins and budgets for rates, intervals of
the ratio for lengths and times. `harness.gating.gate` puts the limits together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import combinations

from harness.comparison.compare import Comparison
from harness.comparison.paired import PairedRate
from harness.gating.evidence import newly_bad
from harness.gating.lengths import judge_lengths
from harness.gating.policy import Limit, Policy
from harness.gating.power import NEW_OFFENDERS, enough_offenders
from harness.gating.rates import judge_rate, nothing_changed, within_budget
from harness.gating.times import apart, judge_times
from harness.gating.verdict import MetricVerdict
from harness.scoring.metrics import METRICS
from harness.wording import count


def judge_limits(policy: Policy, comparison: Comparison) -> dict[str, MetricVerdict]:
    """
    Return the verdict on every metric that *policy* limits.
    """
    zero = _at_zero_margin(policy, comparison)
    found = {
        name: _judge(name, limit, comparison, policy, len(zero))
        for name, limit in policy.limits.items()
    }
    shared = _share_alpha(found, zero, policy)
    return {
        name: _with_budget(name, policy.limits[name], comparison, metric)
        for name, metric in shared.items()
    }


def not_comparable(name: str, limit: Limit, comparison: Comparison, why: str) -> MetricVerdict:
    """
    Return the verdict on a metric of runs that must not be compared.
    """
    return MetricVerdict(
        verdict="not_comparable",
        reason=f"{METRICS[name].title}: not compared: {why}",
        rule="runs that were made differently are not compared",
        limit=limit.text,
        pairs=_pairs(name, comparison),
        advisory=METRICS[name].kind == "time",
    )


def _judge(
    name: str, limit: Limit, comparison: Comparison, policy: Policy, zero_margins: int
) -> MetricVerdict:
    lengths = sum(METRICS[each].kind == "length" for each in policy.limits)
    if not _pairs(name, comparison):
        return _without_pairs(name, limit, comparison)
    match METRICS[name].kind:
        case "rate":
            found = judge_rate(
                name, limit, comparison.rates[name], policy.alpha, zero_margins=zero_margins
            )
            return nothing_changed(found) if comparison.unchanged and limit.margin else found
        case "length":
            return judge_lengths(name, limit, comparison.values[name], policy.alpha, lengths)
        case "mean":
            raise ValueError(f"no policy limits {name}")
        case "time":
            if why := apart(comparison):
                return not_comparable(name, limit, comparison, why)
            return judge_times(name, limit, comparison.values[name])


def _pairs(name: str, comparison: Comparison) -> int:
    # Metrics of executed cases are not there where there are none.
    paired = comparison.metrics.get(name)
    return 0 if paired is None else paired.pairs


def _with_budget(
    name: str, limit: Limit, comparison: Comparison, found: MetricVerdict
) -> MetricVerdict:
    metric = comparison.new_run.get(name)
    if limit.budget is None or metric is None or not found.pairs:
        return found
    return within_budget(name, limit, metric, found)


def _without_pairs(name: str, limit: Limit, comparison: Comparison) -> MetricVerdict:
    old, new = comparison.old_run.get(name), comparison.new_run.get(name)
    lost = bool(old and old.eligible and not (new and new.eligible))
    title, times = METRICS[name].title, METRICS[name].kind == "time"
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


# Several zero margins


def _at_zero_margin(policy: Policy, comparison: Comparison) -> dict[str, PairedRate]:
    return {
        name: comparison.rates[name]
        for name, limit in policy.limits.items()
        if not limit.margin and name in comparison.rates and comparison.rates[name].pairs
    }


def _share_alpha(
    found: Mapping[str, MetricVerdict], zero: Mapping[str, PairedRate], policy: Policy
) -> dict[str, MetricVerdict]:
    """
    Return *found* with its zero margins sharing one alpha, by closed testing.

    Each by itself calls an equal model worse in up to 5 % of the gates, so two would in up to
    10 %. A limit that its own rule calls worse stays so if every set of limits that contains it
    is called worse as a set (Marcus, Peritz and Gabriel 1976, Biometrika 63:655).
    """
    if len(zero) < 2:
        return dict(found)
    worse = {name for name in zero if found[name].verdict == "regressed"}
    sets = [set(names) for k in range(2, len(zero) + 1) for names in combinations(zero, k)]
    kept = [names for names in sets if not _worse_as_a_set(names, found, zero, policy.alpha)]
    rule = (
        f"; the {len(zero)} zero margins share one alpha: inconclusive, not regressed, unless one "
        f"has p < alpha / {len(zero)} or {enough_offenders(len(zero))} newly failing and none "
        f"fixed, or all together have {NEW_OFFENDERS} newly failing and none fixed"
    )
    shared = dict(found)
    for name in zero:
        metric = found[name]
        if name in worse and any(name in names for names in kept):
            metric = judge_rate(
                name,
                policy.limits[name],
                zero[name],
                policy.alpha,
                zero_margins=len(zero),
                may_be_chance=True,
            )
            says = f"among {count(len(zero), 'zero margin')} that may be chance"
            metric = replace(metric, verdict="inconclusive", reason=f"{metric.reason}, but {says}")
        shared[name] = replace(metric, rule=metric.rule + rule)
    return shared


def _worse_as_a_set(
    names: Iterable[str],
    found: Mapping[str, MetricVerdict],
    zero: Mapping[str, PairedRate],
    alpha: float,
) -> bool:
    members = [(found[name], newly_bad(zero[name])) for name in names]
    share = alpha / len(members)
    enough = enough_offenders(len(members))
    if any(
        (metric.p is not None and metric.p < share) or (bad >= enough and not metric.fixed)
        for metric, bad in members
    ):
        return True
    return sum(bad for _, bad in members) >= NEW_OFFENDERS and not any(
        metric.fixed for metric, _ in members
    )
