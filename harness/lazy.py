"""
Mappings and sequences whose values are made when they are looked at.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Generic, TypeVar, overload

K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S")


class Lazily(Mapping[K, V], Generic[K, S, V]):
    """
    Each value made of what it is made from, whenever it is looked at; nothing is kept.

    *sources* is called once, when the mapping is first used.
    """

    def __init__(self, sources: Callable[[], Mapping[K, S]], make: Callable[[S], V]) -> None:
        self._load = sources
        self._make = make

    @cached_property
    def _sources(self) -> Mapping[K, S]:
        return self._load()

    def __getitem__(self, key: K) -> V:
        return self._make(self._sources[key])

    def __contains__(self, key: object) -> bool:
        return key in self._sources

    def __iter__(self) -> Iterator[K]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


class MadeOf(Sequence[V], Generic[S, V]):
    """
    Each item made of what it is made from, whenever it is looked at; nothing is kept.
    """

    def __init__(self, sources: Sequence[S], make: Callable[[S], V]) -> None:
        self._sources = sources
        self._make = make

    @overload
    def __getitem__(self, place: int) -> V: ...
    @overload
    def __getitem__(self, place: slice) -> "MadeOf[S, V]": ...
    def __getitem__(self, place: int | slice) -> "V | MadeOf[S, V]":
        if isinstance(place, slice):
            return MadeOf(self._sources[place], self._make)
        return self._make(self._sources[place])

    def __len__(self) -> int:
        return len(self._sources)
