"""
The interval of a change without a policy, each by the method that its rule uses.
"""

import math

from harness.comparison.compare import Comparison
from harness.comparison.paired import PairedRate, PairedValues
from harness.gating.lengths import lengthening
from harness.gating.policy import Limit, default_policy
from harness.gating.rates import judge_rate
from harness.gating.times import apart
from harness.scoring.metrics import METRICS
from harness.stats import hodges_lehmann


def of_change(name: str, comparison: Comparison) -> tuple[float, float] | None:
    """
    Return the ends of the interval of a metric's change; None if there is none.

    Of a rate, in shares; of a length or a time, that of the ratio of new to old, less 1.
    """
    paired = comparison.metrics.get(name)
    if paired is None:
        return None
    if isinstance(paired, PairedRate):
        return of_rate(name, paired)
    if METRICS[name].kind == "time":
        return None if apart(comparison) else _of_times(paired)
    if METRICS[name].kind == "margin":
        return None
    found = lengthening(paired) if paired.pairs else None
    if found is None or found.low is None or found.high is None:
        return None
    return found.low - 1, found.high - 1


def of_rate(name: str, paired: PairedRate) -> tuple[float, float] | None:
    """
    Return the ends of the interval of a rate's change; None over no pair.

    It is that of the built-in policy's limit, or of a margin.
    """
    if not paired.pairs:
        return None
    policy = default_policy()
    limit = policy.limits.get(name, Limit(margin=policy.limits["accuracy"].margin, text=""))
    found = judge_rate(name, limit, paired, policy.alpha)
    return None if found.low is None or found.high is None else (found.low, found.high)


def _of_times(paired: PairedValues) -> tuple[float, float] | None:
    logs = [math.log(now / was) for was, now in paired.values if was > 0 and now > 0]
    shift = hodges_lehmann(logs) if logs else None
    if shift is None or shift.low is None or shift.high is None:
        return None
    return math.exp(shift.low) - 1, math.exp(shift.high) - 1
