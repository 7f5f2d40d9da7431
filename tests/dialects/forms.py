"""
What the contract test has to know of each dialect: where a rendered call is begun for certain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.messages import Tool, ToolCall


@dataclass(frozen=True, kw_only=True)
class Form:
    """
    How a dialect's own rendering shows that a call is under way.
    """

    opener: Callable[[ToolCall], str]
    """What a rendered call starts with, up to where every reader must see that it is begun."""
    closer: str | None = None
    """A closing tag that may stand inside a string that was cut, and then looks like the end."""
    by_schema: bool = False
    """Arguments are bare text, typed by the tool's schema."""


def _tag(opener: str, closer: str | None = None, *, by_schema: bool = False) -> Form:
    return Form(opener=lambda _: opener, closer=closer, by_schema=by_schema)


FORMS = {
    "functiongemma": _tag("<start_function_call>", "<end_function_call>"),
    "granite-20b": _tag("<function_call>"),
    "hermes": _tag("<tool_call>", "</tool_call>"),
    "pythonic": Form(opener=lambda call: f"{call.name}("),
}
"""Every dialect that reads text, but for `native`, whose answers are messages."""


def declared(calls: list[ToolCall]) -> list[Tool]:
    """
    Declare the tools of *calls* with the types of their arguments.
    """
    properties: dict[str, dict[str, Any]] = {}
    for call in calls:
        types = properties.setdefault(call.name, {})
        for name, value in call.arguments.items():
            types[name] = {"type": json_type(value)}
    return [
        Tool.from_schema({"name": name, "parameters": {"type": "object", "properties": types}})
        for name, types in properties.items()
    ]


def agree(calls: list[ToolCall]) -> bool:
    """
    Whether one declaration can hold for all of *calls*: no argument has two types.
    """
    types = [
        (call.name, name, json_type(value))
        for call in calls
        for name, value in call.arguments.items()
    ]
    return len({(tool, name) for tool, name, _ in types}) == len(set(types))


def json_type(value: Any) -> str:
    """
    Name the JSON type of *value*.
    """
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return names.get(type(value)) or ("object" if isinstance(value, dict) else "array")
