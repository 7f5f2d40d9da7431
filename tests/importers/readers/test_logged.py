"""
What gateways and tracers write of one exchange, read to the same request and answer.
"""

import json
from typing import Any

import pytest

from harness.importers.readers.logged import exchange, span_exchange, spans_of
from harness.importers.readers.rows import Row

from ..examples import TOOL

ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Find pears."},
]
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "search", "arguments": '{"query": "pears"}'},
}
SAID = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESPONSE = {"choices": [{"finish_reason": "tool_calls", "message": SAID}]}


def row(value: dict[str, Any]) -> Row:
    return Row(value=value, file="log.jsonl", line=4)


@pytest.mark.parametrize(
    "value",
    [
        {"request": {"messages": ASKED, "tools": [TOOL]}, "response": RESPONSE},
        {"messages": ASKED, "tools": [TOOL], **RESPONSE},
        {"messages": ASKED, "tools": [TOOL], "message": SAID},
        {
            "request": json.dumps({"messages": ASKED, "tools": [TOOL]}),
            "response": json.dumps(RESPONSE),
        },
        {"request": {"body": {"messages": ASKED, "tools": [TOOL]}}, "response": {"body": RESPONSE}},
        {"request_body": {"messages": ASKED, "tools": [TOOL]}, "response_body": RESPONSE},
        {"input": {"messages": ASKED, "tools": [TOOL]}, "output": SAID},
        {"messages": ASKED, "model_parameters": {"tools": [TOOL]}, "response": RESPONSE},
    ],
)
def test_a_line_of_a_gateway_is_read_however_it_nests(value: dict[str, Any]):
    found = exchange(row(value))

    assert (ASKED, [TOOL], SAID) == (found.messages, found.tools, found.answer)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"request": {"input": "Find."}, "response": RESPONSE}, 'no "messages"'),
        ({"messages": ASKED}, "no answer of a chat API"),
        ({"messages": ASKED, "response": {"error": {"message": "busy"}}}, "the request failed"),
        (
            {
                "messages": ASKED,
                "choices": [
                    {"finish_reason": "length", "message": {"role": "assistant", "content": "Pe"}}
                ],
            },
            "the answer was cut off",
        ),
        ({"messages": ASKED, "choices": [{"delta": {}}]}, "one piece of a stream"),
    ],
)
def test_what_holds_no_whole_exchange_says_why(value: dict[str, Any], reason: str):
    with pytest.raises(ValueError, match=reason):
        exchange(row(value))


PARTS = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
    "gen_ai.input.messages": [
        {"role": "user", "parts": [{"type": "text", "content": "Find pears."}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "hm"},
                {
                    "type": "tool_call",
                    "id": "c1",
                    "name": "search",
                    "arguments": {"query": "pears"},
                },
            ],
        },
        {
            "role": "tool",
            "parts": [
                {"type": "tool_call_response", "id": "c1", "response": {"found": 2}},
                {"type": "tool_call_response", "id": "c2", "response": "none"},
            ],
        },
    ],
    "gen_ai.output.messages": [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "Two."}],
            "finish_reason": "stop",
        }
    ],
    "gen_ai.tool.definitions": [TOOL],
}


def otlp(value: Any) -> dict[str, Any]:
    """
    A value as OTLP writes it in JSON.
    """
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, dict):
        pairs = [{"key": key, "value": otlp(inner)} for key, inner in value.items()]
        return {"kvlistValue": {"values": pairs}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [otlp(inner) for inner in value]}}
    return {"intValue": value}


TEXT = {key: value if isinstance(value, str) else json.dumps(value) for key, value in PARTS.items()}
LISTED = [{"key": key, "value": otlp(value)} for key, value in PARTS.items()]


@pytest.mark.parametrize(
    "value",
    [
        {"name": "chat shipped", "attributes": PARTS},
        {"name": "chat shipped", "attributes": TEXT},
        {"name": "chat shipped", "attributes": LISTED},
        {
            "name": "chat shipped",
            "attributes": {"gen_ai.operation.name": "chat"},
            "events": [{"name": "gen_ai.client.inference.operation.details", "attributes": TEXT}],
        },
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "x", "attributes": LISTED}]}]}]},
    ],
    ids=["structured", "text", "OTLP", "event", "export"],
)
def test_a_span_is_read_however_its_attributes_are_written(value: dict[str, Any]):
    spans = spans_of(row(value))

    assert spans is not None
    (span,) = spans
    found = span_exchange(span)
    assert 4 == found.row.line
    assert [
        ("system", "Be brief."),
        ("user", "Find pears."),
        ("assistant", ""),
        ("tool", '{"found":2}'),
        ("tool", "none"),
    ] == [(each["role"], each["content"]) for each in found.messages]
    (call,) = found.messages[2]["tool_calls"]
    assert ("search", {"query": "pears"}) == (
        call["function"]["name"],
        call["function"]["arguments"],
    )
    assert ([TOOL], {"role": "assistant", "content": "Two."}) == (found.tools, found.answer)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gen_ai.operation.name": "execute_tool"}, "the operation 'execute_tool', which is no"),
        ({"gen_ai.input.messages": None}, "contents were not recorded"),
        ({"gen_ai.output.messages": []}, "a span with 0 answers"),
        ({"error.type": "timeout"}, "the request failed"),
        (
            {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "blob"}]}]},
            "a part of type 'blob', which is not text",
        ),
    ],
)
def test_a_span_that_holds_no_whole_exchange_says_why(change: dict[str, Any], reason: str):
    attributes = {key: value for key, value in {**PARTS, **change}.items() if value is not None}

    with pytest.raises(ValueError, match=reason):
        span_exchange(row({"attributes": attributes}))


def test_a_line_of_a_gateway_is_no_span():
    assert spans_of(row({"messages": ASKED, **RESPONSE})) is None
