"""
What an importer is: foreign rows in, cases of a suite and notes out.

An importer reads files and writes none; `harness.importers.writing.convert` checks its result and
makes the folder. What has no place in a suite becomes a note with file and line and is never
silently dropped; a row that is faulty itself is kept as a quarantined case.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from harness.diagnostics import Problem

Sources = Mapping[str, tuple[Path, ...]]
"""The files of each kind: ``{"questions": (...), "answers": (...)}``."""

QUARANTINED_FOR = timedelta(days=365)
"""How long an imported case may stay in quarantine before someone must look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedCase:
    """
    One line of cases.jsonl and where it comes from.
    """

    row: Mapping[str, Any]
    file: str
    line: int | None
    numbered: bool = False
    """Whether its id only counts the rows, so that another row may have it next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """
    The content of the source files.
    """

    cases: tuple[ImportedCase, ...]
    description: str
    tools: tuple[Mapping[str, Any], ...] = ()
    """Tools of the whole suite; empty if each case declares its own."""
    license: str | None = None
    train: tuple[Mapping[str, Any], ...] = ()
    """Chat rows for train.jsonl."""
    valid: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[Problem, ...] = ()
    """What could not be carried over unchanged."""


@runtime_checkable
class WithTemplate(Protocol):
    """
    An importer that has files to start from, for ``harness suite import NAME --template DIR``.
    """

    @property
    def template(self) -> Mapping[str, str]:
        """
        The files' names and texts; they can be imported as they are.
        """


@runtime_checkable
class WithLimit(Protocol):
    """
    An importer of sources that may hold more than a suite should, for ``--limit``.
    """

    def limited(self, limit: int) -> "Importer":
        """
        Return the importer of at most *limit* cases.
        """


@runtime_checkable
class Importer(Protocol):
    """
    One foreign format.

    The contract, which `harness.testing` holds every member to:

    - every row of the sources becomes a case or a training row, or a note names its file and line;
    - a line that cannot be read is a note and does not stop the others;
    - the same sources on the same day make the same value.
    """

    @property
    def name(self) -> str:
        """
        The name for ``harness suite import``.
        """

    @property
    def takes(self) -> Mapping[str, bool]:
        """
        The kinds of files it takes, and whether each is required.
        """

    def read(self, sources: Sources, today: date) -> Imported:
        """
        Read *sources*, which hold only kinds in `takes`.

        Raises:
            UsageError: if the files together do not make a suite.
        """


def quarantine(reason: str, today: date) -> dict[str, str]:
    """
    Return the ``quarantine`` of a row that is faulty itself.
    """
    return {"reason": reason, "until": (today + QUARANTINED_FOR).isoformat()}
