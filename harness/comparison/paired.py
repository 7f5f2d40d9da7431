"""
Answers of two runs, paired and summed: by case, by group, over all.

Only what was seen is here; what follows from it is said by `harness.gating.rates` and its
neighbours.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from harness.scoring.columns import objects

if TYPE_CHECKING:
    from harness.scoring.columns import Bools, Ints, Objects


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units(Sequence[Unit]):
    """
    Units as columns.
    """

    names: "Objects"
    groups: "Objects"
    counts: "Ints"
    """A row for each unit: broken, fixed, pairs, old hits, new hits."""

    @classmethod
    def of(cls, units: Iterable[Unit]) -> "Units":
        """
        Return the columns of *units*.
        """
        import numpy as np

        rows = list(units)
        counts = [(u.broken, u.fixed, u.pairs, u.old_hits, u.new_hits) for u in rows]
        return cls(
            names=objects([unit.name for unit in rows]),
            groups=objects([unit.group for unit in rows]),
            counts=np.array(counts, dtype=np.int64).reshape(-1, 5),
        )

    @property
    def broken(self) -> "Ints":
        """
        How many answers broke, unit by unit.
        """
        return self.counts[:, 0]

    @property
    def fixed(self) -> "Ints":
        """
        How many were fixed.
        """
        return self.counts[:, 1]

    @property
    def pairs(self) -> "Ints":
        """
        How many were paired.
        """
        return self.counts[:, 2]

    @property
    def old_hits(self) -> "Ints":
        """
        How many were hits.
        """
        return self.counts[:, 3]

    @property
    def new_hits(self) -> "Ints":
        """
        How many are hits.
        """
        return self.counts[:, 4]

    @property
    def net(self) -> "Ints":
        """
        How many more broke than were fixed.
        """
        return self.broken - self.fixed

    def where(self, flags: "Bools") -> "Units":
        """
        Return the units with a flag.
        """
        return Units(names=self.names[flags], groups=self.groups[flags], counts=self.counts[flags])

    def summed(self, keys: Sequence[object], names: "Objects") -> "tuple[Units, Ints]":
        """
        Return one unit for each of *keys*, in the order they first come, and the place among these
        of each unit here; *names* are the units'.
        """
        import numpy as np

        places: dict[object, int] = {}
        codes = np.array([places.setdefault(key, len(places)) for key in keys], dtype=np.int64)
        counts = np.zeros((len(places), 5), dtype=np.int64)
        np.add.at(counts, codes, self.counts)
        last = np.zeros(len(places), dtype=np.int64)
        last[codes] = np.arange(len(codes))
        return Units(names=names[last], groups=self.groups[last], counts=counts), codes

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> Unit: ...
    @overload
    def __getitem__(self, place: slice) -> "Units": ...
    def __getitem__(self, place: int | slice) -> "Unit | Units":
        if isinstance(place, slice):
            return Units(
                names=self.names[place], groups=self.groups[place], counts=self.counts[place]
            )
        return _unit(self.names[place], self.groups[place], self.counts[place].tolist())

    def __iter__(self) -> Iterator[Unit]:
        return map(_unit, self.names, self.groups, self.counts.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def _unit(name: str, group: str | None, counts: Sequence[int]) -> Unit:
    broken, fixed, pairs, old_hits, new_hits = counts
    return Unit(
        name=name,
        broken=broken,
        fixed=fixed,
        pairs=pairs,
        old_hits=old_hits,
        new_hits=new_hits,
        group=group,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRate:
    """
    A rate over the pairs eligible in both runs.

    *Broken* is what was good before and is bad now, whichever way the metric is better: for second
    calls, an answer that offends now and did not before.
    """

    old_hits: int
    new_hits: int
    pairs: int
    """How many answers were paired."""
    cases: Units
    """One for each case: its repeats and, where the metric counts turns, its turns."""
    groups: Units
    """The same pairs, one unit for each group; a case without a group is its own."""
    places: "Ints" = field(compare=False, repr=False)
    """The place of each case's group in `groups`."""

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
        return tuple(self.cases.names[self.cases.net > 0])

    @property
    def fixed(self) -> tuple[str, ...]:
        """
        The ids of the cases that got better, over all their repeats.
        """
        return tuple(self.cases.names[self.cases.net < 0])

    @property
    def changed(self) -> frozenset[str]:
        """
        The ids of the cases with an answer that broke or was fixed.
        """
        return frozenset(self.cases.names[(self.cases.broken + self.cases.fixed) > 0])

    def only(self, names: Collection[str]) -> "PairedRate":
        """
        Return the rate over the cases of these ids alone.
        """
        import numpy as np

        known = frozenset(names)
        kept = np.fromiter((name in known for name in self.cases.names), bool, len(self.cases))
        return paired_rate(self.cases.where(kept))


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
    return paired_rate(Units.of(answers))


def paired_rate(answers: Units) -> PairedRate:
    """
    Return what `rate_of` does of columns.
    """
    import numpy as np

    cases = answers
    names = cases.names.tolist()
    if len(set(names)) < len(names):
        cases, _ = answers.summed(names, answers.names)
    groups, places = cases, np.arange(len(cases), dtype=np.int64)
    of = cases.groups.tolist()
    if any(group is not None for group in of):
        names = cases.names.tolist()
        # A group and a case may have the same name.
        keys = [(group is None, group or name) for group, name in zip(of, names, strict=True)]
        groups, places = cases.summed(keys, objects([name for _, name in keys]))
    _, _, pairs, old_hits, new_hits = cases.counts.sum(axis=0).tolist()
    return PairedRate(
        old_hits=old_hits,
        new_hits=new_hits,
        pairs=pairs,
        cases=cases,
        groups=groups,
        places=places,
    )
