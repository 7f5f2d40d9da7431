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
    listed: str | None = None
    """What a further call of a list shows that it is begun with."""


def _tag(
    opener: str, closer: str | None = None, *, listed: str | None = None, by_schema: bool = False
) -> Form:
    return Form(opener=lambda _: opener, closer=closer, listed=listed, by_schema=by_schema)


FORMS = {
    "command-a": _tag("<|START_ACTION|>[", listed='"tool_name"'),
    "command-r": _tag("Action: ```json\n[", "```", listed='"tool_name"'),
    "deepseek-v3": _tag("<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"),
    "deepseek-v3.1": _tag("<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"),
    "deepseek-v3.2": _tag(
        "<｜DSML｜function_calls>", "</｜DSML｜function_calls>", listed='<｜DSML｜invoke name="'
    ),
    "functiongemma": _tag("<start_function_call>", "<end_function_call>"),
    "gemma-4": _tag("<|tool_call>", "<tool_call|>"),
    "glm-4": Form(opener=lambda call: f"{call.name}\n{{"),
    "glm-4.5": _tag("<tool_call>", "</tool_call>", by_schema=True),
    "gorilla": Form(opener=lambda call: f"<<function>>{call.name}("),
    "granite": _tag("<|tool_call|>[", listed='{"name"'),
    "granite-20b": _tag("<function_call>"),
    "harmony": Form(opener=lambda call: f"<|channel|>commentary to=functions.{call.name}"),
    "hermes": _tag("<tool_call>", "</tool_call>"),
    "kimi-k2": _tag("<|tool_call_begin|>", "<|tool_call_end|>"),
    "llama3-json": _tag('{"name"', listed='{"name"'),
    "minimax-m1": _tag("<tool_calls>", "</tool_calls>", listed='{"name"'),
    "minimax-m2": _tag(
        "<minimax:tool_call>", "</minimax:tool_call>", listed='<invoke name="', by_schema=True
    ),
    "mistral": _tag("[TOOL_CALLS] [", listed='{"name"'),
    "mistral-v11": _tag("[TOOL_CALLS]"),
    "olmo-3": _tag("<function_calls>", "</function_calls>", listed="("),
    "phi-4-mini": _tag("functools[", listed='{"name"'),
    "pythonic": Form(opener=lambda call: f"{call.name}("),
    "qwen3-coder": _tag("<tool_call>", "</tool_call>", by_schema=True),
    "raven": Form(opener=lambda call: f"{call.name}(", listed="("),
    "tool-code": _tag("```tool_code\n", "```", listed="("),
    "xlam": _tag("[{", listed='{"name"'),
}
"""Every dialect that reads text; the answers of `native` and `anthropic` are messages."""

MESSAGES = {"native": '"tool_calls":', "anthropic": '"tool_use"'}
"""Dialects of messages, and what shows in their JSON text that a call is begun."""


def begun(member: str, call: ToolCall, raw: str) -> int:
    """
    How much of a rendered call's text *raw* shows that it is begun.
    """
    form = FORMS[member]
    opener = form.opener(call)
    if raw.startswith(opener):
        return len(opener)
    # A further call of a list: what stands before it belongs to its text.
    return raw.index(form.listed or opener) + len(form.listed or opener)


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
