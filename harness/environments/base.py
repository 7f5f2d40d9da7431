"""
What an environment is: the one place where the tools of a suite are run.

A kind reads the settings in suite.yaml and opens them once a run; each case then has an episode of
its own, which nothing of another case reaches. An environment judges nothing and stores nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.diagnostics import Flaw
from harness.messages import Tool
from harness.suites.suite import Case

Tables = Mapping[str, Sequence[Mapping[str, Any]]]
"""A state: the rows of each table, each with an ``id`` that is unique in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """
    What one call returned.
    """

    text: str
    """Whole: what the model sees of it may be cut."""
    documents: tuple[str, ...] | None = None
    """The ids of the documents that a search brought back, best first; None if it was none."""


class Episode(Protocol):
    """
    The tools of one case, from its beginning.
    """

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Returned:
        """
        Run one call that fits what the tool declares, and return what the model is told. What goes
        wrong in it is told, too: nothing is raised.
        """

    def state(self) -> Tables | None:
        """
        Return the tables as they are now, which later calls do not change; None if there are none.
        """


class Environment(Protocol):
    """
    One opened environment.

    The contract, which `harness.testing` holds every member to:

    - equal calls in equal episodes return the same, in whatever order cases come;
    - no episode changes what another one sees;
    - a call never raises: an error is a text for the model;
    - states are JSON, and a call that only reads leaves them as they were.

    One that searches documents may have an attribute ``k``: how many come back at most.
    """

    def begin(self, case: Case) -> Episode:
        """
        Begin *case*.
        """


class Kind(Protocol):
    """
    One kind of environment (`harness.suites.environment.Described` has what reading takes).
    """

    name: str
    version: int

    def complete(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what completes the settings of a suite that is being read."""

    def flaws(self, settings: Mapping[str, Any], tools: Mapping[str, Tool]) -> Iterator[Flaw]:
        """Yield what is wrong with settings."""

    def case_flaws(self, settings: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[Flaw]:
        """Yield what is wrong with the outcome of a case."""

    def open(self, settings: Mapping[str, Any], *, allowed: str | None = None) -> Environment:
        """
        Open sound settings. *allowed* is the code that the user has named: no other is run.

        Raises:
            UsageError: if code would have to be run that the user did not name.
            HarnessError: if it cannot be opened.
        """
