"""
Foreign chat dictionaries as values, and back.
"""

import re
from typing import Any

import pytest

from harness.messages import Message, Tool, ToolCall, to_chat

FUNCTION = {
    "name": "search",
    "description": "Look it up",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
}


@pytest.mark.parametrize("schema", [FUNCTION, {"type": "function", "function": FUNCTION}])
def test_a_tool_is_read_with_and_without_its_wrapper(schema: dict[str, Any]) -> None:
    tool = Tool.from_schema(schema)

    assert ("search", "Look it up") == (tool.name, tool.description)
    assert FUNCTION["parameters"] == tool.parameters
    assert {"type": "function", "function": FUNCTION} == tool.schema


@pytest.mark.parametrize("absent", [{}, {"description": None, "parameters": None}])
def test_a_tool_may_say_nothing_but_its_name(absent: dict[str, Any]) -> None:
    tool = Tool.from_schema({"name": "ping", **absent})

    assert "" == tool.description
    assert {"type": "object", "properties": {}} == tool.parameters


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    "foreign",
    [
        {"inputSchema": FUNCTION["parameters"], "annotations": {"title": "Search"}, "title": "S"},
        {"input_schema": FUNCTION["parameters"], "cache_control": {"type": "ephemeral"}},
    ],
    ids=["MCP", "Anthropic"],
)
def test_a_tool_of_another_api_is_shown_as_openai_would(foreign: dict[str, Any], wrapped: bool):
    function = {"name": "search", "description": "Look it up", **foreign}
    tool = Tool.from_schema({"type": "function", "function": function} if wrapped else function)

    assert FUNCTION["parameters"] == tool.parameters
    assert {"type": "function", "function": FUNCTION} == tool.schema
    assert list(FUNCTION) == list(tool.schema["function"])


def test_a_function_is_wrapped_in_its_type():
    """
    OpenAI's Responses API writes it flat.
    """
    flat = Tool.from_schema({"type": "function", **FUNCTION, "strict": True})

    assert {"type": "function", "function": {**FUNCTION, "strict": True}} == flat.schema


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"name": "f", "paramters": {}}, "'paramters'; did you mean 'parameters'?"),
        ({"name": "f", "inputschema": {}}, "'inputschema'; did you mean 'inputSchema'?"),
        ({"name": "f", "args": {}}, "'args'; choose from description, inputSchema, input_schema, "),
        ({"nmae": "f"}, "'nmae'; did you mean 'name'?"),
        ({"function": {"name": "f", "paramters": {}}}, "'paramters'; did you mean 'parameters'?"),
        ({"function": {"name": "f"}, "parameters": {}}, "'parameters'; choose from function, type"),
        (
            {"name": "f", "parameters": {}, "inputSchema": {}},
            "'inputSchema'; 'parameters' is there already",
        ),
        ({"name": "f", "inputSchema": {}, "strict": True}, "'strict'; choose from _meta, "),
    ],
)
def test_a_key_that_no_api_knows_is_refused_by_name(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^a tool has no key {re.escape(message)}"):
        Tool.from_schema(schema)


def test_keys_that_are_null_say_nothing() -> None:
    padded = {**FUNCTION, "inputSchema": None, "returns": None}

    assert FUNCTION["parameters"] == Tool.from_schema(padded).parameters


@pytest.mark.parametrize(
    "schema",
    ["search", {}, {"name": ""}, {"name": 1}, {"function": []}]
    + [{"name": "f", "parameters": bad} for bad in ({"type": "array"}, "x")],
    ids=repr,
)
def test_what_is_not_a_tool_is_refused(schema: Any) -> None:
    with pytest.raises(ValueError, match=r"tool|parameters"):
        Tool.from_schema(schema)


@pytest.mark.parametrize("arguments", [{"n": 1}, '{"n": 1}'], ids=["object", "text"])
def test_arguments_may_be_an_object_or_json_text(arguments: Any) -> None:
    call = ToolCall.from_chat(
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    )

    assert ToolCall(name="f", arguments={"n": 1}, id="call_1") == call


@pytest.mark.parametrize("arguments", ["", "[1]", "{", 3, None, ["a"]], ids=repr)
def test_arguments_that_are_no_object_are_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match="'f'"):
        ToolCall.from_chat({"function": {"name": "f", "arguments": arguments}})


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}]

    assert "Hello there" == Message.from_chat({"role": "user", "content": parts}).content


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("hi", "an object"),
        ({"role": "robot", "content": "hi"}, "unknown role 'robot'; choose from"),
        ({"role": "user"}, "neither content nor tool_calls"),
        ({"role": "user", "content": 5}, "content must be text"),
        ({"role": "user", "content": [{"type": "image"}]}, "content must be text"),
        ({"role": "user", "content": "", "tool_calls": [FUNCTION]}, "cannot hold tool_calls"),
        ({"role": "assistant", "tool_calls": 5}, "tool_calls is a list"),
        ({"role": "assistant", "tool_calls": "f"}, "tool_calls is a list"),
        ({"role": "assistant", "tool_calls": ["f"]}, "a tool call needs"),
    ],
)
def test_what_is_not_a_message_is_refused_with_the_reason(message: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Message.from_chat(message)


def test_a_conversation_survives_being_read_and_written() -> None:
    chat = [
        {"role": "developer", "content": "Be brief"},
        {"role": "user", "content": "?"},
        {
            "role": "assistant",
            "tool_calls": [
                {"type": "function", "function": {"name": "f", "arguments": {"n": 1}}, "id": "1"}
            ],
        },
        {"role": "tool", "content": "42", "name": "f", "tool_call_id": "1"},
    ]

    assert chat == to_chat([Message.from_chat(message) for message in chat])
