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
    """The group of the case; None if it has none."""

    @property
    def net(self) -> int:
        """
        How many more broke than were fixed.
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
    def old(self) -> float | None:
        """
        The old rate; None over no pair.
        """
        return self.old_hits / self.pairs if self.pairs else None

    @property
    def new(self) -> float | None:
        """
        The new rate; None over no pair.
        """
        return self.new_hits / self.pairs if self.pairs else None

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
        Return the rate over the cases of these ids alone.
        """
        return rate_of(unit for unit in self.cases if unit.name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedValues:
    """
    A quantile over the answers that have a value in both runs.
    """

    old: float | None
    new: float | None
    values: tuple[tuple[float, float], ...]
    """Old and new value of each answer."""
    groups: tuple[str, ...] = ()
    """The group of each answer, or its case if it has none; empty if no case has one."""

    @property
    def pairs(self) -> int:
        """
        How many answers were paired.
        """
        return len(self.values)

    @property
    def units(self) -> list[list[tuple[float, float]]]:
        """
        The values of what varies independently: the groups, or the answers if there are none.
        """
        if not self.groups:
            return [[both] for both in self.values]
        found: dict[str, list[tuple[float, float]]] = {}
        for group, both in zip(self.groups, self.values, strict=True):
            found.setdefault(group, []).append(both)
        return list(found.values())

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


def rate_of(answers: Iterable[Unit]) -> PairedRate:
    """
    Sum *answers* by case, by group and to a rate, each in the order they first come.
    """
    cases = tuple(answers)
    if len({unit.name for unit in cases}) < len(cases):
        cases = _summed(cases, lambda unit: (True, unit.name))
    groups = cases
    if any(unit.group is not None for unit in cases):
        # A group and a case may have the same name.
        groups = _summed(cases, lambda unit: (unit.group is None, unit.group or unit.name))
    return PairedRate(
        old_hits=sum(unit.old_hits for unit in cases),
        new_hits=sum(unit.new_hits for unit in cases),
        cases=cases,
        groups=groups,
    )


def _summed(units: Iterable[Unit], named: Callable[[Unit], tuple[bool, str]]) -> tuple[Unit, ...]:
    found: dict[tuple[bool, str], list[Unit]] = {}
    for unit in units:
        found.setdefault(named(unit), []).append(unit)
    return tuple(_sum(name, together) for (_, name), together in found.items())


def _sum(name: str, units: Sequence[Unit]) -> Unit:
    if len(units) == 1 and units[0].name == name:
        return units[0]  # by far the commonest
    broken = fixed = pairs = old_hits = new_hits = 0
    for unit in units:
        broken += unit.broken
        fixed += unit.fixed
        pairs += unit.pairs
        old_hits += unit.old_hits
        new_hits += unit.new_hits
    return Unit(
        name=name,
        broken=broken,
        fixed=fixed,
        pairs=pairs,
        old_hits=old_hits,
        new_hits=new_hits,
        group=units[-1].group,
    )
