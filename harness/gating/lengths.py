"""
The rule for lengths: exact, as they carry no noise of a machine.
"""

from harness.comparison.paired import PairedValues
from harness.gating.policy import Limit
from harness.gating.verdict import MetricVerdict, MetricWord
from harness.scoring.metrics import PERCENTILES
from harness.wording import count, moved, percent, plain

FEWEST_VALUES = 20
"""With fewer answers, a median that rose too far may be chance."""


def judge_lengths(name: str, limit: Limit, paired: PairedValues) -> MetricVerdict:
    """
    Return the verdict of *limit* on the length *name* over its pairs.

    Raises:
        ValueError: if there are no pairs.
    """
    old, new = paired.both
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
            f"{PERCENTILES[name].title} {moved(old, new, plain)} on "
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
