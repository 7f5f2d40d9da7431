"""
Tables that tools read and write: a phone, an order system, a calendar; declared, without code.

``state`` has the tables as they are before each case, ``operations`` what each tool does to them:

==============================  =================================================================
key                             meaning
==============================  =================================================================
``list``, ``get``, ``insert``,  the table; ``list`` returns all rows that match, ``get``, ``update``
``update``, ``delete``          and ``delete`` are about the one row that does (``all: true``: about
                                all of them)
``where``                       column: template, or ``{"contains"|"not"|"at_least"|"at_most":
                                template}``
``values``                      insert: column: template; without ``id`` the next whole number
``set``                         update: column: template
``columns``, ``order_by``,      list (and columns: get): what is returned
``limit``
``defaults``                    argument: its value where a call does not give it
``requires``                    ``[{"table", "where", "exists": true, "error"}]``: what must be so
``missing``, ``ambiguous``      what the model is told if no row matches, if several do
``returns``                     what the model is told; by default the row, or rows, as JSON
==============================  =================================================================

A template is a JSON value; the text ``"{name}"`` is the value of that argument, and ``{name}``
inside a longer text its spelling. Where the call does not give the argument, a condition is dropped
and a column is left as it is. In ``returns`` the columns of the row may be named, too.

A list of operations happens together or not at all; the last one's text is returned. In ``where``
numbers are compared as numbers (3 is 3.0) and text without letter case and typographic signs; a
whole number that is written as 3.0 is stored as 3.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from harness.constraints.keywords import json_equal, json_type
from harness.constraints.text import fold
from harness.diagnostics import Flaw, Steps
from harness.environments.base import Returned, Tables
from harness.messages import Tool
from harness.suites.outcome import goals
from harness.suites.suite import Case
from harness.wording import suggest

VERBS = ("list", "get", "insert", "update", "delete")

_NAME = re.compile(r"\{(\w+)\}")

_MISSING = "Error: nothing in {table} matches."
_AMBIGUOUS = "Error: several entries in {table} match; say which one."


class _GivenUpError(Exception):
    """
    An operation cannot be done; the text is what the model is told.
    """


class _AbsentError(Exception):
    """
    A template needs an argument that the call does not give.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class TablesKind:
    """
    The kind ``tables``.
    """

    name: str = "tables"
    version: int = 1

    def complete(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        Add nothing: state and operations are all there is.
        """
        return {}

    def flaws(self, settings: Mapping[str, Any], tools: Mapping[str, Tool]) -> Iterator[Flaw]:
        """
        Yield ids that a table has twice, and operations that name what is not there.
        """
        state, operations = settings["state"], settings["operations"]
        for table, rows in state.items():
            seen: set[str] = set()
            for index, row in enumerate(rows):
                if str(row["id"]) in seen:
                    yield ("state", table, index, "id"), f"is a second {row['id']!r} in its table"
                seen.add(str(row["id"]))
        for name, tool in tools.items():
            if name not in operations:
                yield ("operations",), f"does not say what the tool {name!r} does"
                continue
            given = operations[name]
            for index, operation in enumerate(given if isinstance(given, list) else [given]):
                at = ("operations", name, *((index,) if isinstance(given, list) else ()))
                yield from _operation_flaws(operation, at, tool, state)
        for name in operations:
            if name not in tools:
                yield (
                    ("operations", name),
                    f"is not a tool of the suite{suggest(name, tools)}",
                )

    def case_flaws(self, settings: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[Flaw]:
        """
        Yield goals about what is not in the state, and documents, which tables do not have.
        """
        if "relevant" in row:
            yield ("relevant",), "is for suites whose environment searches documents"
        for at, tables in goals(row.get("goal", {}), ("goal",)):
            for name, goal in tables.items():
                if name not in settings["state"]:
                    known = settings["state"]
                    yield (*at, name), f"is not a table of the state{suggest(name, known)}"
                    continue
                rows = {str(entry["id"]): entry for entry in settings["state"][name]}
                for key in [*goal.get("changed", {}), *map(str, goal.get("removed", ()))]:
                    if key not in rows:
                        yield (*at, name), f"has no row {key!r}{suggest(key, rows)}"
                for key, columns in goal.get("changed", {}).items():
                    for column in columns:
                        if key in rows and column not in rows[key]:
                            yield (
                                (*at, name, "changed", key, column),
                                f"is not a column of that row{suggest(column, rows[key])}",
                            )

    def open(
        self, settings: Mapping[str, Any], *, allowed: str | None = None
    ) -> "TablesEnvironment":
        """
        Open the tables; there is no code to allow.
        """
        return TablesEnvironment(settings["state"], settings["operations"])


def _operation_flaws(
    given: Mapping[str, Any], steps: Steps, tool: Tool, state: Tables
) -> Iterator[Flaw]:
    verb = next((verb for verb in VERBS if verb in given), None)
    arguments = set(tool.parameters.get("properties", {}))
    if verb is not None and given[verb] not in state:
        yield (*steps, verb), f"is not a table of the state{suggest(given[verb], state)}"
        return
    allowed: dict[str | None, tuple[str, ...]] = {
        "list": ("where", "columns", "order_by", "limit"),
        "get": ("where", "columns", "missing", "ambiguous"),
        "insert": ("values",),
        "update": ("where", "set", "all", "missing", "ambiguous"),
        "delete": ("where", "all", "missing", "ambiguous"),
        None: (),
    }
    for key in given:
        if key not in (verb, "defaults", "requires", "returns", *allowed[verb]):
            yield (*steps, key), f"does not go with {verb or 'returns alone'}"
    for need in {"insert": ("values",), "update": ("set",)}.get(verb or "", ()):
        if need not in given:
            yield steps, f'needs "{need}": what is written'
    if verb in ("get", "update", "delete") and "where" not in given and "all" not in given:
        yield steps, 'needs "where": which row'
    for key in given.get("defaults", {}):
        if key not in arguments:
            yield (*steps, "defaults", key), f"is not an argument{suggest(key, arguments)}"
    columns = _columns(state, given[verb]) if verb is not None else set()
    named = [((*steps, "where", name), name) for name in given.get("where", {})]
    named += [((*steps, "columns", i), name) for i, name in enumerate(given.get("columns", ()))]
    named += [((*steps, "order_by"), given["order_by"])] if "order_by" in given else []
    named += [((*steps, "set", name), name) for name in given.get("set", {})]
    for at, name in named:
        if columns and name not in columns:
            yield at, f"is not a column of {given[verb or '']}{suggest(name, columns)}"
    for index, need in enumerate(given.get("requires", ())):
        at = (*steps, "requires", index)
        if need["table"] not in state:
            yield (*at, "table"), f"is not a table of the state{suggest(need['table'], state)}"
    for key in ("where", "values", "set", "requires"):
        for where, name in _names(given.get(key, {}), (*steps, key)):
            if name not in arguments:
                yield where, f"names {{{name}}}, which is not an argument{suggest(name, arguments)}"
    of_row = columns | {*given.get("values", {}), "id"} if verb not in (None, "list") else set()
    for key in ("returns", "missing", "ambiguous"):
        known = arguments | (of_row if key == "returns" else set())
        for where, name in _names(given.get(key, ""), (*steps, key)):
            if name not in known:
                yield where, f"names {{{name}}}, which is no argument and no column of the row"


def _columns(state: Tables, table: str) -> set[str]:
    return {column for row in state[table] for column in row}


def _names(template: Any, steps: Steps) -> Iterator[tuple[Steps, str]]:
    if isinstance(template, str):
        for name in _NAME.findall(template):
            yield steps, name
    elif isinstance(template, Mapping):
        for key, inner in template.items():
            yield from _names(inner, (*steps, key))
    elif isinstance(template, list):
        for index, inner in enumerate(template):
            yield from _names(inner, (*steps, index))


class TablesEnvironment:
    """
    Tables and what the tools do to them.
    """

    def __init__(self, state: Tables, operations: Mapping[str, Any]) -> None:
        self._state = state
        self._operations = {
            name: given if isinstance(given, list) else [given]
            for name, given in operations.items()
        }

    def begin(self, case: Case) -> "TablesEpisode":
        """
        Begin a case with the tables as suite and file have them.
        """
        return TablesEpisode(self._state, self._operations)


class TablesEpisode:
    """
    The tables of one case.
    """

    def __init__(self, state: Tables, operations: Mapping[str, Sequence[Any]]) -> None:
        # Rows are replaced, never changed, so that the suite's own can be shared until then.
        self._tables = {name: list(rows) for name, rows in state.items()}
        self._operations = operations
        self._highest = {
            name: max((row["id"] for row in rows if isinstance(row["id"], int)), default=0)
            for name, rows in state.items()
        }
        self._given: dict[str, int] = {}
        # The last number that each table gave as an id: one that was deleted never comes again, so
        # that it does not matter whether it was deleted before or after another row was added.

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Returned:
        """
        Do what the tool's operations say, all of them or, if one cannot be done, none.
        """
        before = {name: list(rows) for name, rows in self._tables.items()}
        text = ""
        try:
            for operation in self._operations[tool]:
                given = {**operation.get("defaults", {}), **arguments}
                text = self._do(operation, {key: _plain(value) for key, value in given.items()})
        except _GivenUpError as exc:
            self._tables = before
            text = str(exc)
        return Returned(text=text)

    def state(self) -> Tables:
        """
        Return the tables as they are now.
        """
        return {name: tuple(deepcopy(rows)) for name, rows in self._tables.items()}

    def _do(self, operation: Mapping[str, Any], given: Mapping[str, Any]) -> str:
        for need in operation.get("requires", ()):
            found = self._matching(need["table"], need.get("where", {}), given)
            if bool(found) is not need.get("exists", True):
                raise _GivenUpError(_spelled(need["error"], given))
        verb = next((verb for verb in VERBS if verb in operation), None)
        if verb is None:
            return _spelled(operation["returns"], given)
        table = operation[verb]
        if verb == "list":
            return self._list(operation, table, given)
        if verb == "insert":
            return _told(operation, [self._insert(table, operation["values"], given)], given)
        places = self._matching(table, operation.get("where", {}), given)
        if not places:
            text = operation.get("missing", _MISSING.replace("{table}", table))
            raise _GivenUpError(_spelled(text, given))
        if len(places) > 1 and not operation.get("all", False):
            text = operation.get("ambiguous", _AMBIGUOUS.replace("{table}", table))
            raise _GivenUpError(_spelled(text, given))
        rows = self._tables[table]
        if verb == "update":
            for place in places:
                rows[place] = {**rows[place], **_filled(operation["set"], given)}
        touched = [rows[place] for place in places]
        if verb == "delete":
            self._tables[table] = [row for k, row in enumerate(rows) if k not in set(places)]
        return _told(operation, touched, given)

    def _list(self, operation: Mapping[str, Any], table: str, given: Mapping[str, Any]) -> str:
        places = self._matching(table, operation.get("where", {}), given)
        rows = [self._tables[table][place] for place in places]
        if "order_by" in operation:
            rows.sort(key=lambda row: _sortable(row.get(operation["order_by"])))
        rows = rows[: operation.get("limit", len(rows))]
        if "returns" in operation:
            return _spelled(operation["returns"], given)
        return _json([_shown(row, operation) for row in rows])

    def _insert(
        self, table: str, values: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        row = _filled(values, given)
        rows = self._tables[table]
        taken = {str(each["id"]) for each in rows}
        if "id" not in row:
            new = self._given.get(table, self._highest[table]) + 1
            while str(new) in taken:
                new += 1
            self._given[table] = new
            row = {"id": new, **row}
        elif str(row["id"]) in taken:
            raise _GivenUpError(f"Error: {table} already has an entry {row['id']!r}.")
        rows.append(row)
        return row

    def _matching(
        self, table: str, where: Mapping[str, Any], given: Mapping[str, Any]
    ) -> list[int]:
        conditions = []
        for column, condition in where.items():
            written = condition if isinstance(condition, Mapping) else {"is": condition}
            for how, template in written.items():
                try:
                    conditions.append((column, how, _value(template, given)))
                except _AbsentError:
                    continue
        return [
            place
            for place, row in enumerate(self._tables[table])
            if all(_fits(row.get(column), how, value) for column, how, value in conditions)
        ]


def _told(
    operation: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], given: Mapping[str, Any]
) -> str:
    if "returns" in operation:
        return _spelled(operation["returns"], {**rows[0], **given} if rows else given)
    shown = [_shown(row, operation) for row in rows]
    return _json(shown if operation.get("all", False) else shown[0])


def _shown(row: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    columns = operation.get("columns")
    return row if columns is None else {name: row[name] for name in columns if name in row}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _filled(templates: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    filled = {}
    for column, template in templates.items():
        try:
            filled[column] = _plain(_value(template, given))
        except _AbsentError:
            continue
    return filled


def _value(template: Any, given: Mapping[str, Any]) -> Any:
    if isinstance(template, Mapping):
        return {key: _value(inner, given) for key, inner in template.items()}
    if isinstance(template, list):
        return [_value(inner, given) for inner in template]
    if not isinstance(template, str):
        return template
    whole = _NAME.fullmatch(template)
    if whole is None:
        return _spelled(template, given)
    if whole[1] not in given:
        raise _AbsentError
    return given[whole[1]]


def _spelled(template: str, given: Mapping[str, Any]) -> str:
    def spell(found: re.Match[str]) -> str:
        value = given.get(found[1], "")
        return value if isinstance(value, str) else _json(value)

    return _NAME.sub(spell, template)


def _plain(value: Any) -> Any:
    """
    Return a value with its whole numbers written as such.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _fits(found: Any, how: str, wanted: Any) -> bool:
    if how == "not":
        return not _equal(found, wanted)
    if how == "contains":
        return (
            isinstance(found, str) and isinstance(wanted, str) and fold(wanted) in fold(found)
        ) or (isinstance(found, list) and any(_equal(each, wanted) for each in found))
    if how in ("at_least", "at_most"):
        if json_type(found) != json_type(wanted) or json_type(found) not in ("number", "string"):
            return False
        return bool(found >= wanted if how == "at_least" else found <= wanted)
    return _equal(found, wanted)


def _equal(one: Any, two: Any) -> bool:
    if isinstance(one, str) and isinstance(two, str):
        return fold(one.strip()) == fold(two.strip())
    return json_equal(one, two)


def _sortable(value: Any) -> tuple[str, Any]:
    kind = json_type(value)
    return kind, value if kind in ("number", "string", "boolean") else _json(value)


TABLES = TablesKind()
