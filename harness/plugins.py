"""
Open families: what is built in, and what other packages bring by entry points.

A family is a table from a name to ``module:attribute``. Nothing is imported before it is asked for,
and two packages that offer different things under one name are an error, not a race.
"""

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any

from harness.errors import HarnessError, boundary


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """
    One open family.
    """

    group: str
    """The group of its entry points."""
    noun: str
    """What a member is called in errors."""
    built_in: Mapping[str, str]
    error: type[HarnessError]
    """What is raised for a member that is not there or cannot be loaded."""

    def names(self) -> tuple[str, ...]:
        """
        Give every member's name, sorted.

        Raises:
            HarnessError: of the family's kind, if two packages offer different ones for a name.
        """
        return tuple(sorted(self._targets()))

    def target(self, name: str) -> str:
        """
        Say where the member called *name* is, as ``module:attribute``.

        Raises:
            HarnessError: of the family's kind, if there is none.
        """
        targets = self._targets()
        if name not in targets:
            close = difflib.get_close_matches(name, targets, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            known = ", ".join(sorted(targets))
            raise self.error(f"no {self.noun} {name!r}{hint}; there are: {known}")
        return targets[name]

    def load(self, name: str) -> Any:
        """
        Import the member called *name*.

        Raises:
            HarnessError: of the family's kind, if there is none or it cannot be loaded.
        """
        target = self.target(name)
        module, _, attribute = target.partition(":")
        with boundary(self.error, f"{self.noun} {name!r} ({target}) cannot be loaded"):
            return attrgetter(attribute)(importlib.import_module(module))

    def _targets(self) -> dict[str, str]:
        targets = dict(self.built_in)
        for point in entry_points(group=self.group):
            if targets.setdefault(point.name, point.value) != point.value:
                raise self.error(
                    f"two packages bring a {self.noun} {point.name!r}: {targets[point.name]} and "
                    f"{point.value}; uninstall one of them"
                )
        return targets
