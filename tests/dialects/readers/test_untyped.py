"""
Bare text typed by the tool's schema: the value is of a type that the schema, read whole, allows.
"""

import json
from typing import Any

import pytest

from harness.dialects.base import Dialect
from harness.dialects.readers.untyped import typed
from harness.dialects.registry import dialect
from harness.dialects.response_template import ResponseTemplate
from harness.messages import Tool, ToolCall
from harness.scoring.tool_schema import violations

DEFS = {
    "Limit": {"type": "integer", "minimum": 1},
    "Name": {"type": "string"},
    "Filter": {"type": "object", "properties": {"a": {"$ref": "#/$defs/Limit"}}},
    "Maybe": {"anyOf": [{"$ref": "#/$defs/Limit"}, {"type": "null"}]},
    "Again": {"$ref": "#/$defs/Maybe"},
    "a/b~c d": {"type": "boolean"},
    "Mark": {"$anchor": "mark", "type": "number"},
    "Loop": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/Loop"}]},
}

CASES: list[tuple[Any, str, Any]] = [
    ({"$ref": "#/$defs/Limit"}, "10", 10),
    ({"$ref": "#/$defs/Limit", "description": "At most."}, "10", 10),
    ({"$ref": "#/$defs/Again"}, "10", 10),
    ({"$ref": "#/$defs/Again"}, "null", None),
    ({"$ref": "#/$defs/Name"}, "10", "10"),
    ({"$ref": "#/$defs/Filter"}, '{"a": 1}', {"a": 1}),
    ({"anyOf": [{"$ref": "#/$defs/Filter"}, {"type": "null"}]}, '{"a": 1}', {"a": 1}),
    ({"anyOf": [{"$ref": "#/$defs/Filter"}, {"type": "null"}]}, "null", None),
    ({"oneOf": [{"$ref": "#/$defs/Name"}, {"type": "null"}]}, "null", None),
    ({"oneOf": [{"$ref": "#/$defs/Name"}, {"type": "null"}]}, "7", "7"),
    ({"$ref": "#/$defs/a~1b~0c%20d"}, "true", True),
    ({"$ref": "#mark"}, "1.5", 1.5),
    ({"$ref": "#/properties/other"}, "[1]", [1]),
    ({"$ref": "#/$defs/Loop"}, "5", "5"),
    ({"$ref": "#/$defs/Nothing"}, "5", "5"),
    ({"$ref": "https://example.com/other.json"}, "5", "5"),
    ({"allOf": [{"$ref": "#/$defs/Limit"}, {"maximum": 5}]}, "3", 3),
    ({"allOf": [{"type": "number"}, {"type": ["integer", "string"]}]}, "3", 3),
    ({"allOf": [{"type": ["string", "null"]}, {"minLength": 2}]}, "null", None),
    ({"type": ["string", "null"]}, "null", None),
    ({"type": ["string", "null"]}, " null\n", None),
    ({"type": ["string", "null"]}, "None", "None"),
    ({"type": ["integer", "null"]}, "None", None),
    ({"type": "string"}, "null", "null"),
    ({"type": "string", "nullable": True}, "null", None),
    ({"type": "integer", "nullable": True}, "null", None),
    ({"$ref": "#/$defs/Limit", "nullable": True}, "null", None),
    ({"type": "integer", "nullable": False}, "null", "null"),
    ({"enum": ["a", None]}, "null", None),
    ({"enum": ["a", None]}, "a", "a"),
    ({"enum": [1, 2]}, "2", 2),
    ({"const": 1.5}, "1.5", 1.5),
    ({"type": "number"}, "5", 5),
    ({"type": "integer"}, "5.0", 5.0),
    ({"type": "integer"}, "5.5", "5.5"),
    ({"description": "Anything."}, "null", "null"),
    ({"description": "Anything."}, "5", "5"),
    (True, "5", "5"),
]
"""Schema of an argument, the text, and the value."""


def _tool(schema: Any, **more: Any) -> Tool:
    properties = {"value": schema, "other": {"type": "array"}}
    parameters = {"type": "object", "properties": properties, "$defs": DEFS, **more}
    return Tool.from_schema({"name": "find", "parameters": parameters})


