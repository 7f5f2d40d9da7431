"""
A spreadsheet: one row for each call that is expected, one column for each argument.

====================  ============================================================================
column                meaning
====================  ============================================================================
``id``                the case; a further row with the same id is a further call of it
``prompt``            what the user says; once for each case
``tool``              the tool to be called
``expect_none``       yes: no call is right
``text``              beside expect_none: what the answer must say, ``a|b`` for any of these
``tags``              words, separated by spaces, commas, semicolons or ``|``
``group``             cases that share a template share a group
``must_pass``         yes: a failure of this case alone fails the gate
``ARG``, ``arg:ARG``  the argument; ``arg:`` is needed where it is called like a column above
``optional:ARG``      the argument, which may be left out
``contains:ARG``      the argument holds any of these texts: ``a|b``
====================  ============================================================================

A cell of an argument is read by the type that its tool declares; a JSON object in it is a
constraint as in a suite. An empty cell asks nothing of its argument. Rows declare no tools; those
come from a file of function schemas. A row that neither names a tool nor says expect_none is left
out, as an abstention by mistake would be the opposite of what it says.
"""

import re
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import date
from importlib import resources
from typing import Any

from harness.constraints.constraint import KEYWORDS
from harness.diagnostics import Problem
from harness.documents import decode_json
from harness.errors import UsageError
from harness.importers.base import Imported, ImportedCase, Sources
from harness.importers.readers.rows import Row, read_tools, unknown_keys
from harness.importers.readers.tables import Table, read_table
from harness.messages import Tool
from harness.wording import suggest

_COLUMNS = ("id", "prompt", "tool", "expect_none", "text", "tags", "group", "must_pass")
_KINDS = ("arg", "optional", "contains")
_YES, _NO = ("yes", "y", "true", "x", "1"), ("no", "n", "false", "0")
_FLAGS = ("optional", "absent")
_TEMPLATE = "template"


class Sheet:
    """
    The format described above.
    """

    name = "sheet"
    takes: Mapping[str, bool] = {"rows": True, "tools": True}

    @property
    def template(self) -> Mapping[str, str]:
        """
        Files to start from: rows that show every column, and their tools.
        """
        folder = resources.files("harness.importers") / _TEMPLATE
        return {name: (folder / name).read_text("utf-8") for name in ("rows.csv", "tools.json")}

    def read(self, sources: Sources, today: date) -> Imported:
        """
        Read the rows; those of one id make one case.

        Raises:
            SuiteError: if the file of tools cannot be read.
            UsageError: if a file is not a table, or lacks a column.
        """
        notes: list[Problem] = []
        schemas = [schema for file in sources["tools"] for schema in read_tools(file)]
        tools = {tool.name: tool for tool in map(Tool.from_schema, schemas)}
        arguments = _arguments(tools)
        rows: list[Row] = []
        for file in sources["rows"]:
            table = read_table(file, notes)
            names = {column: _name(column, arguments) for column in table.columns if column}
            _check_columns(table, names)
            notes += _clashes(table, names, arguments)
            rows += (_folded(row, names) for row in table.rows)
        notes += unknown_keys(rows, _known(rows, tools))
        return Imported(
            cases=tuple(_cases(rows, tools, notes)),
            tools=tuple(tool.schema for tool in tools.values()),
            description="Questions, and the calls each of them asks for.",
            notes=tuple(notes),
        )


def _check_columns(table: Table, names: Mapping[str, str]) -> None:
    """
    Check the columns of *table*, whose *names* are as `_name` returns them.

    Raises:
        UsageError: if one is missing, or two have one name.
    """
    named: dict[str, str] = {}
    for column, name in names.items():
        if name in named:
            raise UsageError(
                f"{table.file}:{table.line}: two columns are called {name!r}: {named[name]!r} and "
                f"{column!r}; rename one"
            )
        named[name] = column
    missing = "prompt" if "prompt" not in named else "tool"
    if missing == "prompt" or not {"tool", "expect_none"} & named.keys():
        argument = next(
            (f" ({each!r} is an argument)" for each in names if _own(each) == missing), ""
        )
        raise UsageError(
            f"{table.file}:{table.line}: no column {missing!r}{argument}; the first line names the "
            "columns, and `harness suite import sheet --template DIR` writes an example"
        )


def _clashes(
    table: Table, names: Mapping[str, str], arguments: Mapping[str, str]
) -> Iterator[Problem]:
    """
    Yield a note for each column of ours that is called like an argument, unless a column of its
    own has the argument.
    """
    for column, name in names.items():
        kinds = {f"{kind}:{name}" for kind in _KINDS}
        if name in _COLUMNS and name in arguments and not kinds & set(names.values()):
            text = (
                f"column {column!r} is the {name!r} of the case, not the argument of "
                f"{arguments[name]!r}; the column of the argument is called 'arg:{name}'"
            )
            yield Problem(file=table.file, line=table.line, message=text)


