"""
Chat conversations as cases: each answer of the assistant is what its turn expects.

The calls of a reference answer become expected calls whose arguments must be equal to the
reference's; an answer of text alone becomes an abstention. Equality is the strictest reading, meant
to be loosened by hand where a text may be worded freely.

A reference whose calls are text in its content is read with all known dialects. If these leave a
doubt, the row is left out: taken as plain text it would become an abstention, the opposite of what
it says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.canonical import as_written, canonical_json
from harness.diagnostics import Problem
from harness.dialects.base import Reading
from harness.dialects.reading import marked
from harness.dialects.registry import dialect
from harness.dialects.registry import names as dialects
from harness.documents import decode_json
from harness.importers.base import ImportedCase
from harness.importers.readers.rows import Row
from harness.messages import LEARNED_KEYS, REASONING_KEYS, Message, Tool, ToolCall, learned

_MESSAGE_KEYS = ("role", "content", "tool_calls", "name", "tool_call_id", *REASONING_KEYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """
    One row: messages in the Hugging Face chat format and the tools they may use.
    """

    row: Row
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...]
    unjudged: frozenset[int] = frozenset()
    """The indices of assistant messages that are only history."""


def conversation(row: Row, messages: Any, tools: Any, notes: list[Problem]) -> Conversation:
    """
    Return the conversation in a row.

    Raises:
        ValueError: if there is none.
    """
    if not isinstance(messages, list) or not all(isinstance(m, Mapping) for m in messages):
        raise ValueError('"messages" must be a list of messages')
    declared = [Tool.from_schema(schema) for schema in _tool_list(tools)]
    plain = [_message(message, row, notes) for message in messages]
    for message in plain:
        Message.from_chat(message)
    unjudged = {index for index, each in enumerate(messages) if learned(each) is False}
    for index, message in enumerate(plain):
        if message["role"] == "assistant" and "tool_calls" not in message:
            plain[index] = _with_calls_in_text(message, declared, row, notes)
    properties = {tool.name: _properties(tool) for tool in declared}
    for message in plain:
        _drop_padding(message, properties, row, notes)
    judged = {index for index, m in enumerate(plain) if m["role"] == "assistant"}
    unjudged &= judged
    if not judged - unjudged:
        raise ValueError("no answer of the assistant")
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
    # Datasets store schemas as JSON text, whole or one by one, so that the column has one type.
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
    known = {*_MESSAGE_KEYS, "function_call", *LEARNED_KEYS}
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
        if isinstance(function["arguments"], str):
            raise ValueError(
                f"the arguments of {function.get('name')!r} are JSON inside JSON text; encode "
                "them once"
            )
    return {**given, "function": function}


def _with_calls_in_text(
    message: dict[str, Any], tools: Sequence[Tool], row: Row, notes: list[Problem]
) -> dict[str, Any]:
    """
    Return a message with the calls that are text in its content instead of that text.

    Raises:
        ValueError: if the content attempts calls and the dialects do not agree on which.
    """
    text = message.get("content")
    if not isinstance(text, str) or not text.strip():
        return message
    found, problem = _read_as_text(text, tools, lenient=False)
    if len(found) > 1:
        names = " and ".join(name for name, _ in found)
        raise ValueError(f"its content writes calls that {names} read differently; use tool_calls")
    if not found:
        repaired, doubt = _read_as_text(text, tools, lenient=True)
        if repaired:
            problem = f"dialect {repaired[0][0]} reads it only leniently"
        if problem := problem or doubt:
            raise ValueError(f"its content attempts a call as text ({problem}); use tool_calls")
        return message
    ((name, reading),) = found
    notes.append(row.note(f"a call written as text in the content was read as {name}"))
    kept = {key: value for key, value in message.items() if key != "content"}
    if reading.text:
        kept["content"] = reading.text
    kept["tool_calls"] = [
        ToolCall(name=attempt.name or "", arguments=attempt.arguments or {}).to_chat()
        for attempt in reading.attempts
    ]
    return kept


def _read_as_text(
    text: str, tools: Sequence[Tool], *, lenient: bool
) -> tuple[list[tuple[str, Reading]], str | None]:
    """
    Return the different readings of *text* as declared calls, each with the first dialect that has
    it, and, if an attempt in it cannot be read, why.
    """
    offered = {tool.name for tool in tools}
    found: dict[str, tuple[str, Reading]] = {}
    broken = strange = None
    for name in dialects():
        reader = dialect(name)
        reading = reader.read_leniently(text, tools) if lenient else reader.read(text, tools)
        # An undeclared name without any sign of a call is prose or code: ``print(x)``.
        attempts = [each for each in reading.attempts if each.name in offered or marked(each)]
        undeclared = next((each.name for each in attempts if each.name not in offered), None)
        if not attempts:
            continue
        if not all(each.readable for each in attempts):
            broken = "no dialect can read it"
        elif undeclared is not None:
            strange = f"{undeclared!r} is not one of its tools"
        else:
            calls = canonical_json([[each.name, each.arguments] for each in attempts])
            found.setdefault(calls, (name, replace(reading, attempts=tuple(attempts))))
    return list(found.values()), strange or broken


def _drop_padding(
    message: dict[str, Any],
    properties: Mapping[str, Mapping[str, Any]],
    row: Row,
    notes: list[Problem],
) -> None:
    """
    Remove nulls for undeclared arguments: in a table every call has every column.
    """
    for call in message.get("tool_calls", ()):
        name, arguments = call["function"]["name"], call["function"].get("arguments")
        if not isinstance(arguments, dict) or name not in properties:
            continue
        for key in [k for k, v in arguments.items() if v is None and k not in properties[name]]:
            del arguments[key]
            notes.append(row.note(f"{name}.{key}: null for an undeclared argument is left out"))


def cases(
    conversations: Sequence[Conversation],
    *,
    order: Literal["any", "strict"] = "any",
    other_arguments: Literal["declared", "forbid"] = "declared",
) -> tuple[tuple[ImportedCase, ...], tuple[Mapping[str, Any], ...]]:
    """
    Return the cases of *conversations*, and the tools they share.

    Tools are declared once if all conversations declare the same, else with each case.
    """
    shared: dict[str, Mapping[str, Any]] = {}
    alike = True
    for each in conversations:
        for tool in each.tools:
            name = tool["function"]["name"]
            first = shared.setdefault(name, tool)
            # The order of their keys counts, too: the model sees declarations in that order.
            alike = alike and as_written(first) == as_written(tool)
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
        made.append(
            ImportedCase(
                row=row,
                file=each.row.file,
                line=each.row.line,
                numbered=identity != str(each.row.value.get("id")),
            )
        )
    return tuple(made), tuple(shared.values()) if alike else ()


def chat_rows(conversations: Sequence[Conversation]) -> tuple[Mapping[str, Any], ...]:
    """
    Return *conversations* as rows for train.jsonl, each up to its last learned answer.
    """
    return tuple(
        {
            "messages": [
                {**message, "weight": 0} if index in each.unjudged else message
                for index, message in enumerate(each.messages[: _answers(each)[-1] + 1])
            ],
            # Without this key the fine-tune would offer the suite's tools.
            "tools": list(each.tools),
        }
        for each in conversations
    )


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
