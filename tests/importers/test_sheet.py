"""
A spreadsheet as cases: every column, every type of cell, and what a row may not say.
"""

import csv
import io
import json
import shlex
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from harness.cli.main import main
from harness.errors import UsageError
from harness.importers.base import Imported, Sources
from harness.importers.readers.tables import read_table
from harness.importers.registry import importer
from harness.importers.writing.convert import import_suite
from harness.suites.lint.check import check

from .examples import write

TODAY = date(2026, 11, 22)
ARGUMENTS: dict[str, Any] = {
    "order_id": {"type": "string"},
    "count": {"type": "integer"},
    "price": {"type": "number"},
    "gift": {"type": "boolean"},
    "sizes": {"type": "array"},
    "address": {"type": "object"},
    "day": {"enum": ["today", "tomorrow", 7]},
    "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    "note": {"type": ["string", "null"]},
    "free": {},
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "A tool.",
            "parameters": {"type": "object", "properties": properties},
        },
    }
    for name, properties in (("order", ARGUMENTS), ("find", {"query": {"type": "string"}}))
]


def tool(name: str, *arguments: str) -> dict[str, Any]:
    properties = {argument: {"type": "string"} for argument in arguments}
    parameters = {"type": "object", "properties": properties}
    function = {"name": name, "description": "A tool.", "parameters": parameters}
    return {"type": "function", "function": function}


def sheet(folder: Path, *rows: dict[str, str], tools: Sequence[Any] = TOOLS) -> Imported:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    files = {"rows": ("rows.csv", text.getvalue()), "tools": ("tools.json", json.dumps(tools))}
    return importer("sheet").read(write(folder, files), TODAY)


def only(imported: Imported) -> dict[str, Any]:
    assert () == imported.notes
    (case,) = imported.cases
    return dict(case.row)


def ordered(folder: Path, **cells: str) -> Any:
    """
    Return the arguments that a row of tool ``order`` expects.
    """
    row = only(sheet(folder, {"prompt": "Order it.", "tool": "order", **cells}))
    return row["expect"]["calls"][0]["arguments"]


def test_every_column_has_its_place(tmp_path: Path):
    row = {
        "id": "o-1",
        "Prompt": "Order A1.",
        "TOOL": "order",
        "order_id": "A1",
        "optional:count": "2",
        "tags": "orders, plain",
        "group": "g",
        "Must Pass": "yes",
    }

    assert {
        "id": "o-1",
        "prompt": "Order A1.",
        "tags": ["orders", "plain"],
        "group": "g",
        "must_pass": True,
        "expect": {
            "calls": [
                {
                    "tool": "order",
                    "arguments": {"order_id": "A1", "count": {"const": 2, "optional": True}},
                }
            ]
        },
    } == only(sheet(tmp_path, row))


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("order_id", "007", "007"),
        ("order_id", "7", "7"),
        ("count", "7", 7),
        ("count", "7.0", 7),
        ("price", "19.90", 19.9),
        ("price", "20", 20),
        ("gift", "TRUE", True),
        ("gift", "false", False),
        ("sizes", '["S", 3]', ["S", 3]),
        ("address", '{"city": "Oslo"}', {"const": {"city": "Oslo"}}),
        ("day", "today", "today"),
        ("day", "7", 7),
        ("limit", "5", 5),
        ("limit", "null", None),
        ("note", "null", None),
        ("note", "Ring twice", "Ring twice"),
        ("free", "12", "12"),
        ("order_id", '{"contains_any": ["A"]}', {"contains_any": ["A"]}),
        ("order_id", "{name}", "{name}"),
        ("order_id", '{"const": "{\\"a\\": 1}"}', {"const": '{"a": 1}'}),
    ],
)
def test_a_cell_is_read_by_the_type_that_its_tool_declares(
    tmp_path: Path, column: str, cell: str, expected: Any
):
    assert {column: expected} == ordered(tmp_path, **{column: cell})


def test_an_argument_called_like_a_column_is_named_by_its_kind(tmp_path: Path):
    row = {"prompt": "Paint it.", "tool": "paint", "arg:tags": "red", "tags": "plain"}

    case = only(sheet(tmp_path, row, tools=[tool("paint", "tags")]))

    assert ["plain"] == case["tags"]
    assert [{"tool": "paint", "arguments": {"tags": "red"}}] == case["expect"]["calls"]


