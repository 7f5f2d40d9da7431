"""
Which tool declarations a fine-tune saw, stored by digest, and whether a suite shows others.

A small model that learned ``{"name": ..., "description": ...}`` answers worse when it is asked with
``{"description": ..., "name": ...}``: the same tools in another order are another prompt. So
training.json names each block it was trained with, to be compared when the model is asked.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from harness.checkpoints.chat_template import declaration
from harness.errors import StoreError, boundary
from harness.finetuning.result import TRAINING
from harness.finetuning.rows import Row
from harness.messages import Message, Tool

DECLARATIONS = "declarations"
"""The key of training.json: digest of the rendered block -> names of its tools, number of rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """
    What a model sees before the user's first word: system text and tools.
    """

    system: Message | None
    tools: tuple[Tool, ...]

    @classmethod
    def of(cls, messages: Sequence[Message], tools: tuple[Tool, ...]) -> Self:
        """
        Return the declaration that a conversation with *tools* shows.
        """
        first = messages[0] if messages else None
        shown = first if first is not None and first.role in ("system", "developer") else None
        return cls(system=shown, tools=tools)

    def digest(self, tokenizer: Any) -> str:
        """
        Return the digest of the block as the tokenizer's chat template renders it.

        Raises:
            TemplateError: if the template cannot render it.
        """
        return declaration(tokenizer, self.system, self.tools)

    @property
    def names(self) -> list[str]:
        """
        The names of the tools, in their order.
        """
        return [tool.name for tool in self.tools]


def trained_with(tokenizer: Any, rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """
    Return each block that *rows* show, by digest, as stored in training.json.
    """
    found: dict[str, dict[str, Any]] = {}
    known: dict[Any, str] = {}
    for row in rows:
        shown = Declaration.of(row.messages, row.tools)
        # Rows share their tools as objects; rendering them once is enough.
        key = (shown.system, tuple(map(id, shown.tools)))
        if key not in known:
            known[key] = shown.digest(tokenizer)
        entry = found.setdefault(known[key], {"tools": shown.names, "rows": 0})
        entry["rows"] += 1
    return found


def shown_otherwise(
    known: Mapping[str, Mapping[str, Any]], tokenizer: Any, asked: Sequence[Declaration]
) -> str | None:
    """
    Return in words how the first of *asked* that is not among the blocks in *known* differs from
    them; None if all are, or no block is known.
    """
    for each in asked if known else ():
        if each.digest(tokenizer) not in known:
            return _difference(known, each)
    return None


def _difference(known: Mapping[str, Mapping[str, Any]], asked: Declaration) -> str:
    same = any(sorted(entry["tools"]) == sorted(asked.names) for entry in known.values())
    if same:
        return (
            "its tools or system text are shown differently than in training (the same names, "
            "another text or order): answers may be worse than the model is capable of"
        )
    trained = max(known.values(), key=lambda entry: int(entry["rows"]))["tools"]
    return (
        "other tools are shown than in training: "
        f"{_named(asked.names)}, where training had {_named(trained)}"
    )


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) or "none"
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def read_declarations(folder: Path) -> dict[str, dict[str, Any]]:
    """
    Return the blocks that the fine-tune in *folder* was trained with; empty if none are stored.

    Raises:
        StoreError: if its training.json cannot be read.
    """
    file = folder / TRAINING
    if not file.is_file():
        return {}
    with boundary(StoreError, f"{file} cannot be read; delete the folder and train again"):
        kept = json.loads(file.read_text(encoding="utf-8")).get(DECLARATIONS, {})
        return {digest: dict(entry) for digest, entry in kept.items()}
