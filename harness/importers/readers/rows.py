"""
Rows with their line numbers, and tools, for importers: a row that cannot be read becomes a note.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.diagnostics import Problem, placed, raise_problems
from harness.documents import read_document
from harness.errors import UsageError, boundary
from harness.suites.schema import named
from harness.suites.tools import tool_flaws
from harness.wording import count, meant

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One object of a source file.
    """

    value: dict[str, Any]
    file: str
    line: int | None

    def note(self, message: str) -> Problem:
        """
        Return a note about this row.
        """
        return Problem(file=self.file, line=self.line, message=message)


def json_rows(files: Iterable[Path], notes: list[Problem]) -> list[Row]:
    """
    Read JSON lines, whatever the name of the file, or one JSON list.

    Raises:
        UsageError: if a file is missing or cannot be opened.
    """
    rows = []
    for file in files:
        with boundary(UsageError, f"{file} cannot be read"):
            begin = file.read_bytes()[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        source = read_document(file, ending=".json" if begin == b"[" else ".jsonl")
        notes += source.problems
        values = source.value if isinstance(source.value, list) else []
        for index, value in enumerate(values):
            named, line = source.places.find((index,))
            if isinstance(value, dict):
                rows.append(Row(value=value, file=named, line=line))
            else:
                notes.append(Problem(file=named, line=line, message="a row must be an object"))
    return rows


def read_tools(file: Path) -> list[Any]:
    """
    Read a JSON list of function schemas.

    Raises:
        SuiteError: if it cannot be read, or a schema is wrong.
        UsageError: if it is not a list.
    """
    source = read_document(file)
    raise_problems(source.problems)
    if not isinstance(source.value, list):
        raise UsageError(f"{file}: it must hold a list of function schemas")
    raise_problems(placed(named(source.value, tool_flaws(source.value, ())), source.places))
    return source.value


MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What reading a value of another shape than expected raises."""


def each_row(
    rows: Iterable[Row], notes: list[Problem], read: Callable[[Row], _Made | None]
) -> list[_Made]:
    """
    Return what *read* makes of each row; one that it cannot read is left out with a note.
    """
    made = []
    for row in rows:
        try:
            one = read(row)
        except MALFORMED as exc:
            reason = str(exc) if isinstance(exc, ValueError) else f"it cannot be read: {exc!r}"
            notes.append(row.note(f"left out: {reason}"))
            continue
        if one is not None:
            made.append(one)
    return made


def unknown_keys(rows: Iterable[Row], known: Iterable[str]) -> list[Problem]:
    """
    Return one note for each key that is not in *known*, at the first row that has it. It names the
    known key that was probably meant.
    """
    taken = set(known)
    first: dict[str, Row] = {}
    rows_with: dict[str, int] = {}
    for row in rows:
        for key in row.value:
            if key not in taken:
                first.setdefault(key, row)
                rows_with[key] = rows_with.get(key, 0) + 1
    return [
        row.note(
            f"{key!r} has no place in a suite and is left out ({count(rows_with[key], 'row')})"
            f"{meant(key, taken)}"
        )
        for key, row in first.items()
    ]
