"""
Several runs in order, and which of them cannot be told apart.

All are counted over the answers that every run has and that were scored in each, so that they are
held to the same questions. Any two are put to the paired test of the gate, both ways; as many tests
as there are pairs are allowed for together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from harness.comparison.compare import in_common
from harness.comparison.differences import differences
from harness.comparison.paired import PairedRate, Unit, rate_of
from harness.gating.evidence import p_value
from harness.runs.record import RunRecord
from harness.scoring.results import CaseResult
from harness.stats import holm

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
    cases = [
        {key: case for case in each.cases if (key := (case.id, case.repeat, case.digest)) in common}
        for each in records
    ]
    counted = [key for key in cases[0] if all(each[key].scored for each in cases)]
    correct = [sum(each[key].status == "correct" for key in counted) for each in cases]
    failed = [_must_pass_failed(each) for each in records]
    order = sorted(range(len(records)), key=lambda run: (-correct[run], len(failed[run])))
    pairs = list(combinations(range(len(order)), 2))
    raw = [
        two_sided(
            rate_of(_unit(cases[order[one]][key], cases[order[other]][key]) for key in counted)
        )
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
    failed = (
        case.id
        for case in record.cases
        if case.must_pass and not case.quarantined and case.status not in ("correct", "error")
    )
    return tuple(dict.fromkeys(failed))


def two_sided(paired: PairedRate) -> float:
    """
    Return the p of a difference this large, whichever of the two is better: the paired test of the
    gate, both ways.
    """
    swapped = (replace(unit, broken=unit.fixed, fixed=unit.broken) for unit in paired.cases)
    return min(1.0, 2 * min(p_value(paired), p_value(rate_of(swapped))))


def told_apart(p: float) -> bool:
    """
    Return whether *p* tells two runs apart.
    """
    return p < ALPHA


def _unit(old: CaseResult, new: CaseResult) -> Unit:
    was, now = (case.status == "correct" for case in (old, new))
    return Unit(
        name=new.id,
        broken=int(was and not now),
        fixed=int(now and not was),
        pairs=1,
        old_hits=int(was),
        new_hits=int(now),
        group=new.group,
    )
