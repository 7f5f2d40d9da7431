"""
Tables as spreadsheet programs save them: every encoding and separator, and workbooks.
"""

import io
import re
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.worksheet.formula import ArrayFormula

from harness.diagnostics import Problem
from harness.errors import UsageError
from harness.importers.readers.tables import Table, read_table

HEAD = "id,prompt\n"
TEXT = 'id,prompt\r\n1,"Größe, bitte?"\r\n\r\n2,"Zwei\r\nZeilen"\r\n'
ROWS = [(2, {"id": "1", "prompt": "Größe, bitte?"}), (4, {"id": "2", "prompt": "Zwei\r\nZeilen"})]


def table(folder: Path, data: bytes, name: str = "rows.csv") -> tuple[Table, list[Problem]]:
    (folder / name).write_bytes(data)
    notes: list[Problem] = []
    return read_table(folder / name, notes), notes


def rows(read: Table) -> list[tuple[int | None, dict[str, Any]]]:
    return [(row.line, row.value) for row in read.rows]


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        b"\xff\xfe" + TEXT.encode("utf-16-le"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
    ],
    ids=["utf-8", "Excel's mark", "utf-16 little", "utf-16 big", "little, bare", "big, bare"],
)
def test_encodings_of_spreadsheet_programs_are_read(tmp_path: Path, data: bytes):
    read, _ = table(tmp_path, data)

    assert ("id", "prompt") == read.columns
    assert ROWS == rows(read)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_are_told_apart_by_what_makes_most_of_them(tmp_path: Path, separator: str):
    text = f'id{separator}"a, or; b"{separator}c\n1{separator}x, y; z{separator}3\n'
    text = text.replace("x, y; z", '"x, y; z"')

    read, _ = table(tmp_path, text.encode())

    assert [(2, {"id": "1", "a, or; b": "x, y; z", "c": "3"})] == rows(read)


@pytest.mark.parametrize("first", ["sep=;\r\n", "SEP=;\n"])
def test_the_line_by_which_excel_names_the_separator_is_not_a_row(tmp_path: Path, first: str):
    read, _ = table(tmp_path, f"{first}id;a,b,c\n1;2\n".encode())

    assert ("id", "a,b,c") == read.columns
    assert [(3, {"id": "1", "a,b,c": "2"})] == rows(read)


def test_empty_lines_and_cells_are_left_out_and_space_is_taken_off(tmp_path: Path):
    read, _ = table(tmp_path, b",,\n id , prompt,\n\n,,\n 1 ,, \n")

    assert ("id", "prompt") == read.columns
    assert [(5, {"id": "1"})] == rows(read)


def test_a_cell_to_the_right_of_all_columns_is_kept(tmp_path: Path):
    read, _ = table(tmp_path, b"id\n1,lost\n")

    assert [(2, {"id": "1", "(no column)": "lost"})] == rows(read)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", ": the table is empty; its first line names the columns"),
        (b"\n,,\n", ": the table is empty"),
        (b"id,id\n1,2\n", ":1: two columns are called 'id'; rename one"),
        (b'id,prompt\n1,"x\n2,y\n', ":2: not valid CSV: .*fix the row that begins here"),
        ("id,prompt\n1,Größe\n".encode("cp1252"), ':2: not UTF-8 text.*Excel: "CSV UTF-8"'),
        (b"\xff\xfei\x00d\x00\n", r":1: not UTF-16 text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old or protected workbook; save it as .xlsx without"),
        (b"PK\x03\x04 not a zip", "not an .xlsx workbook; save it as .xlsx or as CSV: "),
    ],
    ids=["empty", "blank", "twice", "open quote", "cp1252", "cut utf-16", "xls", "zip"],
)
def test_what_is_not_a_table_is_one_line_with_the_way_out(tmp_path: Path, data: bytes, said: str):
    with pytest.raises(UsageError, match=said) as caught:
        table(tmp_path, data)

    assert str(caught.value).startswith(f"{tmp_path}/rows.csv:")
    assert 1 == len(str(caught.value).splitlines())


