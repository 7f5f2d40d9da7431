"""
Google's Mobile Actions: chat rows with tools and a mark that splits them.

A row is ``{"metadata": "train" or "eval", "tools": [...], "messages": [...]}``, the arguments of
calls JSON text or an object (https://huggingface.co/datasets/google/mobile-actions). Types are in
capitals, as in the Gemini API, and become those of JSON Schema; nulls that a table put into
declarations are left out. Evaluation rows become cases, the others train.jsonl. As in Google's own
evaluation, calls must come in the order of the reference, with its arguments and no others.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from harness.diagnostics import Problem
from harness.importers.base import Imported, Sources
from harness.importers.readers.conversations import Conversation, cases, chat_rows, conversation
from harness.importers.readers.rows import Row, each_row, json_rows, unknown_keys


class MobileActions:
    """
    The format described above.
    """

    name = "mobile-actions"
    takes: Mapping[str, bool] = {"rows": True}

    def read(self, sources: Sources, today: date) -> Imported:
        """
        Read the rows of both parts.
        """
        notes: list[Problem] = []
        rows = json_rows(sources["rows"], notes)
        notes += unknown_keys(rows, ("id", "metadata", "tools", "messages"))
        parts: dict[str, list[Conversation]] = {"train": [], "eval": []}

        def read(row: Row) -> None:
            part = row.value.get("metadata")
            if not isinstance(part, str) or part not in parts:
                raise ValueError(f'"metadata" is {part!r}, neither train nor eval')
            tools = _declared(row.value.get("tools"))
            parts[part].append(conversation(row, row.value.get("messages"), tools, notes))

        each_row(rows, notes, read)
        asked, tools = cases(parts["eval"], order="strict", other_arguments="forbid")
        return Imported(
            cases=asked,
            tools=tools,
            description="Spoken commands to a phone, and the calls that carry them out.",
            license="CC-BY-4.0",
            train=chat_rows(parts["train"]),
            notes=tuple(notes),
        )


def _declared(schema: Any) -> Any:
    """
    Return declarations with JSON Schema's type names and without nulls.
    """
    if isinstance(schema, list):
        return [_declared(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else _declared(value)
        for key, value in schema.items()
        if value is not None
    }


IMPORTER = MobileActions()
