"""
Which of several checkpoints of one training to keep: not the highest figure, but the earliest that
is not worse than it.

The highest of many equal checkpoints is the luckiest, and training on costs time and forgets. So
the earliest is kept of which the paired test of the gate does not say that it is worse than the
best.
"""

from collections.abc import Sequence

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
    values = {
        place: value
        for place, record in enumerate(records)
        if (value := record.metrics[by].value) is not None
    }
    if not values:
        return None
    sign = 1 if METRICS[by].higher_is_better else -1
    best = max(values, key=lambda place: (sign * values[place], -place))
    return next(
        place for place in values if place == best or not worse(records[best], records[place], by)
    )


def worse(old: RunRecord, new: RunRecord, by: str) -> bool:
    """
    Return whether *new* is worse than *old* in the rate *by* beyond chance.
    """
    paired = compare(old, new).rates[by]
    return bool(paired.pairs) and p_value(paired) < ALPHA