@pytest.mark.parametrize("column", ["ID", "Text", "Group", "Must Pass", "TAGS"])
def test_a_column_spelled_exactly_like_an_argument_is_the_argument(tmp_path: Path, column: str):
    rows = [{"prompt": f"Show {n}.", "tool": "show", column: "u7"} for n in range(2)]

    imported = sheet(tmp_path, *rows, tools=[tool("show", column)])

    assert () == imported.notes
    assert [{"calls": [{"tool": "show", "arguments": {column: "u7"}}]}] * 2 == [
        case.row["expect"] for case in imported.cases
    ]
    assert ["row-0001", "row-0002"] == [case.row["id"] for case in imported.cases]


@pytest.mark.parametrize(("column", "name"), [("id", "id"), ("group", "group"), ("ID", "id")])
def test_a_column_of_ours_that_is_an_argument_too_is_noted_with_the_way_to_say_it(
    tmp_path: Path, column: str, name: str
):
    row = {"prompt": "Show it.", "tool": "show", column: "u7"}

    imported = sheet(tmp_path, row, tools=[tool("show", name)])

    assert [
        f"{tmp_path}/rows.csv:1: column '{column}' is the '{name}' of the case, not the argument "
        f"of 'show'; the column of the argument is called 'arg:{name}'"
    ] == [str(note) for note in imported.notes]
    assert ["u7"] == [case.row[name] for case in imported.cases]


def test_a_row_that_expects_no_call_may_fill_columns_called_like_an_argument(tmp_path: Path):
    row = {"prompt": "Hello.", "expect_none": "yes", "text": "Hi", "tags": "chat"}

    imported = sheet(tmp_path, row, tools=[tool("say", "text", "tags", "prompt")])

    (case,) = imported.cases
    assert {"abstain": True, "text": {"contains_any": ["Hi"]}} == case.row["expect"]
    assert ["chat"] == case.row["tags"]


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("Prompt", "prompt", "prompt"),
        ("arg: query", "arg:query", "arg:query"),
        ("Must pass", "must_pass", "must_pass"),
        ("Optional:query", "optional:query", "optional:query"),
    ],
)
def test_two_columns_of_one_name_are_refused(tmp_path: Path, first: str, second: str, name: str):
    row = {first: "yes", second: "no", "tool": "find"}

    with pytest.raises(UsageError) as caught:
        sheet(tmp_path, row)

    assert (
        f"{tmp_path}/rows.csv:1: two columns are called '{name}': "
        f"'{first}' and '{second}'; rename one"
    ) == str(caught.value)


def test_a_missing_column_that_is_an_argument_is_named_as_one(tmp_path: Path):
    row = {"Prompt": "a cat", "tool": "draw"}

    with pytest.raises(UsageError, match=r"no column 'prompt' \('Prompt' is an argument\);"):
        sheet(tmp_path, row, tools=[tool("draw", "Prompt")])


def test_texts_of_which_one_must_be_there_are_one_cell(tmp_path: Path):
    assert {"note": {"contains_any": ["ring", "bell"]}} == ordered(
        tmp_path, **{"contains:note": "ring | bell"}
    )


def test_what_may_be_left_out_may_be_any_constraint(tmp_path: Path):
    assert {"note": {"contains_any": ["x"], "optional": True}} == ordered(
        tmp_path, **{"optional:note": '{"contains_any": ["x"]}'}
    )


def test_an_empty_cell_asks_nothing(tmp_path: Path):
    assert {"order_id": "A1"} == ordered(tmp_path, order_id="A1", count="", **{"optional:note": ""})


def test_a_further_row_of_an_id_is_a_further_call(tmp_path: Path):
    imported = sheet(
        tmp_path,
        {"id": "a", "prompt": "Both!", "tool": "order", "order_id": "A1", "tags": "two"},
        {"id": "b", "prompt": "One.", "tool": "find", "query": "pears"},
        {"id": "a", "tool": "find", "query": "plums"},
        {"id": "a", "prompt": "Both!", "tool": "find", "query": "figs", "tags": "two"},
    )

    assert () == imported.notes
    assert ["a", "b"] == [case.row["id"] for case in imported.cases]
    assert [
        {"tool": "order", "arguments": {"order_id": "A1"}},
        {"tool": "find", "arguments": {"query": "plums"}},
        {"tool": "find", "arguments": {"query": "figs"}},
    ] == imported.cases[0].row["expect"]["calls"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({}, {"abstain": True}),
        (
            {"text": "Ada | assistant"},
            {"abstain": True, "text": {"contains_any": ["Ada", "assistant"]}},
        ),
        ({"text": '{"minLength": 3}'}, {"abstain": True, "text": {"minLength": 3}}),
    ],
)
def test_a_row_may_expect_no_call_and_what_is_said_instead(
    tmp_path: Path, text: dict[str, str], expected: Any
):
    row = only(sheet(tmp_path, {"prompt": "Hi.", "expect none": "yes", **text}))

    assert {"id": "row-0001", "prompt": "Hi.", "expect": expected} == row


