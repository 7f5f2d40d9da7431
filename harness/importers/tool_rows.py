"""
One question and one call per row: ``user_content``, ``tool_name``, ``tool_arguments``.

The arguments are a JSON object as text, as in the data of Google's guide to fine-tuning
FunctionGemma (https://ai.google.dev/gemma/docs/functiongemma/finetuning-with-functiongemma), or an
object. A row without a tool's name expects no call. Rows are JSON lines, or a table with these
columns. They declare no tools; those come from a file of function schemas.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from harness.diagnostics import Problem
from harness.documents import decode_json
from harness.errors import UsageError
from harness.importers.base import Imported, Sources
from harness.importers.readers.conversations import Conversation, cases, chat_rows, conversation
from harness.importers.readers.rows import Row, each_row, json_rows, read_tools, unknown_keys
from harness.importers.readers.tables import TABLES, read_table

COLUMNS = ("user_content", "tool_name", "tool_arguments")


class ToolRows:
    """
    The format described above.
    """

    name = "tool-rows"
    takes: Mapping[str, bool] = {"rows": True, "tools": True, "train": False, "valid": False}

    def read(self, sources: Sources, today: date) -> Imported:
        """
        Read the rows: cases of ``rows``, training rows of ``train`` and ``valid``.

        Raises:
            SuiteError: if the file of tools cannot be read.
            UsageError: if it is not a list.
        """
        notes: list[Problem] = []
        tools = [tool for file in sources["tools"] for tool in read_tools(file)]
        asked, shared = cases(_conversations(sources["rows"], tools, notes))
        train, valid = (
            chat_rows(_conversations(sources.get(part, ()), tools, notes))
            for part in ("train", "valid")
        )
        return Imported(
            cases=asked,
            tools=shared,
            description="Questions, and the call each of them asks for.",
            train=train,
            valid=valid,
            notes=tuple(notes),
        )


def _conversations(
    files: Iterable[Path], tools: list[Any], notes: list[Problem]
) -> list[Conversation]:
    rows = [row for file in files for row in _rows(file, notes)]
    notes += unknown_keys(rows, ("id", *COLUMNS))
    return each_row(
        rows, notes, lambda row: conversation(row, messages_of(row.value), tools, notes)
    )


def messages_of(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    Return the conversation of one row.

    Raises:
        ValueError: if the row is wrong.
    """
    asked, tool = row.get("user_content"), row.get("tool_name")
    if not isinstance(asked, str) or not asked.strip():
        raise ValueError('"user_content" must be non-empty text')
    question = {"role": "user", "content": asked}
    if tool is None or tool == "":
        return [question, {"role": "assistant", "content": ""}]
    if not isinstance(tool, str):
        raise ValueError('"tool_name" must be text')
    arguments = row.get("tool_arguments")
    if arguments is None or arguments == "":
        arguments = {}
    elif isinstance(arguments, str):
        try:
            arguments = decode_json(arguments)
        except ValueError as exc:
            raise ValueError(f'"tool_arguments" cannot be read: {exc}') from exc
    if not isinstance(arguments, dict):
        raise ValueError('"tool_arguments" must be a JSON object')
    call = {"type": "function", "function": {"name": tool, "arguments": arguments}}
    return [question, {"role": "assistant", "tool_calls": [call]}]


def _rows(file: Path, notes: list[Problem]) -> Sequence[Row]:
    if file.suffix.lower() not in TABLES:
        return json_rows([file], notes)
    table = read_table(file, notes)
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise UsageError(
            f"{file}:{table.line}: no column {missing[0]!r}; the first line names the columns"
        )
    return table.rows


IMPORTER = ToolRows()
