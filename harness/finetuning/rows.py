"""
Chat rows: the conversations a model is trained on.

One JSON line holds ``messages`` and may hold its own ``tools`` (OpenAI function schemas) and system
message; otherwise it gets those of the suite. ``"tools": []`` offers none.

Every message of the assistant is learned except those marked ``"weight": 0`` (OpenAI's name),
``"train": false`` or ``"trainable": false``: they are history, which the model only sees. What
follows the last learned message is left out.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.canonical import digest
from harness.diagnostics import Problem, raise_problems
from harness.documents import read_document
from harness.errors import SuiteError, TrainingError
from harness.messages import Message, Tool, learned, to_chat

KEYS = frozenset({"id", "messages", "tags", "tools"})
"""The keys of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One conversation to learn from.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    """The tools declared to the model: empty if tools are to be trained in."""
    source: str = "a row"
    """Where it comes from, for errors: ``train.jsonl:3``."""
    history: frozenset[int] = frozenset()
    """The indices of the assistant's messages that are shown but not learned."""

    @property
    def prompts(self) -> tuple[str, ...]:
        """
        What the user says in it.
        """
        return tuple(message.content or "" for message in self.messages if message.role == "user")


def read_rows(
    file: Path,
    *,
    tools: Sequence[Tool] = (),
    system: str | None = None,
    system_role: str = "system",
    declare_tools: bool = True,
) -> tuple[Row, ...]:
    """
    Read chat rows from a .jsonl, .json or .yaml file.

    Rows without their own tools or system message get *tools* and *system*. With *declare_tools*
    false no row declares tools: they are trained into the weights.

    Raises:
        SuiteError: if the file cannot be read or a row is wrong, naming file and line.
    """
    source = read_document(file)
    values = source.value if isinstance(source.value, list) else []
    if not values and not source.problems:
        raise SuiteError(f"{file}: no rows; write one JSON object per line")
    placed = ((value, *source.places.find((index,))) for index, value in enumerate(values))
    return rows_of(
        placed,
        problems=source.problems,
        tools=tools,
        system=system,
        system_role=system_role,
        declare_tools=declare_tools,
    )


def rows_of(
    values: Iterable[tuple[Any, str, int | None]],
    *,
    problems: Sequence[Problem] = (),
    tools: Sequence[Tool] = (),
    system: str | None = None,
    system_role: str = "system",
    declare_tools: bool = True,
) -> tuple[Row, ...]:
    """
    Return rows given as values, each with its file, or what it is from, and its line; else as
    `read_rows`. *problems* are known already.

    Raises:
        SuiteError: if a row is wrong, naming where it is.
    """
    found = list(problems)
    rows = []
    for value, named, line in values:
        try:
            row = _row(value, tools, f"{named}:{line}")
        except ValueError as exc:
            found.append(Problem(file=named, line=line, message=str(exc)))
            continue
        rows.append(_completed(row, system, system_role, declare_tools))
    raise_problems(found)
    return tuple(rows)


def _row(value: Any, tools: Sequence[Tool], source: str) -> Row:
    if not isinstance(value, dict) or not isinstance(value.get("messages"), list):
        raise ValueError('a row is an object with "messages", a list')
    if unknown := sorted(set(value) - KEYS):
        raise ValueError(f"unknown key {unknown[0]!r}; a row may hold {', '.join(sorted(KEYS))}")
    messages = tuple(Message.from_chat(message) for message in value["messages"])
    marks = [learned(message) for message in value["messages"]]
    for message, mark in zip(messages, marks, strict=True):
        if mark and message.role != "assistant":
            raise ValueError(f"only the assistant's messages are learned, not a {message.role}'s")
    if not messages or (messages[-1].role != "assistant" and None is marks[-1]):
        raise ValueError("the last message must be the assistant's: it is what is learned")
    assistant = [index for index, message in enumerate(messages) if message.role == "assistant"]
    history = {index for index in assistant if marks[index] is False}
    if not set(assistant) - history:
        raise ValueError("no message is learned: each of the assistant's is marked as history")
    messages = messages[: 1 + max(set(assistant) - history)]
    if not any(message.role == "user" for message in messages):
        raise ValueError("no message has the role user")
    own = value.get("tools")
    if own is not None and not isinstance(own, list):
        raise ValueError('"tools" is a list of function schemas')
    declared = tuple(tools) if own is None else tuple(Tool.from_schema(tool) for tool in own)
    names = {tool.name for tool in declared}
    called = {call.name for message in messages for call in message.tool_calls}
    if missing := sorted(called - names):
        raise ValueError(f"it calls {missing[0]!r}, which is not one of its tools")
    return Row(
        messages=messages,
        tools=declared,
        source=source,
        history=frozenset(index for index in history if index < len(messages)),
    )


def _completed(row: Row, system: str | None, system_role: str, declare_tools: bool) -> Row:
    messages, history = row.messages, row.history
    if system is not None and messages[0].role not in ("system", "developer"):
        messages = (Message(role=system_role, content=system), *messages)
        history = frozenset(index + 1 for index in history)
    tools = row.tools if declare_tools else ()
    return replace(row, messages=messages, history=history, tools=tools)


def rows_digest(rows: Sequence[Row]) -> str:
    """
    Return a digest of what is learned from *rows* and in which order, not of where they were read.
    """
    return digest(
        [
            [
                to_chat(row.messages),
                [tool.schema for tool in row.tools],
                *([sorted(row.history)] if row.history else []),
            ]
            for row in rows
        ]
    )


def check_leakage(rows: Sequence[Row], heldout_prompts: Collection[str]) -> None:
    """
    Refuse rows whose prompt the model will be judged on, ignoring white space and case.

    Raises:
        TrainingError: naming the rows.
    """
    heldout = {plain(prompt) for prompt in heldout_prompts}
    leaks = [
        (row.source, prompt) for row in rows for prompt in row.prompts if plain(prompt) in heldout
    ]
    if not leaks:
        return
    source, prompt = leaks[0]
    others = f" (and {len(leaks) - 1} more rows)" if len(leaks) > 1 else ""
    raise TrainingError(
        f"{source}: its prompt is a case of the suite{others}: {prompt!r}\n"
        "a model cannot be judged on what it was trained or selected on; remove it from one of them"
    )


def plain(prompt: str) -> str:
    """
    Return a prompt as it is compared: without letter case and differences of white space.
    """
    return " ".join(prompt.casefold().split())
