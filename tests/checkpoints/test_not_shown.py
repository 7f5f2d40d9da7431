"""
What templates in the manner of real families leave out of a tool's declaration.
"""

from typing import Any

import pytest

from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.not_shown import not_shown
from harness.checkpoints.reference import parse_reference
from harness.messages import Tool

TOOL = Tool.from_schema(
    {
        "name": "search",
        "description": "Search it.",
        "parameters": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to look for."},
                "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "minimum": 1},
                "size": {"type": "integer", "enum": [10, 20]},
                "filter": {
                    "type": "object",
                    "properties": {"after": {"type": "string", "description": "Since."}},
                },
                "sort": {"$ref": "#/$defs/Sort"},
            },
            "required": ["query"],
            "$defs": {"Sort": {"type": "string", "enum": ["old", "new"]}},
        },
    }
)

PARTLY = """
{%- for tool in tools -%}
{{- tool.function.name + ': ' + tool.function.description -}}
{%- for name, schema in tool.function.parameters.properties.items() -%}
{{- ' ' + name + '=' + (schema.type or '') + ' ' + (schema.description or '') -}}
{%- for value in schema.enum or [] if value is string -%}{{- value -}}{%- endfor -%}
{%- if schema.properties -%}
{%- for inner, one in schema.properties.items() -%}{{- inner + '=' + one.type -}}{%- endfor -%}
{%- endif -%}
{%- endfor -%}
{%- endfor -%}
{%- for message in messages -%}{{- message.content -}}{%- endfor -%}
"""
"""Prints types and descriptions, and neither anyOf, $defs, bounds, enums of numbers, nested
descriptions nor what is required."""


@pytest.fixture
def tokenizer(tiny_model) -> Any:
    return load_tokenizer(locate(parse_reference(str(tiny_model))))


def test_a_template_that_prints_the_schema_as_json_shows_all_of_it(tokenizer: Any):
    assert () == not_shown(tokenizer, [TOOL])


def test_each_part_that_a_template_drops_is_named_with_its_place(tokenizer: Any):
    tokenizer.chat_template = PARTLY

    (line,) = not_shown(tokenizer, [TOOL])

    assert (
        "search: limit (anyOf, type, minimum), size (enum), filter.after (description), "
        "sort ($ref), query (required), Sort (type, enum)"
    ) == line


def test_a_name_that_is_also_in_a_description_hides_nothing(tokenizer: Any):
    """
    The text holds the word "required" and each value of the enum, and shows neither.
    """
    tokenizer.chat_template = PARTLY
    tool = Tool.from_schema(
        {
            "name": "f",
            "description": "10 and 20 are allowed; n is required.",
            "parameters": {
                "type": "object",
                "properties": {"n": {"type": "integer", "enum": [10, 20]}},
                "required": ["n"],
            },
        }
    )

    assert ("f: n (enum, required)",) == not_shown(tokenizer, [tool])


def test_a_template_that_shows_no_tools_leaves_out_each_whole(tokenizer: Any):
    tokenizer.chat_template = "{%- for message in messages -%}{{- message.content -}}{%- endfor -%}"

    assert ("search: the whole tool",) == not_shown(tokenizer, [TOOL])


def test_a_template_that_needs_a_part_shows_it(tokenizer: Any):
    tokenizer.chat_template = PARTLY.replace(
        "(schema.type or '')",
        "(schema.type if schema.type is defined else raise_exception('a type is needed'))",
    )
    tool = Tool.from_schema(
        {
            "name": "f",
            "description": "Do.",
            "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
        }
    )

    assert () == not_shown(tokenizer, [tool])
