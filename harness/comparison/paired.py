"""
Answers of two runs, paired and summed: by case, by group, over all.

Only what was seen is here; what follows from it is said by `harness.gating.rates` and its
neighbours.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """
    Answers that do not vary independently of each other, summed.
    """

    name: str
    broken: int
    fixed: int
    pairs: int
    old_hits: int
    new_hits: int
    group: str | None = None
    """Of a case: the name of the unit it shares with its group."""

    @property
    def net(self) -> int:
        """
        How many more broke than were mended.
        """
        return self.broken - self.fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRate:
    """
    A rate over the pairs eligible in both runs.

    *Broken* is what was good before and is bad now, whichever way the metric is better: for second
    calls, an answer that offends now and did not before.
    """

    old_hits: int
    new_hits: int
    cases: tuple[Unit, ...]
    """One for each case: its repeats and, where the metric counts turns, its turns."""
    groups: tuple[Unit, ...]
    """The same pairs, one unit for each group; a case without a group is its own."""

    @property
    def pairs(self) -> int:
        """
        How many answers were paired.
        """
        return sum(unit.pairs for unit in self.cases)

    @property
    def broken(self) -> tuple[str, ...]:
        """
        The ids of the cases that got worse, over all their repeats.
        """
        return tuple(unit.name for unit in self.cases if unit.net > 0)

    @property
    def fixed(self) -> tuple[str, ...]:
        """
        The ids of the cases that got better, over all their repeats.
        """
        return tuple(unit.name for unit in self.cases if unit.net < 0)

    def only(self, names: Collection[str]) -> "PairedRate":
        """
        Give what the cases of these ids alone make of it.
        """
        return rate_of([unit for unit in self.cases if unit.name in names])


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedValues:
    """
    A quantile over the answers that have a value in both runs.
    """

    old: float | None
    new: float | None
    values: tuple[tuple[float, float], ...]
    """Old and new value of each answer."""

    @property
    def pairs(self) -> int:
        """
        How many answers were paired.
        """
        return len(self.values)

    @property
    def both(self) -> tuple[float, float]:
        """
        The old and the new quantile.

        Raises:
            ValueError: if there is no pair.
        """
        if self.old is None or self.new is None:
            raise ValueError("a quantile over no pair")
        return self.old, self.new


def rate_of(cases: Sequence[Unit]) -> PairedRate:
    """
    Sum *cases* to a rate, and to the groups they belong to.
    """
    return PairedRate(
        old_hits=sum(unit.old_hits for unit in cases),
        new_hits=sum(unit.new_hits for unit in cases),
        cases=tuple(cases),
        groups=summed(cases, by=lambda unit: unit.group or unit.name),
    )


def summed(units: Iterable[Unit], *, by: Callable[[Unit], str]) -> tuple[Unit, ...]:
    """
    Sum the units that are the same *by* name, in the order they first come.
    """
    sums: dict[str, list[int]] = {}
    groups: dict[str, str | None] = {}
    for unit in units:
        key = by(unit)
        groups[key] = unit.group
        counts = sums.setdefault(key, [0, 0, 0, 0, 0])
        for place, count in enumerate(
            (unit.broken, unit.fixed, unit.pairs, unit.old_hits, unit.new_hits)
        ):
            counts[place] += count
    return tuple(
        Unit(
            name=key,
            broken=broken,
            fixed=fixed,
            pairs=pairs,
            old_hits=old_hits,
            new_hits=new_hits,
            group=groups[key],
        )
        for key, (broken, fixed, pairs, old_hits, new_hits) in sums.items()
    )
