"""
Chat conversations as cases: each thing the assistant said is what was to be expected there.

The calls of a reference answer become expected calls whose arguments must be equal to the
reference's; an answer of text alone becomes an abstention. Equality is the lower bound of what is
right, and is meant to be loosened by hand where a text may be worded freely.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.canonical import canonical_json
from harness.diagnostics import Problem
from harness.documents import decode_json
from harness.importers.base import ImportedCase
from harness.importers.reading import Row
from harness.messages import Message, Tool

_MESSAGE_KEYS = ("role", "content", "tool_calls", "name", "tool_call_id")

JUDGED_BY_WEIGHT = "weight"
"""OpenAI's mark on an assistant message: 0 means that it is not to be learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """
    One row: messages in the Hugging Face chat shape and the tools they may use.
    """

    row: Row
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...]
    unjudged: frozenset[int] = frozenset()
    """Which assistant messages are history only, by their places."""


def conversation(row: Row, messages: Any, tools: Any, notes: list[Problem]) -> Conversation | None:
    """
    Make a conversation of what a row holds; None with a note where it holds none.
    """
    if not isinstance(messages, list) or not all(isinstance(m, Mapping) for m in messages):
        notes.append(row.note('left out: "messages" must be a list of messages'))
        return None
    try:
        declared = [Tool.from_schema(schema) for schema in _tool_list(tools)]
        plain = [_message(message, row, notes) for message in messages]
        for message in plain:
            Message.from_chat(message)
    except ValueError as exc:
        notes.append(row.note(f"left out: {exc}"))
        return None
    properties = {tool.name: _properties(tool) for tool in declared}
    for message in plain:
        _drop_padding(message, properties, row, notes)
    judged = [index for index, m in enumerate(plain) if m["role"] == "assistant"]
    unjudged = {index for index in judged if messages[index].get(JUDGED_BY_WEIGHT) == 0}
    if not set(judged) - unjudged:
        notes.append(row.note("left out: no answer of the assistant to expect"))
        return None
    return Conversation(
        row=row,
        messages=tuple(plain),
        tools=tuple(tool.schema for tool in declared),
        unjudged=frozenset(unjudged),
    )


def _properties(tool: Tool) -> Mapping[str, Any]:
    properties = tool.parameters.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _tool_list(tools: Any) -> list[Any]:
    # Datasets store schemas as JSON text, whole or one by one, to give the column one type.
    if isinstance(tools, str):
        tools = _decoded(tools)
    if tools is None:
        return []
    if not isinstance(tools, list):
        raise ValueError('"tools" is a list of function schemas')
    return [_decoded(tool) if isinstance(tool, str) else tool for tool in tools]


def _decoded(tools: str) -> Any:
    try:
        return decode_json(tools)
    except ValueError as exc:
        raise ValueError(f'"tools" cannot be read: {exc}') from exc


def _message(given: Mapping[str, Any], row: Row, notes: list[Problem]) -> dict[str, Any]:
    message = {key: given[key] for key in _MESSAGE_KEYS if given.get(key) is not None}
    if isinstance(given.get("function_call"), Mapping):
        message["tool_calls"] = [{"type": "function", "function": given["function_call"]}]
    if given.get("role") == "function":
        message["role"] = "tool"
    if message.get("tool_calls") == []:
        del message["tool_calls"]
    known = {*_MESSAGE_KEYS, "function_call", JUDGED_BY_WEIGHT}
    for key in given:
        if key not in known and given[key] is not None:
            notes.append(row.note(f"{key!r} of a message has no place in a suite and is left out"))
    if "content" not in message and "tool_calls" not in message:
        message["content"] = ""
    if "tool_calls" in message and isinstance(message["tool_calls"], list):
        message["tool_calls"] = [_call(call) for call in message["tool_calls"]]
    return message


def _call(given: Any) -> Any:
    if isinstance(given, Mapping) and "function" not in given and "name" in given:
        given = {"type": "function", "function": given}
    if not isinstance(given, Mapping) or not isinstance(given.get("function"), Mapping):
        return given
    function = dict(given["function"])
    if isinstance(function.get("arguments"), str):
        try:
            function["arguments"] = decode_json(function["arguments"])
        except ValueError as exc:
            name = function.get("name")
            raise ValueError(f"the arguments of {name!r} cannot be read: {exc}") from exc
    return {**given, "function": function}


def _drop_padding(
    message: dict[str, Any],
    properties: Mapping[str, Mapping[str, Any]],
    row: Row,
    notes: list[Problem],
) -> None:
    """
    Take away nulls for arguments that a tool does not have: tables give every call every column.
    """
    for call in message.get("tool_calls", ()):
        name, arguments = call["function"]["name"], call["function"].get("arguments")
        if not isinstance(arguments, dict) or name not in properties:
            continue
        for key in [k for k, v in arguments.items() if v is None and k not in properties[name]]:
            del arguments[key]
            notes.append(row.note(f"{name}.{key}: null for an argument not declared is left out"))


def cases(
    conversations: Sequence[Conversation],
    *,
    order: Literal["any", "strict"] = "any",
    other_arguments: Literal["declared", "forbid"] = "declared",
) -> tuple[tuple[ImportedCase, ...], tuple[Mapping[str, Any], ...]]:
    """
    Give the cases of *conversations*, and the tools they share.

    Tools are declared once where all conversations declare them alike, else with each case.
    """
    shared: dict[str, Mapping[str, Any]] = {}
    alike = True
    for each in conversations:
        for tool in each.tools:
            name = tool["function"]["name"]
            first = shared.setdefault(name, tool)
            alike = alike and canonical_json(first) == canonical_json(tool)
    taken: set[str] = set()
    made = []
    for number, each in enumerate(conversations, start=1):
        identity = _identity(each.row, number, taken)
        names = [tool["function"]["name"] for tool in each.tools]
        row: dict[str, Any] = {"id": identity}
        if not alike:
            row["tools"] = list(each.tools)
        elif names != list(shared):
            row["tools"] = names
        row |= _turns(each, order, other_arguments)
        made.append(ImportedCase(row=row, file=each.row.file, line=each.row.line))
    return tuple(made), tuple(shared.values()) if alike else ()


def chat_rows(conversations: Sequence[Conversation]) -> tuple[Mapping[str, Any], ...]:
    """
    Give *conversations* as rows for train.jsonl, each up to the last answer to learn.
    """
    return tuple(
        {
            "messages": list(each.messages[: _last_answer(each) + 1]),
            **({"tools": list(each.tools)} if each.tools else {}),
        }
        for each in conversations
    )


def _last_answer(each: Conversation) -> int:
    return _answers(each)[-1]


def _answers(each: Conversation) -> list[int]:
    return [
        index
        for index, message in enumerate(each.messages)
        if message["role"] == "assistant" and index not in each.unjudged
    ]


def _identity(row: Row, number: int, taken: set[str]) -> str:
    given = row.value.get("id")
    identity = str(given) if isinstance(given, str | int) and str(given).strip() else ""
    if not identity or identity.split() != [identity] or identity in taken:
        identity = f"row-{number:04d}"
        while identity in taken:
            identity += "-"
    taken.add(identity)
    return identity


def _turns(
    each: Conversation,
    order: Literal["any", "strict"],
    other_arguments: Literal["declared", "forbid"],
) -> dict[str, Any]:
    answers = _answers(each)
    before = list(each.messages[: answers[0]])
    only = before[0] if len(before) == 1 else {}
    asked: dict[str, Any] = {"messages": before}
    if only.keys() == {"role", "content"} and only["role"] == "user" and only["content"]:
        asked = {"prompt": only["content"]}
    expected = [_expectation(each.messages[i], order, other_arguments) for i in answers]
    if len(answers) == 1:
        return {**asked, "expect": expected[0]}
    turns: list[dict[str, Any]] = [{"expect": expectation} for expectation in expected]
    for turn, begin, end in zip(turns, answers, answers[1:], strict=False):
        turn["then"] = list(each.messages[begin:end])
    return {**asked, "turns": turns}


def _expectation(
    message: Mapping[str, Any],
    order: Literal["any", "strict"],
    other_arguments: Literal["declared", "forbid"],
) -> dict[str, Any]:
    if "tool_calls" not in message:
        return {"abstain": True}
    calls: list[dict[str, Any]] = []
    for call in message["tool_calls"]:
        function = call["function"]
        given = function.get("arguments") or {}
        arguments = {
            name: {"const": value} if isinstance(value, Mapping) else value
            for name, value in given.items()
        }
        expected: dict[str, Any] = {"tool": function["name"], "arguments": arguments}
        if other_arguments != "declared":
            expected["other_arguments"] = other_arguments
        calls.append(expected)
    expectation: dict[str, Any] = {"calls": calls}
    if order != "any" and len(calls) > 1:
        expectation["order"] = order
    return expectation
