"""
Which of several checkpoints of one training to keep: not the highest figure, but the earliest that
is not worse than it.

The highest of many equal checkpoints is the luckiest, and training on costs time and forgets. So
the earliest is kept of which the paired test of the gate does not say that it is worse than the
best.
"""

from collections.abc import Callable, Sequence

from harness.comparison.compare import compare
from harness.errors import UsageError
from harness.gating.evidence import p_value
from harness.gating.ranking import ALPHA
from harness.runs.record import RunRecord
from harness.scoring.metrics import METRICS, RATES
from harness.wording import suggest


def earliest_as_good(records: Sequence[RunRecord], by: str = "accuracy") -> int | None:
    """
    Return the position of the earliest of *records*, in the order of training, that is not worse
    than the best of them in the rate *by*: one-sided p of the paired test, at `ALPHA`.

    None if none of them has a value.

    Raises:
        UsageError: if *by* is not a rate.
    """
    if by not in RATES:
        raise UsageError(f"{by!r} is not a rate to select by{suggest(by, RATES)}")
    known = [
        (place, float(value))
        for place, record in enumerate(records)
        if (value := record.metrics[by].value) is not None
    ]
    if not known:
        return None
    _, kept = choose(
        [value for _, value in known],
        lambda best, other: _p(records[known[best][0]], records[known[other][0]], by),
        higher=METRICS[by].higher_is_better,
    )
    return known[kept][0]


def choose(
    rates: Sequence[float], p: Callable[[int, int], float], *, higher: bool
) -> tuple[int, int]:
    """
    Return the place of the best of *rates*, the first of equal ones, and of the earliest that is
    not worse by the test: *p* of the best and another gives the one-sided p of the other's loss.
    """
    best = max(
        range(len(rates)), key=lambda place: (rates[place] if higher else -rates[place], -place)
    )
    return best, next(
        place for place in range(best + 1) if place == best or p(best, place) >= ALPHA
    )


def _p(old: RunRecord, new: RunRecord, by: str) -> float:
    paired = compare(old, new).rates[by]
    return p_value(paired) if paired.pairs else 1.0
