"""
Chat rows with tools, as TRL and OpenAI fine-tuning take them.

A row has ``messages`` (or ``prompt`` and ``completion``, each a list of messages) and ``tools``, a
list of function schemas, which may be JSON text. Of OpenAI's older shape ``functions``,
``function_call`` and the role ``function`` are read too. An assistant message of weight 0 is
history. (https://huggingface.co/docs/trl/dataset_formats,
https://platform.openai.com/docs/guides/supervised-fine-tuning)
"""

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from harness.diagnostics import Problem
from harness.importers.base import Imported, Sources
from harness.importers.readers.conversations import Conversation, cases, chat_rows, conversation
from harness.importers.readers.rows import Row, each_row, json_rows, unknown_keys

_KEYS = ("id", "messages", "prompt", "completion", "tools", "functions")


class ChatJsonl:
    """
    The format described above.
    """

    name = "chat-jsonl"
    takes: Mapping[str, bool] = {"rows": True, "train": False, "valid": False}

    def read(self, sources: Sources, today: date) -> Imported:
        """
        Read the rows: cases of ``rows``, training rows of ``train`` and ``valid``.
        """
        notes: list[Problem] = []
        asked, tools = cases(_conversations(sources["rows"], notes))
        return Imported(
            cases=asked,
            tools=tools,
            description="Conversations with their reference answers.",
            train=chat_rows(_conversations(sources.get("train", ()), notes)),
            valid=chat_rows(_conversations(sources.get("valid", ()), notes)),
            notes=tuple(notes),
        )


def _conversations(files: Iterable[Path], notes: list[Problem]) -> list[Conversation]:
    rows = json_rows(files, notes)
    notes += unknown_keys(rows, _KEYS)

    def read(row: Row) -> Conversation:
        messages = row.value.get("messages")
        parts = [row.value.get(key) for key in ("prompt", "completion")]
        if messages is None and all(isinstance(part, list) for part in parts):
            messages = [message for part in parts for message in part or ()]
        functions = row.value.get("functions")
        tools = row.value.get("tools", functions)
        return conversation(row, messages, tools, notes)

    return each_row(rows, notes, read)


IMPORTER = ChatJsonl()