def _folded(row: Row, names: Mapping[str, str]) -> Row:
    """
    Return *row* with our own columns under our own names.
    """
    value = {names.get(column, column): cell for column, cell in row.value.items()}
    return Row(value=value, file=row.file, line=row.line)


def _name(column: str, arguments: Container[str]) -> str:
    """
    Return the name of a column, or of the argument that it is spelled exactly like.
    """
    kind, colon, argument = column.partition(":")
    if colon and kind.strip().casefold() in _KINDS:
        return f"{kind.strip().casefold()}:{argument.strip()}"
    own = _own(column)
    return own if own in _COLUMNS and (column == own or column not in arguments) else column


def _own(column: str) -> str:
    """
    Return a column's name as one of ours is written: "Must pass" is must_pass.
    """
    return re.sub(r"[\s_-]+", "_", column.casefold())


def _known(rows: Sequence[Row], tools: Mapping[str, Tool]) -> set[str]:
    kinds = {
        column
        for row in rows
        for column in row.value
        if column.partition(":")[0] in _KINDS and ":" in column
    }
    return {*_COLUMNS, *_arguments(tools), *kinds}


def _arguments(tools: Mapping[str, Tool]) -> dict[str, str]:
    """
    Return argument -> the first tool that declares it.
    """
    found: dict[str, str] = {}
    for tool in tools.values():
        for name in _properties(tool):
            found.setdefault(name, tool.name)
    return found


def _properties(tool: Tool) -> Mapping[str, Any]:
    properties = tool.parameters.get("properties")
    return properties if isinstance(properties, Mapping) else {}


# Rows -> cases.


def _cases(
    rows: Sequence[Row], tools: Mapping[str, Tool], notes: list[Problem]
) -> Iterator[ImportedCase]:
    together: defaultdict[str, list[Row]] = defaultdict(list)
    given = {row.value["id"] for row in rows if "id" in row.value}
    numbered = set()
    for number, row in enumerate(rows, start=1):
        identity = row.value.get("id")
        if identity is None:
            identity = f"row-{number:04d}"
            while identity in given:
                identity += "-"
            numbered.add(identity)
        together[identity].append(row)
    for identity, its_rows in together.items():
        first = its_rows[0]
        case: dict[str, Any] = {"id": identity}
        for row in its_rows:
            try:
                _add(case, row, first, tools)
            except ValueError as exc:
                notes.append(row.note(f"left out: {exc}"))
                notes += (
                    other.note(f"left out with the row on line {row.line}, which is of its case")
                    for other in its_rows
                    if other is not row
                )
                break
        else:
            yield ImportedCase(
                row=case, file=first.file, line=first.line, numbered=identity in numbered
            )


def _add(case: dict[str, Any], row: Row, first: Row, tools: Mapping[str, Tool]) -> None:
    """
    Add one row to its case.

    Raises:
        ValueError: saying what is wrong with the row.
    """
    cells = row.value
    if row is first:
        if "prompt" not in cells:
            raise ValueError("no prompt; a further call repeats the id of its case")
        case["prompt"] = cells["prompt"]
        case |= _about(cells)
    else:
        for name, given in {"prompt": cells.get("prompt"), **_about(cells)}.items():
            if given is not None and given != case.get(name):
                raise ValueError(
                    f"{name!r} is not that of line {first.line}, the first of case "
                    f"{case['id']!r}; leave it empty, or give the row an id of its own"
                )
    none = _truth(cells, "expect_none")
    if none and "tool" in cells:
        raise ValueError("it names a tool and says expect_none; keep one")
    if not none and "tool" not in cells:
        raise ValueError("it names no tool; write yes under expect_none where no call is right")
    if none:
        if row is not first or "expect" in case:
            raise ValueError(f"case {case['id']!r} expects a call on line {first.line}")
        case["expect"] = _abstention(cells, tools)
        return
    if "text" in cells:
        raise ValueError("a text can be expected only beside expect_none")
    expect = case.setdefault("expect", {"calls": []})
    if "abstain" in expect:
        raise ValueError(f"case {case['id']!r} expects no call by line {first.line}")
    expect["calls"].append(_call(cells, tools))


def _about(cells: Mapping[str, str]) -> dict[str, Any]:
    """
    Return what a row says of its case beside prompt and expectation.
    """
    about: dict[str, Any] = {}
    if tags := [tag for tag in re.split(r"[\s,;|]+", cells.get("tags", "")) if tag]:
        about["tags"] = list(dict.fromkeys(tags))
    if "group" in cells:
        about["group"] = cells["group"]
    if _truth(cells, "must_pass"):
        about["must_pass"] = True
    return about


def _truth(cells: Mapping[str, str], column: str) -> bool:
    cell = cells.get(column, _NO[0]).casefold()
    if cell not in (*_YES, *_NO):
        raise ValueError(f"{column!r} is {cells[column]!r}; write yes or no")
    return cell in _YES


