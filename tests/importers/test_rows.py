"""
Chat rows, rows of one question and one call, and Mobile Actions as cases and training rows.
"""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SuiteError, UsageError
from harness.finetuning.rows import read_rows
from harness.importers.base import Imported
from harness.importers.registry import importer
from harness.importers.writing.convert import ImportedSuite, import_suite
from harness.suites.files import load_suite

from .examples import ACTIONS, CHAT, SOURCES, TOOL, call, lines, write

TODAY = date(2026, 11, 22)
USER = {"role": "user", "content": "Find pears."}
CALL = {"role": "assistant", "tool_calls": [call("search", query="pears")]}
RESULT = {"role": "tool", "name": "search", "content": "3 pears"}
DEEP = f'{{"a": {"[" * 900}{"]" * 900}}}'
SAID = {"role": "assistant", "content": "There are three."}


def chat(folder: Path, *rows: Any) -> Imported:
    (folder / "chat.jsonl").write_text(lines(*rows), "utf-8")
    return importer("chat-jsonl").read({"rows": (folder / "chat.jsonl",)}, TODAY)


def only(imported: Imported) -> Any:
    assert () == imported.notes
    (case,) = imported.cases
    return case.row


def test_a_reference_call_becomes_an_expected_call(tmp_path: Path):
    row = only(chat(tmp_path, {"messages": [USER, CALL], "tools": [TOOL]}))

    assert {
        "id": "row-0001",
        "prompt": "Find pears.",
        "expect": {"calls": [{"tool": "search", "arguments": {"query": "pears"}}]},
    } == row


def test_an_object_as_an_argument_is_a_constant(tmp_path: Path):
    tool = {"name": "f", "parameters": {"type": "object", "properties": {"o": {}}}}
    asked = [USER, {"role": "assistant", "tool_calls": [call("f", o={"a": 1})]}]
    row = only(chat(tmp_path, {"messages": asked, "tools": [tool]}))

    assert {"o": {"const": {"a": 1}}} == row["expect"]["calls"][0]["arguments"]


@pytest.mark.parametrize("key", ["inputSchema", "input_schema"])
def test_tools_of_mcp_and_anthropic_keep_their_arguments(tmp_path: Path, key: str):
    function = TOOL["function"]
    foreign = {key if k == "parameters" else k: value for k, value in function.items()}
    expected = chat(tmp_path, {"messages": [USER, CALL], "tools": [TOOL]})

    imported = chat(tmp_path, {"messages": [USER, CALL], "tools": [foreign]})

    assert expected.tools == imported.tools
    assert () == imported.notes


def test_text_alone_is_an_abstention(tmp_path: Path):
    row = only(chat(tmp_path, {"messages": [USER, SAID], "tools": [TOOL]}))

    assert {"abstain": True} == row["expect"]


def test_every_answer_of_a_conversation_is_a_turn(tmp_path: Path):
    messages = [USER, CALL, RESULT, SAID, USER, SAID]
    row = only(chat(tmp_path, {"messages": messages, "tools": [TOOL]}))

    assert ["calls", "abstain", "abstain"] == [next(iter(t["expect"])) for t in row["turns"]]
    assert [2, 2, None] == [len(t["then"]) if "then" in t else None for t in row["turns"]]


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (
            {"tools": "[" * 3000 + "]" * 3000},
            '"tools" cannot be read: nested more than 64 levels deep',
        ),
        ({"tools": [DEEP]}, '"tools" cannot be read: nested more than 64 levels deep'),
        (
            {"tools": [{"function": {"name": "search", "paramters": {}}}]},
            "a tool has no key 'paramters'; did you mean 'parameters'?",
        ),
        (
            {"arguments": '{"a":' * 3000 + "1" + "}" * 3000},
            "arguments of 'search' cannot be read: nested more than 64",
        ),
        ({"arguments": '{"a": 1e999}'}, "'search' cannot be read: the number 1e999 is too large"),
    ],
)
def test_json_text_that_cannot_be_kept_is_listed(tmp_path: Path, keys: Any, reason: str):
    function = {"name": "search", "arguments": keys.get("arguments", "{}")}
    said = {"role": "assistant", "tool_calls": [{"function": function}]}
    row = {"messages": [USER, said], "tools": keys.get("tools", [TOOL])}

    (note,) = chat(tmp_path, row).notes

    assert "chat.jsonl:1: left out: " in str(note)
    assert reason in str(note)


