"""
Open families: the members of this package, and those that other packages add by entry points.

A family maps names to members. Each member is imported when first used, and two packages that
define different members of the same name are an error, not a race. Entry points are for other
packages only: those of this distribution, such as an older wheel beside this tree, are ignored.
"""

import difflib
import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeGuard

from harness.errors import HarnessError, boundary
from harness.provenance import DISTRIBUTION

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """
    One open family.
    """

    group: str
    """The group of its entry points."""
    noun: str
    """What a member is called in errors."""
    built_in: Mapping[str, str] | Callable[[], Mapping[str, Any]]
    """Name -> ``module:attribute``; or a function that returns a mapping of name -> member."""
    fits: Callable[[str, Any], bool] = lambda name, member: callable(member)
    """Whether an object can be the member of that name."""
    error: type[HarnessError]
    """What is raised for a member that is missing or cannot be loaded."""

    def names(self) -> tuple[str, ...]:
        """
        Return the names of all members, sorted.

        Raises:
            HarnessError: of the family's kind, if two packages define the same name.
        """
        return tuple(sorted(self._members()))

    def added(self) -> Mapping[str, str]:
        """
        Return the names that other packages add, sorted, each with its package.

        Raises:
            HarnessError: of the family's kind, if two packages define the same name.
        """
        members = self._members()
        return {
            name: _package(members[name]) for name in sorted(members) if _of_package(members[name])
        }

    def load(self, name: str) -> Any:
        """
        Return the member called *name*, imported now if it is not yet.

        Raises:
            HarnessError: of the family's kind, if there is none or it cannot be loaded.
        """
        members = self._members()
        if name not in members:
            close = difflib.get_close_matches(name, members, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            known = ", ".join(sorted(members))
            raise self.error(f"unknown {self.noun} {name!r}{hint}; there are: {known}")
        member = members[name]
        where = f"{self.noun} {name!r}"
        if _of_package(member):
            where += f" ({member.value}, from {_package(member)})"
            member = member.value
        if isinstance(member, str):
            module, _, attribute = member.partition(":")
            with boundary(self.error, f"{where} cannot be loaded"):
                member = attrgetter(attribute)(importlib.import_module(module))
        if not self.fits(name, member):
            raise self.error(
                f"{where}: this object is not a {self.noun} of that name; docs/extending.md says "
                "what is required"
            )
        return member

    def _members(self) -> dict[str, Any]:
        """
        Return name -> the member itself, its location, or its entry point.
        """
        members: dict[str, Any] = dict(
            self.built_in() if callable(self.built_in) else self.built_in
        )
        for point in installed(self.group):
            if point.name not in members:
                members[point.name] = point
                continue
            other = members[point.name]
            if _of_package(other):
                raise self.error(
                    f"two packages define a {self.noun} {point.name!r}: {_package(other)} "
                    f"({other.value}) and {_package(point)} ({point.value}); uninstall one of them"
                )
            raise self.error(
                f"{_package(point)} defines a {self.noun} {point.name!r} ({point.value}), which "
                "is built in; uninstall that package"
            )
        return members


@cache
def installed(group: str) -> "tuple[EntryPoint, ...]":
    """
    Return the entry points of a group that other distributions define.
    """
    from importlib.metadata import entry_points

    return tuple(point for point in entry_points(group=group) if not _ours(point))


def _of_package(member: Any) -> "TypeGuard[EntryPoint]":
    from importlib.metadata import EntryPoint

    return isinstance(member, EntryPoint)


def _ours(point: "EntryPoint") -> bool:
    # PEP 503: how names of distributions are compared.
    return (
        point.dist is not None and re.sub(r"[-_.]+", "-", point.dist.name).lower() == DISTRIBUTION
    )


def _package(point: "EntryPoint") -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "a package"