def _family_template() -> ResponseTemplate:
    return ResponseTemplate(
        {
            "start_anchor": "<|assistant|>",
            "fields": {
                "content": {"close": "<|end|>"},
                "tool_calls": {
                    "open_pattern": r"<function=(?P<name>\w+)>",
                    "close": "</function>",
                    "repeats": True,
                    "content": "xml-inline",
                    "content_args": {
                        "tag_pattern": r"<parameter=(?P<key>\w+)>(?P<value>.*?)</parameter>"
                    },
                    "transform": {"function": {"name": "{name}", "arguments": "{content}"}},
                },
            },
        }
    )


FAMILIES: list[tuple[Dialect, str]] = [
    *(
        (member, member.render([ToolCall(name="find", arguments={"value": "TEXT"})]))
        for member in map(dialect, ("qwen3-coder", "glm-4.5", "minimax-m2"))
    ),
    (
        dialect("deepseek-v3.2"),
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="find">\n<｜DSML｜parameter name="value">'
        "TEXT</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    ),
    (_family_template(), "<function=find><parameter=value>TEXT</parameter></function>"),
]


@pytest.mark.parametrize(("schema", "text", "value"), CASES, ids=lambda part: json.dumps(part))
def test_a_text_has_a_type_that_the_schema_allows(schema: Any, text: str, value: Any):
    found = typed([_tool(schema)], "find", {"value": text})["value"]

    assert repr(value) == repr(found)


@pytest.mark.parametrize(("schema", "text", "value"), CASES, ids=lambda part: json.dumps(part))
def test_what_the_schema_gave_a_type_fits_the_schema(schema: Any, text: str, value: Any):
    """
    Typing and validating read one schema alike: what is no longer text is valid.
    """
    tool = _tool(schema)

    if not isinstance(value, str):
        assert [] == violations(tool, {"value": value})


@pytest.mark.parametrize(("member", "output"), FAMILIES, ids=lambda part: getattr(part, "name", ""))
@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"$ref": "#/$defs/Limit"}, "10", 10),
        ({"anyOf": [{"$ref": "#/$defs/Filter"}, {"type": "null"}]}, '{"a": 1}', {"a": 1}),
        ({"anyOf": [{"$ref": "#/$defs/Name"}, {"type": "null"}]}, "null", None),
        ({"allOf": [{"$ref": "#/$defs/Limit"}]}, "10", 10),
    ],
    ids=lambda part: json.dumps(part),
)
def test_every_family_of_bare_text_follows_references(
    member: Dialect, output: str, schema: Any, text: str, value: Any
):
    tool = _tool(schema)

    (attempt,) = member.read(output.replace("TEXT", text), [tool]).attempts

    assert repr({"value": value}) == repr(attempt.arguments)
    assert [] == violations(tool, attempt.arguments or {})


@pytest.mark.parametrize(
    "parameters",
    [
        {"$ref": "#/$defs/Arguments", "$defs": {"Arguments": {"properties": {"n": "N"}}}},
        {"allOf": [{"properties": {"n": "N"}}, {"required": ["n"]}]},
        {"anyOf": [{"properties": {"m": {"type": "string"}}}, {"properties": {"n": "N"}}]},
        {"additionalProperties": "N"},
        {"properties": {"n": {"minimum": 1}}, "allOf": [{"properties": {"n": "N"}}]},
    ],
    ids=["$ref", "allOf", "anyOf", "additionalProperties", "twice"],
)
def test_an_argument_is_found_wherever_the_schema_declares_it(parameters: dict[str, Any]):
    text = json.dumps(parameters).replace('"N"', '{"type": "integer"}')
    tool = Tool.from_schema({"name": "find", "parameters": json.loads(text)})

    assert {"n": 5} == typed([tool], "find", {"n": "5"})


def test_a_schema_that_refers_to_itself_says_nothing():
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    tool = Tool.from_schema(
        {"name": "find", "parameters": {**loop, "properties": {"n": {"$ref": "#"}}}}
    )

    assert {"n": "5"} == typed([tool], "find", {"n": "5"})


def test_many_references_to_one_part_take_no_time():
    """
    Each doubles the ways through the schema; each is looked at once.
    """
    defs: dict[str, Any] = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
        for n in range(60)
    }
    tool = _tool({"$ref": "#/$defs/d0"}, **{"$defs": {**defs, "d60": {"type": "integer"}}})

    assert {"value": 5} == typed([tool], "find", {"value": "5"})


def test_an_unknown_tool_has_texts():
    assert {"value": "null"} == typed([_tool({"type": "null"})], "other", {"value": "null"})