def test_a_call_without_its_wrapper_is_a_call(tmp_path: Path):
    bare = {"name": "search", "arguments": {"query": "pears"}}
    said = {"role": "assistant", "tool_calls": [bare]}
    row = only(chat(tmp_path, {"messages": [USER, said], "tools": [TOOL]}))

    assert {"calls": [{"tool": "search", "arguments": {"query": "pears"}}]} == row["expect"]


def test_a_tool_whose_properties_are_none_is_left_out(tmp_path: Path):
    tool = {"name": "search", "parameters": {"properties": 3}}
    said = {"role": "assistant", "tool_calls": [call("search", query=None)]}
    (tmp_path / "chat.jsonl").write_text(
        lines(
            {"messages": [USER, said], "tools": [tool]},
            {"messages": [USER, CALL], "tools": [TOOL]},
        ),
        "utf-8",
    )

    made = import_suite(
        "chat-jsonl", {"rows": (tmp_path / "chat.jsonl",)}, tmp_path / "out", today=TODAY
    )

    assert ["row-0002"] == [case.id for case in made.suite.cases]
    assert any("3 is not of type 'object'" in str(note) for note in made.notes)


def test_an_answer_of_weight_0_is_history(tmp_path: Path):
    messages = [USER, {**SAID, "weight": 0}, USER, {**CALL, "weight": 1}]
    row = only(chat(tmp_path, {"messages": messages, "tools": [TOOL]}))

    assert 3 == len(row["messages"])
    assert "calls" in row["expect"]


@pytest.mark.parametrize("mark", [{"weight": 0}, {"train": False}, {"trainable": 0}], ids=str)
def test_an_answer_that_is_history_is_not_learned_from_the_written_rows(tmp_path: Path, mark: Any):
    said = {"messages": [USER, {**SAID, **mark}, USER, CALL], "tools": [TOOL]}
    sources = write(tmp_path, SOURCES["chat-jsonl"])
    (tmp_path / "t.jsonl").write_text(lines(said))

    import_suite(
        "chat-jsonl", {**sources, "train": (tmp_path / "t.jsonl",)}, tmp_path / "out", today=TODAY
    )

    (row,) = read_rows(tmp_path / "out" / "train.jsonl")
    assert frozenset({1}) == row.history


def test_a_written_row_that_offers_no_tools_offers_none_in_training(tmp_path: Path):
    sources = write(tmp_path, SOURCES["chat-jsonl"])
    (tmp_path / "t.jsonl").write_text(lines({"messages": [USER, SAID], "tools": []}))

    made = import_suite(
        "chat-jsonl", {**sources, "train": (tmp_path / "t.jsonl",)}, tmp_path / "out", today=TODAY
    )

    (row,) = read_rows(tmp_path / "out" / "train.jsonl", tools=made.suite.tools)
    assert () == row.tools


def test_thinking_is_carried_over_to_the_training_rows(tmp_path: Path):
    sources = write(tmp_path, SOURCES["chat-jsonl"])
    thought = {**CALL, "reasoning_content": "Pears, then."}
    (tmp_path / "t.jsonl").write_text(lines({"messages": [USER, thought], "tools": [TOOL]}))

    made = import_suite(
        "chat-jsonl", {**sources, "train": (tmp_path / "t.jsonl",)}, tmp_path / "out", today=TODAY
    )

    (row,) = read_rows(tmp_path / "out" / "train.jsonl")
    assert "Pears, then." == row.messages[-1].reasoning
    assert () == made.notes


AS_TEXT = {
    "hermes": '<tool_call>\n{"name": "search", "arguments": {"query": "pears"}}\n</tool_call>',
    "mistral": '[TOOL_CALLS][{"name": "search", "arguments": {"query": "pears"}}]',
    "llama3-json": '{"name": "search", "parameters": {"query": "pears"}}',
    "llama3-json, fenced": '```json\n{"name": "search", "arguments": {"query": "pears"}}\n```',
    "pythonic": '[search(query="pears")]',
    "qwen3-coder": "<tool_call>\n<function=search>\n<parameter=query>\npears\n</parameter>\n"
    "</function>\n</tool_call>",
}


