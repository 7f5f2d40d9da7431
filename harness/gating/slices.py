"""
A policy's limits on slices, the cases with one tag, tested together against false alarms.

A loss over the whole suite shows in its accuracy; a collapse of a few cases shows only here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from harness.comparison.compare import Comparison
from harness.gating.evidence import p_value
from harness.gating.policy import Limit, Policy
from harness.gating.rates import judge_rate, nothing_changed
from harness.gating.shares import Shares, of_slice
from harness.gating.verdict import MetricVerdict
from harness.scoring.metrics import RATES
from harness.stats import holm
from harness.wording import count

Slices = Mapping[str, Mapping[str, MetricVerdict]]
"""Tag -> metric -> the verdict of its limit."""


def judge_slices(
    policy: Policy, comparison: Comparison, shares: Shares
) -> dict[str, dict[str, MetricVerdict]]:
    """
    Return the verdict on every slice that *policy* limits; all of these limits share one alpha.

    The p-values are adjusted by Holm's method over the slices that could fail at all.
    """
    found: dict[str, dict[str, MetricVerdict]] = {tag: {} for tag in policy.slices}
    for tag, of_tag in policy.slices.items():
        for name, limit in of_tag.items():
            if (tag, name) not in shares.slices:
                found[tag][name] = _unmeasured(tag, name, limit)
                continue
            paired = of_slice(comparison, tag, name)
            metric = judge_rate(name, limit, paired, policy.alpha, shares.slices[tag, name])
            if comparison.unchanged and limit.margin:
                metric = nothing_changed(metric)
            together = f"; p is adjusted for {count(shares.of_slices, 'slice')} by Holm, over those"
            found[tag][name] = replace(
                metric,
                reason=f"tag {tag}: {metric.reason}",
                rule=f"{metric.rule}{together} that could fail at all (Tarone)",
            )
    return found


def losses_by_tag(comparison: Comparison, policy: Policy) -> Iterator[str]:
    """
    Yield where a loss of accuracy is concentrated: tags that lost beyond chance, by Holm's method.

    These are hints and decide nothing; slices that the policy limits are left out.
    """
    whole = len(comparison.rates["accuracy"].cases)
    tags = [tag for tag in comparison.tags if tag not in policy.slices]
    slices = {tag: of_slice(comparison, tag, "accuracy") for tag in tags}
    slices = {tag: paired for tag, paired in slices.items() if 0 < len(paired.cases) < whole}
    p_values = [p_value(paired) for paired in slices.values()]
    for (tag, paired), p in zip(slices.items(), holm(p_values), strict=True):
        if p < policy.alpha:
            broken, fixed = int(paired.cases.broken.sum()), int(paired.cases.fixed.sum())
            yield (
                f"look at tag {tag}: {broken} of its {paired.pairs} answers "
                f"broke, {fixed or 'none'} fixed, beyond chance for {count(len(slices), 'tag')}"
            )


def _unmeasured(tag: str, name: str, limit: Limit) -> MetricVerdict:
    return MetricVerdict(
        verdict="inconclusive",
        reason=f"tag {tag}: {RATES[name].title}: no common case with this tag could be measured",
        rule="inconclusive where no pair can be measured: a tag that is misspelt guards nothing",
        limit=limit.text,
    )
