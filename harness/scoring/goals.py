"""
The end state of an executed case against its goal, and what changed beside it.

Rows are the same row if they have the same id, wherever they stand in their table. The ids that new
rows were given do not matter, nor does the order in which they came: a new row is any that the goal
asks for, paired so that as few as possible are left over.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.canonical import canonical_json
from harness.constraints.keywords import json_equal
from harness.environments.base import Tables
from harness.scoring.matching import assign
from harness.scoring.results import Change, Finding
from harness.suites.outcome import Goal, Row, TableGoal

_NOTHING = TableGoal(changed={}, added=(), removed=())
_LIMIT = 240


def changes(before: Tables, after: Tables) -> tuple[Change, ...]:
    """
    Return how two states differ: table by table, rows that changed, are new or are gone.
    """
    return tuple(
        change
        for table in dict.fromkeys([*before, *after])
        for change in _table_changes(table, before.get(table, ()), after.get(table, ()))
    )


def _table_changes(
    table: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Iterator[Change]:
    old = {str(row["id"]): row for row in before}
    new = {str(row["id"]): row for row in after}
    for key, row in old.items():
        if key not in new:
            yield Change(table=table, row=key, kind="removed", column=None, old=dict(row), new=None)
            continue
        for column in dict.fromkeys([*row, *new[key]]):
            was, now = row.get(column), new[key].get(column)
            if not json_equal(was, now):
                yield Change(table=table, row=key, kind="changed", column=column, old=was, new=now)
    for key, row in new.items():
        if key not in old:
            yield Change(table=table, row=key, kind="added", column=None, old=None, new=dict(row))


def judge_goal(goal: Goal, before: Tables, after: Tables) -> tuple[Finding, ...]:
    """
    Return what is wrong with an end state, by the goal that it comes nearest to: ``goal_missed``
    for what is not so, ``collateral_change`` for what changed beside it.
    """
    found = changes(before, after)
    judged = [tuple(_judged(tables, found, before, after)) for tables in goal.alternatives]
    return min(judged, key=len)


def _judged(
    goal: Mapping[str, TableGoal], found: Sequence[Change], before: Tables, after: Tables
) -> Iterator[Finding]:
    for table in dict.fromkeys([*goal, *(change.table for change in found)]):
        wanted = goal.get(table, _NOTHING)
        of_table = [change for change in found if change.table == table]
        rows = {str(row["id"]): row for row in after.get(table, ())}
        yield from _missed_rows(table, wanted, rows)
        yield from _new_rows(table, wanted.added, of_table)
        for change in of_table:
            named = change.row in wanted.removed
            if change.kind == "removed" and not named:
                yield _collateral(f"{table} {change.row!r} is gone: {_short(change.old)}")
            elif change.kind == "changed" and not (
                named or change.column in wanted.changed.get(change.row, {})
            ):
                yield _collateral(
                    f"{table} {change.row!r}: {change.column} was {_short(change.old)} and is "
                    f"{_short(change.new)}"
                )


def _missed_rows(
    table: str, wanted: TableGoal, rows: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    for key in wanted.removed:
        if key in rows:
            yield _missed(f"{table} {key!r} is still there")
    for key, row in wanted.changed.items():
        if key not in rows:
            yield _missed(f"{table} {key!r} is gone")
            continue
        for column, fault in _faults(row, rows[key]):
            yield _missed(f"{table} {key!r}: {column}: {fault}")


def _new_rows(table: str, wanted: Sequence[Row], found: Sequence[Change]) -> Iterator[Finding]:
    added = [change.new for change in found if change.kind == "added"]
    # Fewest faults in all; a row that is missing costs more than any row that is there.
    many = 1000
    cost = [
        [len(list(_faults(row, new))) for new in added] + [many] * len(wanted) for row in wanted
    ]
    partner = assign(cost) if wanted else []
    for row, place in zip(wanted, partner, strict=True):
        if place >= len(added):
            yield _missed(f"{table} has no new row {_spelled(row)}")
            continue
        for column, fault in _faults(row, added[place]):
            yield _missed(f"{table}, new row {_short(added[place])}: {column}: {fault}")
    for place, new in enumerate(added):
        if place not in partner:
            yield _collateral(f"{table} has a further new row {_short(new)}")


def _faults(wanted: Row, row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for column, constraint in wanted.items():
        if constraint.absent:
            if column in row:
                yield column, "must not be there"
        elif column not in row:
            if not constraint.optional:
                yield column, "is missing"
        else:
            for fault in constraint.check(row[column])[:1]:
                yield column, fault.detail


def _spelled(row: Row) -> str:
    return _short({column: constraint.spec for column, constraint in row.items()})


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= _LIMIT // 2 else text[: _LIMIT // 2 - 1] + "…"


def _missed(detail: str) -> Finding:
    return Finding(code="goal_missed", detail=detail[:_LIMIT])


def _collateral(detail: str) -> Finding:
    return Finding(code="collateral_change", detail=detail[:_LIMIT])
