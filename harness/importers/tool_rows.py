"""
One question and one call per row: ``user_content``, ``tool_name``, ``tool_arguments``.

The arguments are a JSON object as text, as in the data of Google's guide to fine-tuning
FunctionGemma (https://ai.google.dev/gemma/docs/functiongemma/finetuning-with-functiongemma), or an
object. A row without a tool's name expects no call. Rows are JSON lines, or CSV with these columns.
They declare no tools; those come from a file of function schemas.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from harness.diagnostics import Problem, placed, raise_problems
from harness.documents import decode_json, read_document
from harness.errors import UsageError, boundary
from harness.importers.base import Imported, Sources
from harness.importers.conversations import Conversation, cases, chat_rows, conversation
from harness.importers.reading import Row, each_row, json_rows, unknown_keys
from harness.suites.schema import named
from harness.suites.tools import tool_flaws

_COLUMNS = ("user_content", "tool_name", "tool_arguments")


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
        tools = [tool for file in sources["tools"] for tool in _tools(file)]
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


def _tools(file: Path) -> list[Any]:
    source = read_document(file)
    raise_problems(source.problems)
    if not isinstance(source.value, list):
        raise UsageError(f"{file}: it must hold a list of function schemas")
    raise_problems(placed(named(source.value, tool_flaws(source.value, ())), source.places))
    return source.value


def _conversations(
    files: Iterable[Path], tools: list[Any], notes: list[Problem]
) -> list[Conversation]:
    rows = [
        row
        for file in files
        for row in (_csv_rows(file) if file.suffix == ".csv" else json_rows([file], notes))
    ]
    notes += unknown_keys(rows, ("id", *_COLUMNS))
    return each_row(rows, notes, lambda row: conversation(row, _messages(row.value), tools, notes))


def _messages(row: Mapping[str, Any]) -> list[dict[str, Any]]:
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


def _csv_rows(file: Path) -> list[Row]:
    reader = csv.DictReader(io.StringIO(_text(file), newline=""), strict=True)
    rows = []
    before = 0
    try:
        columns = reader.fieldnames or ()
        before = reader.line_num
        for values in reader:
            # A cell past the header has the key None, and a missing cell the value None.
            named = {str(key or "(no column)"): value for key, value in values.items() if value}
            rows.append(Row(value=named, file=str(file), line=before + 1))
            before = reader.line_num
    except csv.Error as exc:
        # If a quote is never closed the reader is at the end, far from the faulty row.
        raise UsageError(
            f"{file}:{before + 1}: not valid CSV: {exc}; fix the row that begins here, starting "
            "with its quotes"
        ) from exc
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise UsageError(f"{file}:1: no column {missing[0]!r}; the first line names the columns")
    return rows


def _text(file: Path) -> str:
    with boundary(UsageError, f"{file} cannot be read"):
        data = file.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise UsageError(
            f"{file}:{line}: not UTF-8 text: {exc.reason}; save the file as UTF-8"
        ) from exc


TOOL_ROWS = ToolRows()
