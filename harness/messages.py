"""
What a model is shown and what it asks for, in the shapes OpenAI and Hugging Face share.

`Message`, `Tool` and `ToolCall` are values; the ``from_*`` functions read foreign dictionaries and
raise ValueError with a reason, which the caller completes with file and line.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from harness.errors import UsageError, boundary
from harness.wording import suggest

ROLES = ("system", "developer", "user", "assistant", "tool")

REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
"""The names under which servers and chat templates know an assistant's thinking."""

LEARNED_KEYS = ("weight", "train", "trainable")
"""Keys of a message that say whether it is learned: 0 or false, 1 or true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """
    One function a model may call.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments object; ``{"type": "object", "properties": {}}`` if it takes
    none."""
    schema: Mapping[str, Any]
    """The whole declaration as given: ``{"type": "function", "function": {...}}``."""

    @classmethod
    def from_schema(cls, schema: Any) -> Self:
        """
        Read a declaration of OpenAI, MCP or Anthropic, with or without ``{"type": "function"}``.

        Raises:
            ValueError: if it has no name, a key that no API knows, or parameters that are not an
                object schema.
        """
        if not isinstance(schema, Mapping):
            raise ValueError(f"a tool is an object, not {type(schema).__name__}")
        for steps, hint in unknown_tool_keys(schema):
            raise ValueError(f"a tool has no key {steps[-1]!r}{hint}")
        function = _openai_function(schema)
        if not isinstance(function.get("name"), str):
            raise ValueError('a tool needs a "name"')
        if not function["name"]:
            raise ValueError('a tool\'s "name" is empty')
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        if not isinstance(parameters, Mapping) or parameters.get("type", "object") != "object":
            raise ValueError(f'tool {function["name"]!r}: "parameters" is not an object schema')
        return cls(
            name=function["name"],
            description=str(function.get("description") or ""),
            parameters=parameters,
            schema={"type": "function", "function": function},
        )


_TOOL_KEYS: Mapping[str, tuple[str, ...]] = {
    # "return" is what transformers' get_json_schema adds.
    "parameters": ("name", "description", "parameters", "strict", "return", "type"),
    "inputSchema": (
        *("name", "description", "inputSchema", "title", "outputSchema", "annotations", "icons"),
        *("execution", "_meta"),
    ),
    "input_schema": (
        *("name", "description", "input_schema", "type", "strict", "cache_control"),
        *("input_examples", "defer_loading", "allowed_callers", "eager_input_streaming"),
    ),
}
"""The keys of a function by the one that holds the schema of its arguments: OpenAI's, MCP's
(https://modelcontextprotocol.io/specification, ``Tool``) and Anthropic's
(https://docs.anthropic.com/en/api/messages, ``tools``)."""


def schema_key(function: Mapping[str, Any]) -> str:
    """
    Return the key under which a function declares its arguments, or would.
    """
    return next((key for key in _TOOL_KEYS if function.get(key) is not None), "parameters")


def unknown_tool_keys(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """
    Yield the way to each key of a declaration that no API knows, and a hint at what was meant.

    None may be passed over: a misspelt ``parameters`` would declare a tool without arguments.
    """
    wrapped = "function" in schema
    if wrapped:
        for key in _unknown(schema, ("type", "function")):
            yield (key,), suggest(key, ("type", "function"))
    function = schema["function"] if wrapped else schema
    if not isinstance(function, Mapping):
        return
    given = schema_key(function)
    for key in _unknown(function, _TOOL_KEYS[given]):
        hint = (
            f"; {given!r} is there already"
            if key in _TOOL_KEYS
            else suggest(key, {*_TOOL_KEYS[given], *_TOOL_KEYS})
        )
        yield (("function", key) if wrapped else (key,)), hint


def _unknown(part: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    # What is null says nothing: tables give each row the columns of all others.
    return [key for key, value in part.items() if key not in known and value is not None]


def _openai_function(schema: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what a declaration says in OpenAI's keys, which chat templates show, in their order.
    """
    function = schema.get("function", schema)
    if not isinstance(function, Mapping):
        raise ValueError('a tool\'s "function" is an object')
    given = schema_key(function)
    if given == "parameters":
        return {key: value for key, value in function.items() if key != "type"}
    return {
        "parameters" if key == given else key: value
        for key, value in function.items()
        if key in ("name", "description", given)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """
    One call, as a conversation's history or an expectation's reference holds it.
    """

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None

    @classmethod
    def from_chat(cls, call: Any) -> Self:
        """
        Read ``{"type": "function", "function": {...}}``; its arguments may be JSON text.

        Raises:
            ValueError: if name or arguments are missing or unreadable.
        """
        function = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise ValueError('a tool call needs {"function": {"name": ..., "arguments": {...}}}')
        arguments = function.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError as exc:
                raise ValueError(f"arguments of {function['name']!r} are not JSON: {exc}") from exc
        if not isinstance(arguments, Mapping):
            raise ValueError(f"arguments of {function['name']!r} are not an object")
        identity = call.get("id")
        return cls(
            name=function["name"],
            arguments=dict(arguments),
            id=identity if isinstance(identity, str) else None,
        )

    def to_chat(self) -> dict[str, Any]:
        """
        Return the call in Hugging Face form, arguments as an object.
        """
        call: dict[str, Any] = {
            "type": "function",
            "function": {"name": self.name, "arguments": dict(self.arguments)},
        }
        if self.id is not None:
            call["id"] = self.id
        return call


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """
    One message of a conversation.
    """

    role: str
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    name: str | None = None
    """For role tool: the tool that answered."""
    tool_call_id: str | None = None
    reasoning: str | None = None
    """For role assistant: what it thought before it answered, apart from the content."""

    @classmethod
    def from_chat(cls, message: Any) -> Self:
        """
        Read one message of the Hugging Face or OpenAI chat shape; text parts are joined.

        Thinking is read from any of `REASONING_KEYS`.

        Raises:
            ValueError: for an unknown role, content that is not text, or a bad tool call.
        """
        if not isinstance(message, Mapping):
            raise ValueError(f"a message is an object, not {type(message).__name__}")
        role = message.get("role")
        if role not in ROLES:
            raise ValueError(f"unknown role {role!r}; choose from {', '.join(ROLES)}")
        given = message.get("tool_calls") or ()
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise ValueError("tool_calls is a list")
        calls = tuple(ToolCall.from_chat(call) for call in given)
        if calls and role != "assistant":
            raise ValueError(f"a message of role {role} cannot hold tool_calls")
        content = _text(message.get("content"))
        if content is None and not calls:
            raise ValueError(f"a message of role {role} has neither content nor tool_calls")
        return cls(
            role=role,
            content=content,
            tool_calls=calls,
            name=message.get("name"),
            tool_call_id=message.get("tool_call_id"),
            reasoning=_reasoning(message) if role == "assistant" else None,
        )

    def to_chat(self) -> dict[str, Any]:
        """
        Return the message in the Hugging Face chat format, without absent keys.
        """
        message: dict[str, Any] = {"role": self.role}
        if self.reasoning is not None:
            message[REASONING_KEYS[0]] = self.reasoning
        if self.content is not None:
            message["content"] = self.content
        if self.tool_calls:
            message["tool_calls"] = [call.to_chat() for call in self.tool_calls]
        if self.name is not None:
            message["name"] = self.name
        if self.tool_call_id is not None:
            message["tool_call_id"] = self.tool_call_id
        return message


def to_chat(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """
    Return a whole conversation in the Hugging Face chat format.
    """
    return [message.to_chat() for message in messages]


def learned(message: Mapping[str, Any]) -> bool | None:
    """
    Return whether a chat message is marked as learned or as history; None where it is not marked.

    Raises:
        ValueError: for a mark other than 0, 1, false and true, or marks that contradict each other.
    """
    found = {key: message[key] for key in LEARNED_KEYS if message.get(key) is not None}
    for key, value in found.items():
        if not isinstance(value, bool | int | float) or value not in (0, 1):
            raise ValueError(
                f"{key} {value!r} of a message is not 0 or 1; weights between are not supported"
            )
    marks = {bool(value) for value in found.values()}
    if len(marks) > 1:
        raise ValueError(f"{' and '.join(found)} of a message contradict each other")
    return marks.pop() if marks else None


def _reasoning(message: Mapping[str, Any]) -> str | None:
    for key in REASONING_KEYS:
        value = message.get(key)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            raise ValueError(f"{key} must be text, not {type(value).__name__}")
        return value
    return None


def _text(content: Any) -> str | None:
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, Sequence) and all(
        isinstance(part, Mapping) and part.get("type") == "text" for part in content
    ):
        return "".join(str(part.get("text", "")) for part in content)
    raise ValueError("content must be text (only parts of type text are read)")


def tools_from_functions(functions: Sequence[Callable[..., Any]]) -> tuple[Tool, ...]:
    """
    Return tools declared from Python functions, their type hints and Google-style docstrings.

    The ``return`` key that transformers adds is left out: no API has it, and no chat template shows
    it.

    Raises:
        UsageError: if a function lacks a type hint or a description of an argument.
    """
    from transformers.utils import get_json_schema

    tools = []
    for function in functions:
        named = getattr(function, "__name__", repr(function))
        with boundary(UsageError, f"function {named} cannot be declared as a tool"):
            schema = get_json_schema(function)["function"]
            tools.append(Tool.from_schema({key: schema[key] for key in schema if key != "return"}))
    return tuple(tools)
