"""
The rule for margins: how sure the checkpoint is of the tools it rightly calls.

An answer whose margin shrinks is on its way to another tool, and right until it is there. So this
sees a checkpoint drift before a case breaks.
"""

from harness.comparison.paired import PairedRate, PairedValues, Unit, rate_of
from harness.gating.evidence import p_value
from harness.gating.policy import Limit
from harness.gating.verdict import MetricVerdict, MetricWord
from harness.scoring.metrics import PERCENTILES
from harness.wording import chance, count, moved, percent

_RULE = (
    "regressed where the value over answers correct in both runs fell by more than the limit, and "
    "more answers lie below that than before, beyond chance (paired test, p < {alpha:g}); "
    "inconclusive where only the first holds; else pass"
)


def judge_margins(
    name: str, limit: Limit, paired: PairedValues, alpha: float, suites: int = 1
) -> MetricVerdict:
    """
    Return the verdict of *limit* on the low margin *name* over its pairs.

    So many *suites* share *alpha*, the policy's.

    Raises:
        ValueError: if there are no pairs.
    """
    old, new = paired.both
    line = old * (1 - limit.margin)
    below = _below(paired, line)
    word: MetricWord = "pass"
    p = None
    says = f"a fall of {percent(limit.margin)} is allowed"
    if old <= 0:
        # Nothing is left that could shrink: ties are broken either way.
        says = "it was 0 already, so there is no share of it to lose"
    elif new < line:
        p = p_value(below)
        word = "regressed" if p < alpha / suites else "inconclusive"
        says = (
            f"more than the {percent(limit.margin)} allowed: {count(below.new_hits, 'answer')} "
            f"below {line:.2f}, {below.old_hits} before ({chance(p)})"
        )
    return MetricVerdict(
        verdict=word if old > 0 else "not_measured",
        reason=(
            f"{PERCENTILES[name].title} {moved(old, new, '{:.2f}'.format)} nats on "
            f"{count(paired.pairs, 'answer')} correct in both runs: {says}"
        ),
        rule=_RULE.format(alpha=alpha / suites),
        limit=limit.text,
        old=old,
        new=new,
        delta=new - old,
        p=p,
        pairs=paired.pairs,
        advisory=old <= 0,
    )


def _below(paired: PairedValues, line: float) -> PairedRate:
    """
    Return how many answers lie below *line*, as a rate: one that fell below it broke.
    """
    return rate_of(
        Unit(
            name=f"answer {place}",
            broken=int(now < line <= was),
            fixed=int(was < line <= now),
            pairs=1,
            old_hits=int(was < line),
            new_hits=int(now < line),
            group=paired.groups[place] if paired.groups else None,
        )
        for place, (was, now) in enumerate(paired.values)
    )