def _abstention(cells: Mapping[str, str], tools: Mapping[str, Tool]) -> dict[str, Any]:
    arguments = _arguments(tools).keys() - set(_COLUMNS)
    for column in cells:
        if column in arguments or column.partition(":")[0] in _KINDS:
            raise ValueError(f"it expects no call and has an argument ({column!r})")
    expect: dict[str, Any] = {"abstain": True}
    if "text" in cells:
        expect["text"] = _constraint(cells["text"]) or _any_of(cells["text"])
    return expect


def _call(cells: Mapping[str, str], tools: Mapping[str, Tool]) -> dict[str, Any]:
    name = cells["tool"]
    if name not in tools:
        raise ValueError(f"unknown tool {name!r}{suggest(name, tools)}")
    declared = _properties(tools[name])
    others = _arguments(tools)
    arguments: dict[str, Any] = {}
    for column, cell in cells.items():
        kind, colon, argument = column.partition(":")
        if not colon or kind not in _KINDS:
            if column in _COLUMNS or column not in others:
                continue
            kind, argument = "arg", column
        if argument not in declared:
            raise ValueError(f"{name!r} has no argument {argument!r}{suggest(argument, declared)}")
        if argument in arguments:
            raise ValueError(f"{argument!r} is given in two columns; keep one")
        try:
            arguments[argument] = _argument(kind, cell, declared[argument])
        except ValueError as exc:
            raise ValueError(f"{column!r} of {name!r}: {exc}") from exc
    return {"tool": name, "arguments": arguments}


# Cells -> constraints.


def _argument(kind: str, cell: str, schema: Any) -> Any:
    if kind == "contains":
        return _any_of(cell)
    constraint = _constraint(cell)
    if constraint is None:
        value = _value(cell, schema if isinstance(schema, Mapping) else {})
        constraint = {"const": value} if isinstance(value, Mapping) else value
    if kind != "optional":
        return constraint
    spec = constraint if isinstance(constraint, Mapping) else {"const": constraint}
    return {**spec, "optional": True}


def _any_of(cell: str) -> dict[str, Any]:
    parts = [part.strip() for part in cell.split("|") if part.strip()]
    if not parts:
        raise ValueError(f"{cell!r} names no text")
    return {"contains_any": parts}


def _constraint(cell: str) -> dict[str, Any] | None:
    """
    Return the constraint that a cell writes as a JSON object, or None if it writes none.
    """
    if not re.match(r'\{\s*["}]', cell):
        return None
    try:
        given = decode_json(cell)
    except ValueError as exc:
        raise ValueError(
            f'it begins like a JSON object: {exc}; write {{"const": "..."}} for such a text'
        ) from exc
    found: dict[str, Any] = given
    # An object with other keys is the argument itself.
    return found if found and found.keys() <= {*KEYWORDS, *_FLAGS} else None


_WORDS = {
    "integer": "a whole number",
    "number": "a number, with a point",
    "boolean": "true or false",
    "array": 'a JSON list such as ["a", "b"]',
    "object": "a JSON object",
    "null": "null",
}


_READ: Mapping[str, Any] = {"number": (int, float), "array": list, "object": dict}


def _value(cell: str, schema: Mapping[str, Any]) -> Any:
    """
    Return what a cell says, as a value of the type that *schema* declares.
    """
    for allowed in schema.get("enum", ()):
        if cell == allowed or (not isinstance(allowed, str) and cell == _spelled(allowed)):
            return allowed
    types = list(_types(schema))
    for kind in ("null", "integer", "number", "boolean", "array", "object"):
        if kind in types and (found := _read(cell, kind)):
            return found[0]
    if not types or "string" in types:
        return cell
    wanted = " or ".join(_WORDS.get(kind, kind) for kind in types)
    raise ValueError(f"must be {wanted}, not {cell!r}")


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _types(schema: Mapping[str, Any]) -> Iterator[str]:
    given = schema.get("type", ())
    yield from [given] if isinstance(given, str) else given
    if schema.get("nullable") is True:
        yield "null"
    for keyword in ("anyOf", "oneOf"):
        for inner in schema.get(keyword, ()):
            if isinstance(inner, Mapping):
                yield from _types(inner)


def _read(cell: str, kind: str) -> tuple[Any] | None:
    """
    Return the value of *kind* that a cell spells, in a tuple of its own; None if it spells none.
    """
    if kind == "null":
        return (None,) if cell == "null" else None
    if kind == "integer":
        whole = re.fullmatch(r"(-?\d+)(?:\.0+)?", cell)
        return (int(whole[1]),) if whole else None
    if kind == "boolean":
        folded = cell.casefold()
        return (folded == "true",) if folded in ("true", "false") else None
    if kind == "number" and not re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", cell):
        return None
    try:
        value = decode_json(cell)
    except ValueError:
        return None
    return (value,) if isinstance(value, _READ[kind]) else None


IMPORTER = Sheet()
