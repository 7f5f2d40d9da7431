"""
The limits of a policy x a comparison -> the verdict of each limit on its metric.

The rules are those of docs/gate.md: margins and budgets for rates, intervals of
the ratio for lengths and times. `harness.gating.gate` puts the limits together.
"""

from dataclasses import replace

from harness.comparison.compare import Comparison
from harness.gating.lengths import judge_lengths
from harness.gating.margins import judge_margins
from harness.gating.policy import Limit, Policy
from harness.gating.power import NEW_OFFENDERS, enough_offenders
from harness.gating.rates import judge_rate, nothing_changed, within_budget
from harness.gating.shares import Shares
from harness.gating.times import apart, judge_times
from harness.gating.verdict import MetricVerdict
from harness.scoring.metrics import METRICS
from harness.wording import count


def judge_limits(
    policy: Policy, comparison: Comparison, shares: Shares
) -> dict[str, MetricVerdict]:
    """
    Return the verdict on every metric that *policy* limits, by its share of alpha.
    """
    return {
        name: _with_budget(
            name, limit, comparison, _judge(name, limit, comparison, policy, shares), shares
        )
        for name, limit in limits_on(policy, comparison).items()
    }


def limits_on(policy: Policy, comparison: Comparison) -> dict[str, Limit]:
    """
    Return the limits of *policy* that say something about *comparison*: those of executed suites do
    not about others.
    """
    return {
        name: limit
        for name, limit in policy.limits.items()
        if name in comparison.metrics or not METRICS[name].executed
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
    name: str, limit: Limit, comparison: Comparison, policy: Policy, shares: Shares
) -> MetricVerdict:
    if not _pairs(name, comparison):
        return _without_pairs(name, limit, comparison)
    match METRICS[name].kind:
        case "rate":
            return _judge_rate(name, limit, comparison, policy, shares)
        case "length":
            return judge_lengths(name, limit, comparison.values[name], policy.alpha, shares.lengths)
        case "margin":
            paired = comparison.values[name]
            return judge_margins(name, limit, paired, policy.alpha, shares.suites)
        case "mean":
            raise ValueError(f"no policy limits {name}")
        case "time":
            if why := apart(comparison):
                return not_comparable(name, limit, comparison, why)
            return judge_times(name, limit, comparison.values[name], shares.suites)


def _judge_rate(
    name: str, limit: Limit, comparison: Comparison, policy: Policy, shares: Shares
) -> MetricVerdict:
    paired = comparison.rates[name]
    if limit.margin:
        adjusted = shares.margins.get(name)
        found = judge_rate(name, limit, paired, policy.alpha, adjusted, among="the suites")
        if adjusted is not None:
            together = f"; p is adjusted for {count(shares.suites, 'suite')} by Holm, over those"
            found = replace(found, rule=f"{found.rule}{together} that could fail at all (Tarone)")
        return nothing_changed(found) if comparison.unchanged else found
    many = shares.zero_margins
    found = judge_rate(name, limit, paired, policy.alpha, zero_margins=many)
    if many < 2:
        return found
    if found.verdict == "regressed" and name in shares.may_be_chance:
        found = judge_rate(name, limit, paired, policy.alpha, zero_margins=many, may_be_chance=True)
        says = f"among {count(many, 'zero margin')} that may be chance"
        found = replace(found, verdict="inconclusive", reason=f"{found.reason}, but {says}")
    rule = (
        f"; the {many} zero margins share one alpha: inconclusive, not regressed, unless one has "
        f"p < alpha / {many} or {enough_offenders(many)} newly failing and none fixed, or all "
        f"together have {NEW_OFFENDERS} newly failing and none fixed"
    )
    return replace(found, rule=found.rule + rule)


def _pairs(name: str, comparison: Comparison) -> int:
    # Metrics of executed cases are not there where there are none.
    paired = comparison.metrics.get(name)
    return 0 if paired is None else paired.pairs


def _with_budget(
    name: str, limit: Limit, comparison: Comparison, found: MetricVerdict, shares: Shares
) -> MetricVerdict:
    metric = comparison.new_run.get(name)
    if limit.budget is None or metric is None or not found.pairs:
        return found
    return within_budget(name, limit, metric, found, shares.suites)


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
