"""
Which epoch's weights are kept by what the suite measures, and what is reported of them.

The best of several epochs looks better than it is: the more are looked at, the more of the best
figure is luck. So the cases are split, by group. One part chooses; the other has chosen nothing,
and its figures are those of one checkpoint that was settled before. And what chooses is no argmax:
kept is the earliest epoch that the paired test of the gate does not find worse than the best.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from harness.canonical import digest
from harness.comparison.compare import compare
from harness.errors import TrainingError, UsageError
from harness.gating.evidence import p_value
from harness.gating.selection import choose
from harness.runs.record import MetricValue, RunRecord, with_interval
from harness.scoring.columns import Columns
from harness.scoring.metrics import METRICS, measure
from harness.suites.suite import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """
    The cases that choose an epoch, and those whose figures are reported; ids in suite order.
    """

    seed: int
    select: tuple[str, ...]
    report: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """
    How an epoch was chosen.
    """

    by: str
    """The metric."""
    halves: Halves
    rates: tuple[float, ...]
    """Of the cases that choose, for each epoch that was looked at."""
    best: int
    """The place of the best of them, from 0: the first of equal ones."""
    kept: int
    """The place of the one that is kept."""
    p: float
    """Of the loss of the one that is kept against the best; 0.5 or more where they are equal."""

    def __str__(self) -> str:
        """
        Return the choice in words.
        """
        return (
            f"the earliest of {len(self.rates)} whose {METRICS[self.by].title} is not shown to be "
            f"worse than the best, on {len(self.halves.select)} cases"
        )

    def to_json(self) -> dict[str, Any]:
        """
        Return the choice as training.json has it.
        """
        return {
            "by": self.by,
            "seed": self.halves.seed,
            "select": list(self.halves.select),
            "report": list(self.halves.report),
            "rates": list(self.rates),
            "best": self.best,
            "kept": self.kept,
            "p": self.p,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """
        Read a choice as training.json has it.
        """
        return cls(
            by=stored["by"],
            halves=Halves(
                seed=stored["seed"],
                select=tuple(stored["select"]),
                report=tuple(stored["report"]),
            ),
            rates=tuple(stored["rates"]),
            best=stored["best"],
            kept=stored["kept"],
            p=stored["p"],
        )


def halves(cases: Sequence[Case], *, seed: int) -> Halves:
    """
    Split *cases* in halves, whole groups on one side, the cases of each tag about evenly.

    The order of groups of equal tags is drawn by *seed*, the same everywhere; each goes to the side
    that has fewer of these cases so far.

    Raises:
        UsageError: if the cases form a single group.
    """
    groups: dict[tuple[bool, str], list[Case]] = {}
    for case in cases:
        # A group and a case may have the same name.
        groups.setdefault((case.group is None, case.group or case.id), []).append(case)
    if len(groups) < 2:
        raise UsageError(
            "the cases form one group, so they cannot be split into those that choose and those "
            "that are reported: evaluate more, or keep by loss"
        )
    alike: dict[tuple[str, ...], list[tuple[bool, str]]] = {}
    for group, members in groups.items():
        tags = sorted({tag for case in members for tag in case.tags})
        alike.setdefault(tuple(tags), []).append(group)
    sides: tuple[set[str], set[str]] = (set(), set())
    for _, of_tags in sorted(alike.items()):
        here = [0, 0]
        for group in sorted(of_tags, key=lambda group: digest([seed, *group])):
            side = min((0, 1), key=lambda side: (here[side], len(sides[side]), side))
            here[side] += len(groups[group])
            sides[side].update(case.id for case in groups[group])
    return Halves(
        seed=seed,
        select=tuple(case.id for case in cases if case.id in sides[0]),
        report=tuple(case.id for case in cases if case.id in sides[1]),
    )


def select_epoch(records: Sequence[RunRecord], split: Halves, *, by: str) -> Selected:
    """
    Choose among the runs of epochs, in order, by the metric *by* of the cases that choose.

    Raises:
        TrainingError: if none of these cases is about the metric.
    """
    rates = []
    for record in records:
        found = measured(record, split.select)[by].value
        if found is None:
            raise TrainingError(
                f"no case that would choose the epoch is about {by}; choose --by another metric"
            )
        rates.append(float(found))

    def p(best: int, other: int) -> float:
        return p_value(compare(records[best], records[other]).rates[by].only(split.select))

    best, kept = choose(rates, p, higher=METRICS[by].higher_is_better)
    return Selected(by=by, halves=split, rates=tuple(rates), best=best, kept=kept, p=p(best, kept))


def measured(record: RunRecord, ids: Collection[str] | None = None) -> dict[str, MetricValue]:
    """
    Return the metrics of a run over the cases with these *ids* alone; over all without.
    """
    if ids is None:
        return dict(record.metrics)
    known = frozenset(ids)
    columns = Columns([case for case in record.cases if case.id in known])
    return {name: with_interval(name, found) for name, found in measure(columns).items()}