SOUND = {"id": "a", "prompt": "Order A1.", "tool": "order", "order_id": "A1"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"tool": "find"}, "no prompt; a further call repeats the id of its case"),
        ({"prompt": "x"}, "it names no tool; write yes under expect_none where no call is right"),
        ({"prompt": "x", "tool": "find", "expect_none": "x"}, "it names a tool and says expect_no"),
        ({"prompt": "x", "expect_none": "maybe"}, "'expect_none' is 'maybe'; write yes or no"),
        ({"prompt": "x", "expect_none": "yes", "query": "y"}, "it expects no call and has an arg"),
        ({"prompt": "x", "tool": "fnd"}, "unknown tool 'fnd'; did you mean 'find'?"),
        ({"prompt": "x", "tool": "find", "must_pass": "2"}, "'must_pass' is '2'; write yes or no"),
        ({"prompt": "x", "tool": "find", "text": "y"}, "a text can be expected only beside expect"),
        ({"prompt": "x", "tool": "find", "order_id": "y"}, "'find' has no argument 'order_id'"),
        (
            {"prompt": "x", "tool": "find", "arg:quer": "y"},
            "'find' has no argument 'quer'; did you mean 'query'?",
        ),
        (
            {"prompt": "x", "tool": "find", "query": "y", "optional:query": "z"},
            "'query' is given in two columns; keep one",
        ),
        (
            {"prompt": "x", "tool": "order", "count": "two"},
            "'count' of 'order': must be a whole number, not 'two'",
        ),
        (
            {"prompt": "x", "tool": "order", "price": "19,90"},
            "'price' of 'order': must be a number, with a point, not '19,90'",
        ),
        (
            {"prompt": "x", "tool": "order", "sizes": "S, M"},
            "'sizes' of 'order': must be a JSON list such as",
        ),
        (
            {"prompt": "x", "tool": "order", "gift": "perhaps"},
            "'gift' of 'order': must be true or false, not",
        ),
        (
            {"prompt": "x", "tool": "find", "query": '{"contains_any": ["a"'},
            "'query' of 'find': it begins like a JSON object: not valid JSON",
        ),
        (
            {"prompt": "x", "tool": "find", "contains:query": "|"},
            "'contains:query' of 'find': '|' na",
        ),
        (
            {"id": "a", "prompt": "Other?", "tool": "find"},
            "'prompt' is not that of line 2, the fir",
        ),
        ({"id": "a", "tool": "find", "group": "g"}, "'group' is not that of line 2"),
        ({"id": "a", "expect_none": "yes"}, "case 'a' expects a call on line 2"),
    ],
)
def test_a_row_that_cannot_be_a_case_is_left_out_by_file_and_line(
    tmp_path: Path, row: dict[str, str], said: str
):
    sound = {"id": "s", "prompt": "Find figs.", "tool": "find", "query": "figs"}

    imported = sheet(tmp_path, SOUND, row, sound)

    assert f"{tmp_path}/rows.csv:3: left out: {said}" in str(imported.notes[0])
    assert "s" in [case.row["id"] for case in imported.cases]


def test_a_case_with_a_faulty_row_is_left_out_whole(tmp_path: Path):
    """
    With a call less it would expect something else.
    """
    imported = sheet(tmp_path, SOUND, {"id": "a", "tool": "fnd"}, {"id": "a", "tool": "find"})

    assert () == imported.cases
    assert [3, 2, 4] == [note.line for note in imported.notes]
    assert "left out with the row on line 3, which is of its case" == imported.notes[1].message


def test_a_sheet_that_is_not_there_is_named_once_and_without_a_number(tmp_path: Path):
    missing = tmp_path / "rows.csv"

    with pytest.raises(UsageError) as caught:
        read_table(missing, [])

    assert f"{missing} cannot be read: No such file or directory" == str(caught.value)


def test_a_column_nobody_knows_is_noted_once(tmp_path: Path):
    imported = sheet(tmp_path, {**SOUND, "owner": "Ann"}, {**SOUND, "id": "b", "owner": "Bo"})

    assert [f"{tmp_path}/rows.csv:2: 'owner' has no place in a suite and is left out (2 rows)"] == [
        str(note) for note in imported.notes
    ]


