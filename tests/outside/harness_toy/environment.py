"""
``toy``: a drawer. Every tool puts its arguments in, and is told how full the drawer is.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from harness.diagnostics import Flaw
from harness.environments.base import Returned, Tables
from harness.messages import Tool
from harness.suites.suite import Case


class Toy:
    """
    The kind described above; ``holds`` says how much goes into a drawer.
    """

    name = "toy"
    version = 1

    def complete(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        Add nothing.
        """
        return {}

    def flaws(self, settings: Mapping[str, Any], tools: Mapping[str, Tool]) -> Iterator[Flaw]:
        """
        Yield that nothing is said of how much a drawer holds.
        """
        if not isinstance(settings.get("holds"), int):
            yield ("holds",), "must be a whole number"

    def case_flaws(self, settings: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[Flaw]:
        """
        Yield nothing: every goal can be met.
        """
        return iter(())

    def open(self, settings: Mapping[str, Any], *, allowed: str | None = None) -> "Drawers":
        """
        Open it; there is no code to allow.
        """
        return Drawers(settings["holds"])


class Drawers:
    """
    A drawer for each case.
    """

    def __init__(self, holds: int) -> None:
        self._holds = holds

    def begin(self, case: Case) -> "Drawer":
        """
        Begin with an empty one.
        """
        return Drawer(self._holds)


class Drawer:
    """
    What one case has put in.
    """

    def __init__(self, holds: int) -> None:
        self._holds = holds
        self._rows: list[dict[str, Any]] = []

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Returned:
        """
        Put the call in.
        """
        if len(self._rows) == self._holds:
            return Returned(text="Error: the drawer is full.")
        self._rows.append({"id": len(self._rows) + 1, "tool": tool, **arguments})
        return Returned(text=f"{len(self._rows)} of {self._holds}")

    def state(self) -> Tables:
        """
        Return what is in it.
        """
        return {"drawer": [dict(row) for row in self._rows]}


TOY = Toy()
