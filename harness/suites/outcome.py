"""
What an executed case must come to: ``relevant``, ``answer`` and ``goal``.

============  ==================================================================================
key           meaning
============  ==================================================================================
``relevant``  the documents that answer the case, each with its grade: ``{"doc-017": 1}``; ``{}``
              where no document does
``answer``    a constraint on the text of the last answer (`harness.constraints.answers`)
``goal``      what is to have changed in the end, by table; everything else is as it was
============  ==================================================================================

Of a table, ``changed`` maps the id of a row to what its columns are in the end, ``added`` lists the
rows that are new, and ``removed`` the ids of those that are gone. Columns have the constraints of
arguments. ``any_of`` lists several goals, of which one must be met; ``{}`` is the goal that nothing
changes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.constraints.answers import Answer, check_answer, make_answer
from harness.constraints.constraint import Constraint, check_constraint, make_constraint
from harness.diagnostics import Flaw, Steps

KEYS = ("relevant", "answer", "goal")

Row = Mapping[str, Constraint]
"""What the columns of a row must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableGoal:
    """
    What is to have changed in one table.
    """

    changed: Mapping[str, Row]
    """By the id of a row, as text."""
    added: tuple[Row, ...]
    removed: tuple[str, ...]
    """Ids, as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """
    The end states that are right.
    """

    alternatives: tuple[Mapping[str, TableGoal], ...]
    """One of these, each by the names of tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What an executed case must come to; what is None is not judged.
    """

    relevant: Mapping[str, int] | None = None
    """Documents that answer the case, with their grades; empty if none does."""
    answer: Answer | None = None
    goal: Goal | None = None


def outcome_flaws(row: Mapping[str, Any], steps: Steps) -> Iterator[Flaw]:
    """
    Yield what is wrong with the constraints of a case, beyond its schema.
    """
    if "answer" in row:
        try:
            check_answer(row["answer"])
        except ValueError as exc:
            yield (*steps, "answer"), f"is not a constraint on an answer: {exc}"
    if "goal" in row:
        for at, tables in goals(row["goal"], (*steps, "goal")):
            for name, table in tables.items():
                yield from _table_flaws(table, (*at, name))


def goals(given: Mapping[str, Any], steps: Steps) -> Iterator[tuple[Steps, Mapping[str, Any]]]:
    """
    Yield each of the goals that are written in a ``goal``, and where it is.
    """
    if "any_of" in given:
        for index, tables in enumerate(given["any_of"]):
            yield (*steps, "any_of", index), tables
    else:
        yield steps, given


def _table_flaws(table: Mapping[str, Any], steps: Steps) -> Iterator[Flaw]:
    rows = [((*steps, "changed", key), row) for key, row in table.get("changed", {}).items()]
    rows += [((*steps, "added", index), row) for index, row in enumerate(table.get("added", ()))]
    for at, row in rows:
        for column, spec in row.items():
            try:
                check_constraint(spec)
            except ValueError as exc:
                yield (*at, column), f"is not a constraint: {exc}"
    gone = {str(key) for key in table.get("removed", ())}
    for key in table.get("changed", {}):
        if key in gone:
            yield (*steps, "removed"), f"names {key!r}, which is also to be changed"


def outcome(row: Mapping[str, Any]) -> Outcome:
    """
    Return the value of a sound case of an executed suite.
    """
    return Outcome(
        relevant=row.get("relevant"),
        answer=make_answer(row["answer"]) if "answer" in row else None,
        goal=_goal(row["goal"]) if "goal" in row else None,
    )


def _goal(given: Mapping[str, Any]) -> Goal:
    return Goal(
        alternatives=tuple(
            {name: _table(table) for name, table in tables.items()}
            for _, tables in goals(given, ())
        )
    )


def _table(given: Mapping[str, Any]) -> TableGoal:
    return TableGoal(
        changed={key: _row(row) for key, row in given.get("changed", {}).items()},
        added=tuple(_row(row) for row in given.get("added", ())),
        removed=tuple(str(key) for key in given.get("removed", ())),
    )


def _row(given: Mapping[str, Any]) -> Row:
    return {column: make_constraint(spec) for column, spec in given.items()}
