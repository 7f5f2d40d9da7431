"""
Several runs in order, and which of them cannot be told apart.

All are counted over the answers that every run has and that were scored in each, so that they are
held to the same questions. Any two are put to the paired test of the gate, both ways; as many tests
as there are pairs are allowed for together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from harness.comparison.compare import in_common
from harness.comparison.differences import differences
from harness.comparison.paired import PairedRate, Units, paired_rate
from harness.gating.evidence import p_value
from harness.runs.record import RunRecord
from harness.scoring.columns import objects
from harness.stats import holm

if TYPE_CHECKING:
    from harness.scoring.columns import Bools, Objects

ALPHA = 0.05
"""Two runs are told apart where the adjusted p is below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    One run in the order. Runs are named by their position in it, from 0.
    """

    run: int
    """Its position among the runs as they were given."""
    correct: int
    must_pass_failed: tuple[str, ...]
    """Ids of its cases that must pass and failed."""
    alike: tuple[int, ...]
    """The positions of the runs that cannot be told apart from it."""
    made_otherwise: tuple[str, ...]
    """The settings in which it differs from the first, so that the two are not comparable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """
    Runs, the best first: by correct answers, then by fewer failures of cases that must pass.
    """

    answers: int
    """How many answers were counted."""
    places: tuple[Place, ...]
    p: Mapping[tuple[int, int], float]
    """The two-sided p of the paired test between two positions, adjusted for all pairs (Holm)."""


def rank(records: Sequence[RunRecord]) -> Ranking:
    """
    Return *records* in order.
    """
    common = in_common(records)
    columns = [record.columns for record in records]
    places = [
        {
            key: place
            for place, key in enumerate(
                zip(each.ids, each.repeats.tolist(), each.digests, strict=True)
            )
            if key in common
        }
        for each in columns
    ]
    counted = [
        key
        for key in places[0]
        if all(each.scored[of[key]] for each, of in zip(columns, places, strict=True))
    ]
    right = [
        each.correct[[of[key] for key in counted]] for each, of in zip(columns, places, strict=True)
    ]
    correct = [int(each.sum()) for each in right]
    failed = [_must_pass_failed(each) for each in records]
    order = sorted(range(len(records)), key=lambda run: (-correct[run], len(failed[run])))
    pairs = list(combinations(range(len(order)), 2))
    groups = [
        each.groups.objects()[[of[key] for key in counted]]
        for each, of in zip(columns, places, strict=True)
    ]
    names = objects([identity for identity, _, _ in counted])
    raw = [
        two_sided(_paired(right[order[one]], right[order[other]], names, groups[order[other]]))
        for one, other in pairs
    ]
    p = dict(zip(pairs, holm(raw), strict=True))
    return Ranking(
        answers=len(counted),
        places=tuple(
            Place(
                run=run,
                correct=correct[run],
                must_pass_failed=failed[run],
                alike=_alike(place, p),
                made_otherwise=tuple(
                    each.field
                    for each in differences(records[order[0]], records[run])
                    if each.effect == "not_comparable"
                ),
            )
            for place, run in enumerate(order)
        ),
        p=p,
    )


def _alike(place: int, p: Mapping[tuple[int, int], float]) -> tuple[int, ...]:
    return tuple(
        one if other == place else other
        for (one, other), value in p.items()
        if place in (one, other) and not told_apart(value)
    )


def _must_pass_failed(record: RunRecord) -> tuple[str, ...]:
    cases = record.columns
    return cases.named(
        cases.ways.flags(
            lambda case: (
                case.must_pass and not case.quarantined and case.status not in ("correct", "error")
            )
        )
    )


def two_sided(paired: PairedRate) -> float:
    """
    Return the p of a difference this large, whichever of the two is better: the paired test of the
    gate, both ways.
    """
    swapped = paired_rate(replace(paired.cases, counts=paired.cases.counts[:, [1, 0, 2, 3, 4]]))
    return min(1.0, 2 * min(p_value(paired), p_value(swapped)))


def told_apart(p: float) -> bool:
    """
    Return whether *p* tells two runs apart.
    """
    return p < ALPHA


def _paired(was: "Bools", now: "Bools", names: "Objects", groups: "Objects") -> PairedRate:
    """
    Return the accuracy of two runs over answers, of each whether it *was* and is *now* right.
    """
    import numpy as np

    counts = np.stack([was & ~now, now & ~was, np.ones_like(was), was, now], axis=1)
    return paired_rate(Units(names=names, groups=groups, counts=counts.astype(np.int64)))