def workbook(*sheets: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    for number, cells in enumerate(sheets):
        sheet = book.worksheets[0] if number == 0 else book.create_sheet(f"More {number}")
        for row in cells:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def test_a_workbook_is_the_same_rows_as_csv(tmp_path: Path):
    cells = [
        ["id", "n", "share", "day", "moment", "clock", "yes", "text"],
        [],
        [
            7,
            3.0,
            0.1,
            date(2026, 3, 4),
            datetime.fromisoformat("2026-03-04T15:30"),
            time(9, 5),
            True,
            " 007 ",
        ],
    ]
    read, notes = table(tmp_path, workbook(cells), "rows.xlsx")

    assert [
        (
            3,
            {
                "id": "7",
                "n": "3",
                "share": "0.1",
                "day": "2026-03-04",
                "moment": "2026-03-04T15:30:00",
                "clock": "09:05:00",
                "yes": "true",
                "text": "007",
            },
        )
    ] == rows(read)
    assert [] == notes


def test_sheets_that_are_not_read_are_named(tmp_path: Path):
    data = workbook([["id"], ["1"]], [], [["id"], ["2"]])

    read, notes = table(tmp_path, data, "rows.xlsx")

    assert [(2, {"id": "1"})] == rows(read)
    assert [f"{tmp_path}/rows.xlsx:1: sheet 'More 2' was not read, only 'Sheet', the first"] == [
        str(note) for note in notes
    ]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (
            "=A1",
            "the cell in column 2 is a formula that is empty or was never calculated; save the "
            "workbook in a spreadsheet program, or replace the formula by its value",
        ),
        (ArrayFormula("B2", "=A1:A1"), "the cell in column 2 is a formula that is empty or"),
        ("#N/A", "the cell in column 2 is #N/A"),
    ],
)
def test_a_row_whose_cell_has_no_value_is_left_out(tmp_path: Path, cell: Any, said: str):
    data = workbook([["id", "n"], ["1", cell], ["2", "x"]])

    read, notes = table(tmp_path, data, "rows.xlsx")

    assert [(3, {"id": "2", "n": "x"})] == rows(read)
    (note,) = notes
    assert str(note).startswith(f"{tmp_path}/rows.xlsx:2: left out: {said}")


@pytest.mark.parametrize("result", [b"<v></v>", b"<v/>", b"<v />"])
def test_a_formula_whose_result_is_empty_text_is_an_empty_cell(tmp_path: Path, result: bytes):
    """
    As Excel and LibreOffice store ``=IF(A2=1,"","x")``.
    """
    data = workbook([["id", "n", "m"], ["1", "here", "x"], ["2", "y", "z"]])
    cell = b'<c r="B2" t="str"><f>IF(A2="1","","x")</f>' + result + b"</c>"
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if "sheet1" in name:
                text, many = re.subn(rb'<c r="B2".*?</c>', cell, text)
                assert 1 == many
            new.writestr(name, text)

    read, notes = table(tmp_path, packed.getvalue(), "rows.xlsx")

    assert [(2, {"id": "1", "m": "x"}), (3, {"id": "2", "n": "y", "m": "z"})] == rows(read)
    assert [] == notes


def test_a_workbook_that_offers_values_to_choose_from_is_read_without_a_word(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
):
    """
    openpyxl warns of extensions of Excel's that it does not know; they hold no values.
    """
    data = workbook([["id"], ["1"]])
    extension = b'<extLst><ext uri="{CCE6A557-97BC-4B89-ADB6-D9C93CAAB3DF}"/></extLst></worksheet>'
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"</worksheet>", extension))

    read, _ = table(tmp_path, packed.getvalue(), "rows.xlsx")

    assert [(2, {"id": "1"})] == rows(read)
    assert [] == recwarn.list


def test_a_workbook_that_is_damaged_inside_is_one_line(tmp_path: Path):
    packed = io.BytesIO()
    data = workbook([["id"], ["1"]])
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, text[: len(text) // 2] if "sheet1" in name else text)

    with pytest.raises(UsageError, match=r"rows\.xlsx: not an \.xlsx workbook; save it as"):
        table(tmp_path, packed.getvalue(), "rows.xlsx")


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match=r"gone\.csv cannot be read: .*No such file"):
        read_table(tmp_path / "gone.csv", [])
