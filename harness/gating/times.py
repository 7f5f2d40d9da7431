"""
The rules for times: an interval of their ratio, answer by answer, on one kind of machine.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from harness.comparison.compare import Comparison
from harness.comparison.paired import PairedValues
from harness.gating.policy import Limit
from harness.gating.verdict import MetricVerdict, MetricWord
from harness.scoring.metrics import PERCENTILES
from harness.stats import hodges_lehmann
from harness.wording import count, moved, plain

_CONFIDENCE = 0.95


def apart(comparison: Comparison) -> str | None:
    """
    Return why the runs' times cannot be compared; None if they can.
    """
    fields = [
        difference.field
        for difference in comparison.differences
        if difference.effect in ("latency", "not_comparable", "exported")
    ]
    if not fields and comparison.same_hardware:
        return None
    differ = f"{', '.join(fields)} differ" if fields else "a run does not name its hardware"
    return f"{differ}; time both on one machine"


def judge_times(name: str, limit: Limit, paired: PairedValues, suites: int = 1) -> MetricVerdict:
    """
    Return the verdict of *limit* on the time *name* over its pairs, whose times are comparable.

    So many *suites* share the chance of an interval that misses the truth.

    Raises:
        ValueError: if there are no pairs.
    """
    return _judge(
        name,
        limit,
        paired,
        rule=(
            "regressed where the whole {level} interval of the ratio, answer by answer, lies above "
            "the limit; pass where it lies below; else inconclusive, without weight"
        ),
        beyond=lambda _, low: low > 1 + limit.margin,
        weightless=True,
        confidence=1 - (1 - _CONFIDENCE) / suites,
    )


def judge_alternated(name: str, limit: Limit, paired: PairedValues) -> MetricVerdict:
    """
    Return the verdict of *limit* on the time *name* of two checkpoints timed in alternation.

    What the machine did affects both, so a slowdown counts if it is shown to be one and estimated
    to be beyond the limit.

    Raises:
        ValueError: if there are no pairs.
    """
    return _judge(
        name,
        limit,
        paired,
        rule=(
            "regressed where the {level} interval of the ratio, case by case, lies above 1 and the "
            "estimate above the limit; pass where the interval lies below the limit; else "
            "inconclusive"
        ),
        beyond=lambda ratio, low: low > 1 and ratio > 1 + limit.margin,
        weightless=False,
    )


def _judge(
    name: str,
    limit: Limit,
    paired: PairedValues,
    *,
    rule: str,
    beyond: Callable[[float, float], bool],
    weightless: bool,
    confidence: float = _CONFIDENCE,
) -> MetricVerdict:
    """
    *beyond* says of the ratio and the lower end of its interval whether it is too slow; an
    inconclusive verdict that is *weightless* is left out of the whole.
    """
    old, new = paired.both
    logs = [math.log(now / was) for was, now in paired.values if was > 0 and now > 0]
    shift = hodges_lehmann(logs, confidence) if logs else None
    level = f"{100 * confidence:.4g}%"
    found = MetricVerdict(
        verdict="inconclusive",
        reason=(
            f"{PERCENTILES[name].title}: {count(paired.pairs, 'common answer')}, too few for a "
            f"{level} interval, which takes {math.ceil(math.log2(2 / (1 - confidence)))}"
        ),
        rule=rule.format(level=level),
        limit=limit.text,
        old=old,
        new=new,
        delta=new - old,
        pairs=paired.pairs,
        advisory=weightless,
    )
    if shift is None or shift.low is None or shift.high is None:
        return found
    ratio, low, high = math.exp(shift.estimate), math.exp(shift.low), math.exp(shift.high)
    word: MetricWord = "inconclusive"
    if beyond(ratio, low):
        word = "regressed"
    elif high < 1 + limit.margin:
        word = "pass"
    return replace(
        found,
        verdict=word,
        reason=(
            f"{PERCENTILES[name].title} {moved(old, new, plain)} ms on "
            f"{count(paired.pairs, 'common answer')}: answer by answer {ratio:.2f} times the old "
            f"time ({level} interval {low:.2f} to {high:.2f}), allowed {1 + limit.margin:.2f}"
        ),
        ratio=(ratio, low, high),
        advisory=weightless and word == "inconclusive",
    )