@pytest.mark.parametrize("dialect", AS_TEXT)
def test_a_reference_call_written_as_text_is_a_call(tmp_path: Path, dialect: str):
    said = {"role": "assistant", "content": AS_TEXT[dialect]}
    imported = chat(tmp_path, {"messages": [USER, said], "tools": [TOOL]})

    expected = only(chat(tmp_path, {"messages": [USER, CALL], "tools": [TOOL]}))
    assert [expected] == [case.row for case in imported.cases]
    (note,) = imported.notes
    assert f"{tmp_path}/chat.jsonl:1: a call written as text" in str(note)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('<tool_call>\n{"name": "search", "arguments": {"query": \n</tool_call>', "no dialect can"),
        ('<tool_call>\n{"name": "find", "arguments": {}}\n</tool_call>', "'find' is not one of"),
        ("```json\n{'name': 'search', 'arguments': {'query': 'a'}}\n```", "leniently"),
    ],
    ids=["broken", "undeclared", "fenced"],
)
def test_a_reference_that_attempts_a_call_as_text_is_never_an_abstention(
    tmp_path: Path, content: str, reason: str
):
    said = {"role": "assistant", "content": content}
    imported = chat(
        tmp_path,
        {"messages": [USER, said], "tools": [TOOL]},
        {"messages": [USER, CALL], "tools": [TOOL]},
    )

    assert 1 == len(imported.cases)
    assert reason in str(imported.notes[0])
    assert "chat.jsonl:1: left out: its content attempts a call" in str(imported.notes[0])


@pytest.mark.parametrize(
    "content",
    ["I cannot search.", "Use print(x).", "print(x)", '{"name": "Bob", "age": 3}', "[1, 2]"],
)
def test_a_reference_that_is_only_text_stays_an_abstention(tmp_path: Path, content: str):
    said = {"role": "assistant", "content": content}
    imported = chat(tmp_path, {"messages": [USER, said], "tools": [TOOL]})

    assert {"abstain": True} == only(imported)["expect"]
    assert () == imported.notes


def test_arguments_encoded_twice_leave_out_their_row_alone(tmp_path: Path):
    twice = call("search", query="pears")
    twice["function"]["arguments"] = json.dumps(json.dumps({"query": "pears"}))
    row = {"messages": [USER, {"role": "assistant", "tool_calls": [twice]}], "tools": [TOOL]}
    imported = chat(tmp_path, row, {"messages": [USER, CALL], "tools": [TOOL]})

    assert 1 == len(imported.cases)
    assert "chat.jsonl:1: left out: the arguments of 'search' are JSON inside" in str(
        imported.notes[0]
    )


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [USER], "completion": [CALL], "tools": [TOOL]},
        {"messages": [USER, CALL], "tools": json.dumps([TOOL])},
        {"messages": [USER, CALL], "tools": [json.dumps(TOOL)]},
        {
            "messages": [
                USER,
                {"role": "assistant", "function_call": call("search", query="pears")["function"]},
            ],
            "functions": [TOOL["function"]],
        },
    ],
    ids=["prompt and completion", "tools as text", "each tool as text", "functions"],
)
def test_other_spellings_of_a_row(tmp_path: Path, row: Any):
    expected = chat(tmp_path, {"messages": [USER, CALL], "tools": [TOOL]})

    assert expected == chat(tmp_path, row)


def test_nulls_that_a_table_put_into_calls_are_left_out_and_noted(tmp_path: Path):
    padded = {"role": "assistant", "tool_calls": [call("search", query="pears", city=None)]}
    imported = chat(tmp_path, {"messages": [USER, padded], "tools": [TOOL]})

    assert {"query": "pears"} == imported.cases[0].row["expect"]["calls"][0]["arguments"]
    assert ["search.city: null for an undeclared argument is left out"] == [
        note.message for note in imported.notes
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": "hello"}, '"messages" must be a list'),
        ({"messages": [USER]}, "no answer of the assistant"),
        ({"messages": [{"role": "robot", "content": ""}, SAID]}, "unknown role 'robot'"),
        ({"messages": [USER, CALL], "tools": "{"}, "Expecting property name"),
        ({"messages": [USER, CALL], "tools": [{}]}, 'a tool needs a "name"'),
        (
            {
                "messages": [
                    USER,
                    {
                        "role": "assistant",
                        "tool_calls": [{"function": {"name": "search", "arguments": "{"}}],
                    },
                ],
                "tools": [TOOL],
            },
            "the arguments of 'search' cannot be read: not valid JSON",
        ),
    ],
)
def test_a_row_that_is_not_a_conversation_is_listed(tmp_path: Path, row: Any, reason: str):
    imported = chat(tmp_path, {"messages": [USER, CALL], "tools": [TOOL]}, row)

    assert 1 == len(imported.cases)
    assert f"{tmp_path}/chat.jsonl:2: left out: " in str(imported.notes[0])
    assert reason in str(imported.notes[0])


