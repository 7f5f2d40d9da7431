"""
Tables as spreadsheet programs save them: CSV, text with tabs, and .xlsx workbooks.

The first filled line names the columns. CSV is read as it comes: separated by commas, semicolons or
tabs, in UTF-8 or UTF-16 of either byte order, with or without a byte order mark, with Excel's line
``sep=;`` or without. Of a workbook the first sheet is read; its numbers, dates and truth values
become text as JSON and ISO 8601 write them. Cells lose the space around them; empty ones are left
out.
"""

import csv
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from harness.diagnostics import Problem
from harness.errors import UsageError, boundary
from harness.importers.readers.rows import Row

TABLES = (".csv", ".tsv", ".xlsx")
"""The endings of files that are tables."""

NO_COLUMN = "(no column)"
"""The key of a cell to the right of all columns."""

_SEPARATORS = (",", ";", "\t")
_WORKBOOK, _OLD_WORKBOOK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_ERRORS = ("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    The rows of one file by their columns.
    """

    file: str
    line: int
    """The line of the names of the columns."""
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(file: Path, notes: list[Problem]) -> Table:
    """
    Read a table; a row with a cell that cannot be read is left out with a note.

    Raises:
        UsageError: if the file is not a table, or names a column twice.
    """
    with boundary(UsageError, f"{file} cannot be read"):
        data = file.read_bytes()
    if data.startswith(_OLD_WORKBOOK):
        raise UsageError(
            f"{file}: an old or protected workbook; save it as .xlsx without a password, or as CSV"
        )
    lines = _workbook(file, data, notes) if data.startswith(_WORKBOOK) else _csv(file, data)
    filled = ((number, cells) for number, cells in lines if any(cells))
    line, head = next(filled, (1, []))
    if not head:
        raise UsageError(f"{file}: the table is empty; its first line names the columns")
    while not head[-1]:
        head = head[:-1]
    for index, name in enumerate(head):
        if name and name in head[:index]:
            raise UsageError(f"{file}:{line}: two columns are called {name!r}; rename one")
    rows = [Row(value=_named(head, cells), file=str(file), line=number) for number, cells in filled]
    return Table(file=str(file), line=line, columns=tuple(head), rows=tuple(rows))


def _named(head: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    names = [name or NO_COLUMN for name in head]
    names += [NO_COLUMN] * (len(cells) - len(names))
    return {name: cell for name, cell in zip(names, cells, strict=False) if cell}


# CSV.


def _csv(file: Path, data: bytes) -> Iterator[tuple[int, list[str]]]:
    text = _text(file, data)
    first, _, rest = text.partition("\n")
    before = 0
    if first.strip().lower().startswith("sep=") and len(first.strip()) == len("sep=") + 1:
        separator, text, before = first.strip()[-1], rest, 1
    elif first.rstrip("\r") == "sep=\t":
        separator, text, before = "\t", rest, 1
    else:
        separator = _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 0
    try:
        for cells in reader:
            yield before + line + 1, [cell.strip() for cell in cells]
            line = reader.line_num
    except csv.Error as exc:
        # If a quote is never closed the reader is at the end, far from the faulty row.
        raise UsageError(
            f"{file}:{before + line + 1}: not valid CSV: {exc}; fix the row that begins here, "
            "starting with its quotes"
        ) from exc


def _separator(text: str) -> str:
    """
    Return what separates the columns: that which makes most of them in the first filled line.
    """
    line = next((line for line in text.splitlines() if line.strip()), "")
    return max(_SEPARATORS, key=lambda each: len(next(csv.reader([line], delimiter=each), ())))


def _text(file: Path, data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif b"\x00" in data[:4]:
        # Without a byte order mark: which half of the first character is empty says the order.
        encoding = "utf-16-be" if data[0] == 0 else "utf-16-le"
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        shown = "UTF-8" if encoding == "utf-8-sig" else "UTF-16"
        raise UsageError(
            f'{file}:{line}: not {shown} text: {exc.reason}; save the file as UTF-8 (Excel: "CSV '
            'UTF-8")'
        ) from exc


# Workbooks.


def _workbook(file: Path, data: bytes, notes: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    with boundary(UsageError, f"{file}: not an .xlsx workbook; save it as .xlsx or as CSV"):
        # A formula and its result are in two readings of one file.
        sheets, formulas = _sheets(data, results=True), _sheets(data, results=False)
    if not sheets:
        raise UsageError(f"{file}: the workbook has no sheet of cells")
    first, *others = sheets
    for name in others:
        if any(cell is not None for row in sheets[name] for cell in row):
            text = f"sheet {name!r} was not read, only {first!r}, the first"
            notes.append(Problem(file=str(file), line=1, message=text))
    pairs = zip(sheets[first], formulas[first], strict=True)
    for number, (row, formula) in enumerate(pairs, start=1):
        try:
            yield number, _cells(row, formula)
        except ValueError as exc:
            notes.append(Problem(file=str(file), line=number, message=f"left out: {exc}"))


def _sheets(data: bytes, *, results: bool) -> dict[str, list[tuple[Any, ...]]]:
    """
    Return the rows of each sheet, with the results of formulas or with the formulas.
    """
    import openpyxl

    with warnings.catch_warnings():
        # Of what it does not know, such as the lists that a cell offers: no value is in there.
        warnings.simplefilter("ignore", UserWarning)
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=results)
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # some programs write too small a size
        return {
            sheet.title: [tuple(map(_value, row)) for row in sheet.iter_rows()]
            for sheet in book.worksheets
        }


def _value(cell: Any) -> Any:
    """
    Return the value of a cell; openpyxl has None for empty text, too, that a formula resulted in.
    """
    return "" if cell.value is None and cell.data_type == "str" else cell.value


def _cells(row: Iterable[Any], formulas: Iterable[Any]) -> list[str]:
    cells = []
    for index, (value, formula) in enumerate(zip(row, formulas, strict=False)):
        place = f"the cell in column {index + 1}"
        if value is None and formula is not None:
            raise ValueError(
                f"{place} is a formula that is empty or was never calculated; save the workbook in "
                "a spreadsheet program, or replace the formula by its value"
            )
        if value in _ERRORS:
            raise ValueError(f"{place} is {value}")
        cells.append(_spelled(value))
    return cells


def _spelled(value: Any) -> str:
    """
    Return the value of a cell as CSV would have it.
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value).strip()
