"""
Choices that look like chance and are the same on every machine: each is the digest of what it is
about.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from harness.canonical import digest

_One = TypeVar("_One")

Draw = Callable[..., int]
"""Takes what the choice is about (JSON types) and returns a large whole number."""


def draws(*about: Any) -> Draw:
    """
    Return the draws that are about all of *about* and something more.
    """
    return lambda *more: int(digest([*about, *more]).partition(":")[2][:16], 16)


def shuffled(items: Iterable[_One], draw: Draw, name: Callable[[_One], str]) -> list[_One]:
    """
    Return *items* in an order that depends on their names and *draw* alone.
    """
    return sorted(items, key=lambda item: (draw(name(item)), name(item)))