def test_a_row_that_can_be_no_case_is_listed(tmp_path: Path):
    """
    What the suite itself refuses, such as a call of a tool that is not offered.
    """
    (tmp_path / "c.jsonl").write_text(
        lines(*CHAT, {"messages": [USER, CALL], "tools": []}, {"id": "x", **CHAT[0]}), "utf-8"
    )
    sources = {"rows": (tmp_path / "c.jsonl",)}

    made = import_suite("chat-jsonl", sources, tmp_path / "out", today=TODAY)

    assert ["row-0001", "row-0002", "x"] == [case.id for case in made.suite.cases]
    assert f"{tmp_path}/c.jsonl:3: left out: case 'row-0003':" in str(made.notes[0])


def test_tools_are_declared_once_where_rows_agree(tmp_path: Path):
    other = {"name": "count", "parameters": {"type": "object", "properties": {}}}
    imported = chat(tmp_path, CHAT[0], {"messages": [USER, SAID], "tools": [other, TOOL]})

    assert ["search", "count"] == [tool["function"]["name"] for tool in imported.tools]
    assert [["search"], ["count", "search"]] == [case.row["tools"] for case in imported.cases]


def test_tools_are_declared_with_each_case_where_rows_do_not_agree(tmp_path: Path):
    other = {**TOOL["function"], "description": "Search better."}
    imported = chat(tmp_path, CHAT[0], {"messages": [USER, CALL], "tools": [other]})

    assert () == imported.tools
    assert ["Search.", "Search better."] == [
        case.row["tools"][0]["function"]["description"] for case in imported.cases
    ]


def test_training_rows_of_chat_files_are_written_for_the_fine_tune(tmp_path: Path):
    sources = write(tmp_path, SOURCES["chat-jsonl"])
    (tmp_path / "t.jsonl").write_text(lines({"messages": [USER, CALL, RESULT], "tools": [TOOL]}))

    made = import_suite(
        "chat-jsonl", {**sources, "train": (tmp_path / "t.jsonl",)}, tmp_path / "out", today=TODAY
    )

    assert {"train": 1} == made.training_rows
    (row,) = read_rows(tmp_path / "out" / "train.jsonl")
    assert ["user", "assistant"] == [message.role for message in row.messages]
    assert ["search"] == [tool.name for tool in row.tools]


# One question and one call a row.


def tool_rows(folder: Path, text: str, name: str = "rows.csv") -> Imported:
    files = {"rows": (name, text), "tools": ("tools.json", json.dumps([TOOL]))}
    return importer("tool-rows").read(write(folder, files), TODAY)


def test_csv_and_json_lines_are_the_same_rows(tmp_path: Path):
    (case,) = importer("tool-rows").read(write(tmp_path, SOURCES["tool-rows"]), TODAY).cases
    table = 'user_content,tool_name,tool_arguments\nFind pears.,search,"{""query"": ""pears""}"\n'

    assert [case.row] == [case.row for case in tool_rows(tmp_path, table).cases]


def test_a_row_without_a_tool_expects_no_call(tmp_path: Path):
    table = "user_content,tool_name,tool_arguments\nHello!,,\n"

    assert {"abstain": True} == only(tool_rows(tmp_path, table))["expect"]


def test_lines_of_csv_are_counted_across_cells_of_several_lines(tmp_path: Path):
    head = "user_content,tool_name,tool_arguments\n"
    table = head + '"One\nTwo",search,"{""query"": ""x""}"\n,search,{}\n'
    imported = tool_rows(tmp_path, table)

    assert 2 == imported.cases[0].line
    assert [f'{tmp_path}/rows.csv:4: left out: "user_content" must be non-empty text'] == [
        str(note) for note in imported.notes
    ]


@pytest.mark.parametrize(
    "arguments", ["{", "[1]", "[" * 3000, DEEP, '{"a": 1e999}', '{"a": "\\ud83d"}', '{"a": NaN}']
)
def test_arguments_that_are_no_object_are_listed(tmp_path: Path, arguments: str):
    row = {"user_content": "x", "tool_name": "search", "tool_arguments": arguments}

    (note,) = tool_rows(tmp_path, lines(row), "rows.jsonl").notes
    assert 'rows.jsonl:1: left out: "tool_arguments"' in str(note)