@pytest.mark.parametrize(
    ("column", "known"), [("tag", "tags"), ("expectnone2", "expect_none"), ("Gruop", "group")]
)
def test_a_misspelt_column_is_noted_with_the_one_that_was_meant(
    tmp_path: Path, column: str, known: str
):
    imported = sheet(tmp_path, {**SOUND, column: "yes"})

    assert [f"left out (1 row); did you mean {known!r}?"] == [
        note.message.partition(" and is ")[2] for note in imported.notes
    ]


@pytest.mark.parametrize(
    ("head", "missing"), [("id,tool", "prompt"), ("id,prompt", "tool"), ("question", "prompt")]
)
def test_a_table_without_a_column_it_needs_says_where_an_example_is(
    tmp_path: Path, head: str, missing: str
):
    files = {"rows": ("rows.csv", head + "\n1,x\n"), "tools": ("tools.json", json.dumps(TOOLS))}

    with pytest.raises(
        UsageError, match=rf"rows\.csv:1: no column '{missing}'.*sheet --template DIR"
    ):
        importer("sheet").read(write(tmp_path, files), TODAY)


def test_a_workbook_makes_the_same_cases(tmp_path: Path):
    book = openpyxl.Workbook()
    for row in (
        ["id", "prompt", "tool", "order_id", "count", "price", "gift", "must_pass"],
        ["a", "Order.", "order", 1043, 2.0, 19.9, True, True],
    ):
        book.worksheets[0].append(row)
    sources = write(tmp_path, {"tools": ("tools.json", json.dumps(TOOLS))})
    book.save(tmp_path / "rows.xlsx")

    row = only(importer("sheet").read({**sources, "rows": (tmp_path / "rows.xlsx",)}, TODAY))

    assert row["must_pass"] is True
    assert {"order_id": "1043", "count": 2, "price": 19.9, "gift": True} == row["expect"]["calls"][
        0
    ]["arguments"]


# The template.


def test_the_template_is_imported_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)

    assert main(["suite", "import", "sheet", "--template", "start"]) == 0
    rows, tools, then = capsys.readouterr().out.splitlines()
    assert (f"wrote {Path('start/rows.csv')}", f"wrote {Path('start/tools.json')}") == (rows, tools)
    command = shlex.split(then.partition("`")[2].rstrip("`"))
    assert 0 == main([*command[1:-1], "suites/mine"])

    sources = {"rows": (Path("start/rows.csv"),), "tools": (Path("start/tools.json"),)}
    made = import_suite("sheet", sources, Path("suites/shop"), today=TODAY)
    assert () == made.notes
    assert [] == check(Path("suites/shop"), TODAY)


class Cards:
    """
    A format of another package.
    """

    def __init__(self, *template: str, **takes: bool) -> None:
        self.name = "cards"
        self.takes = takes
        self.template = dict.fromkeys(template, "text")

    def read(self, sources: Sources, today: date) -> Imported:
        raise NotImplementedError


CARDS = {
    "rows": Cards("cards.txt", rows=True),
    "answers": Cards("questions.txt", "answers.txt", "README.md", questions=True, answers=True),
    "train": Cards("rows.txt", "train-1.txt", "train.txt", "train.json", train=False, rows=True),
}
rows, answers, train = CARDS.values()


@pytest.mark.parametrize(
    ("format_name", "then"),
    [
        ("rows", []),
        ("answers", ["--questions t/questions.txt --answers t/answers.txt"]),
        ("train", ["t/rows.txt --train t/train.txt t/train.json"]),
    ],
)
def test_the_template_of_another_package_has_a_next_command_if_its_files_make_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    format_name: str,
    then: list[str],
):
    monkeypatch.chdir(tmp_path)
    installed("harness.importers", cards=f"{__name__}:{format_name}")

    assert 0 == main(["suite", "import", "cards", "--template", "t"])

    assert [
        *(f"wrote t/{file}" for file in CARDS[format_name].template),
        *(
            "next: put your own rows there, then `harness suite import cards "
            f"{files} --out suites/NAME`"
            for files in then
        ),
    ] == capsys.readouterr().out.splitlines()


def test_a_template_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "tools.json").write_text("mine")

    assert main(["suite", "import", "sheet", "--template", str(tmp_path)]) == 2

    assert "tools.json is there already" in capsys.readouterr().err
    assert ["tools.json"] == [file.name for file in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bfcl"], "format bfcl has no template"),
        (["sheet", "rows.csv"], "--template imports nothing"),
    ],
)
def test_a_template_is_of_a_format_and_nothing_else(
    tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["suite", "import", *arguments, "--template", str(tmp_path / "t")]) == 2
    assert said in capsys.readouterr().err