def test_a_table_without_the_columns_is_an_error(tmp_path: Path):
    with pytest.raises(UsageError, match=r"rows\.csv:1: no column 'tool_name'"):
        tool_rows(tmp_path, "user_content\nHello\n")


def test_a_file_of_tools_that_is_wrong_is_an_error_with_its_line(tmp_path: Path):
    tools = '[{"name": "search",\n"paramters": {"type": "object"}}]'
    (tmp_path / "rows.csv").write_text("user_content,tool_name,tool_arguments\nHello!,,\n")
    (tmp_path / "tools.json").write_text(tools, "utf-8")
    sources = {kind: (next(tmp_path.glob(f"{kind}.*")),) for kind in ("rows", "tools")}

    with pytest.raises(SuiteError, match=r"json:2: \[0\]\.paramters is not a key of a tool; did"):
        importer("tool-rows").read(sources, TODAY)


HEADER = "user_content,tool_name,tool_arguments\n"


def test_a_table_in_another_encoding_is_an_error_with_its_line(tmp_path: Path):
    sources = write(tmp_path, {"rows": ("rows.csv", ""), "tools": ("tools.json", "[]")})
    (tmp_path / "rows.csv").write_bytes(f"{HEADER}Hello,,\nCaf\xe9?,,\n".encode("latin-1"))

    with pytest.raises(UsageError) as caught:
        importer("tool-rows").read(sources, TODAY)

    assert (
        f"{tmp_path}/rows.csv:3: not UTF-8 text: invalid continuation byte; save the file as UTF-8 "
        '(Excel: "CSV UTF-8")'
    ) == str(caught.value)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_of_any_spreadsheet_program_are_read(tmp_path: Path, separator: str):
    table = f"{HEADER}Hello,,\n".replace(",", separator)
    files = {"rows": ("rows.csv", ""), "tools": ("tools.json", json.dumps([TOOL]))}
    sources = write(tmp_path, files)
    (tmp_path / "rows.csv").write_bytes(table.encode("utf-16"))

    assert "Hello" == only(importer("tool-rows").read(sources, TODAY))["prompt"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f'{HEADER}Hello,,\n"Never closed,,\nHello,,\nHello,,\n', 3),
        (f'{HEADER}"Hello" there,,\n', 2),
        (f"{HEADER}{'x' * 200_000},,\n", 2),
        ('user_content,"tool_name\nHello,,\n', 1),
    ],
)
def test_a_table_that_is_not_csv_is_an_error_with_its_line(tmp_path: Path, text: str, line: int):
    with pytest.raises(UsageError) as caught:
        tool_rows(tmp_path, text)

    assert str(caught.value).startswith(f"{tmp_path}/rows.csv:{line}: not valid CSV: ")
    assert str(caught.value).endswith("; fix the row that begins here, starting with its quotes")


# Mobile Actions.


def actions(folder: Path) -> ImportedSuite:
    sources = write(folder, SOURCES["mobile-actions"])
    return import_suite("mobile-actions", sources, folder / "out", today=TODAY)


def test_rows_to_evaluate_are_cases_and_the_others_are_training_rows(tmp_path: Path):
    made = actions(tmp_path)

    assert ["Where is Paris?", "Where is Oslo?"] == [case.prompt for case in made.suite.cases]
    assert {"train": 1} == made.training_rows
    (row,) = read_rows(tmp_path / "out" / "train.jsonl")
    assert ("Where is Rome?",) == row.prompts


def test_its_types_are_those_of_json_schema(tmp_path: Path):
    actions(tmp_path)

    (tool,) = load_suite(tmp_path / "out").tools
    assert {"query": {"type": "string"}} == tool.parameters["properties"]


def test_its_calls_are_judged_by_equality_and_order(tmp_path: Path):
    twice = json.loads(json.dumps(ACTIONS[1]))
    twice["messages"][-1]["tool_calls"] *= 2
    files = {"rows": ("a.jsonl", lines(twice))}

    (case,) = importer("mobile-actions").read(write(tmp_path, files), TODAY).cases

    assert "strict" == case.row["expect"]["order"]
    assert {"forbid"} == {c["other_arguments"] for c in case.row["expect"]["calls"]}


def test_a_row_of_neither_part_is_listed(tmp_path: Path):
    files = {"rows": ("a.jsonl", lines({**ACTIONS[1], "metadata": "test"}, ACTIONS[1]))}

    (note,) = importer("mobile-actions").read(write(tmp_path, files), TODAY).notes

    assert "\"metadata\" is 'test', neither train nor eval" in str(note)
