"""
The quick answer of `violations` is the validator's.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.constraints.keywords import SchemaValidator
from harness.messages import Tool
from harness.scoring.tool_schema import violations

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats()
    | st.sampled_from(["a", "b", "ab", ""])
)
PROPERTIES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer", "description": "d"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": ["string", "null"]},
        {"type": "null"},
        {"type": "string", "maxLength": 1},
        {"enum": ["a", 1]},
        {"enum": ["a", "b"]},
        {"type": "string", "enum": ["a", 1]},
        {"type": "integer", "enum": [1, 2]},
        {"type": "integer", "minimum": 1},
        {"type": "number", "minimum": -1, "maximum": 1.5},
        {"type": "string", "maximum": 0},
        {"type": "array", "items": {"type": "string"}},
        {},
        True,
        False,
    ]
)
NAMES = st.sampled_from("abc")


def tool(**parameters: Any) -> Tool:
    return Tool.from_schema({"name": "f", "parameters": {"type": "object", **parameters}})


@settings(max_examples=500, deadline=None)
@given(
    parameters=st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(NAMES, PROPERTIES),
            "required": st.lists(NAMES, unique=True),
            "additionalProperties": st.booleans() | PROPERTIES,
            "minProperties": st.just(1),
            "description": st.just("d"),
        },
    ),
    arguments=st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=1)),
)
def test_a_call_is_judged_as_the_validator_judges_it(
    parameters: dict[str, Any], arguments: dict[str, Any]
) -> None:
    declared = tool(**parameters)
    wanted = SchemaValidator(declared.parameters).iter_errors(arguments)

    assert sorted(error.message for error in wanted) == sorted(
        error.message for error in violations(declared, arguments)
    )


def test_a_plain_call_needs_no_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tool(properties={"q": {"type": "string"}}, required=["q"])
    assert [] == violations(declared, {"q": "x"})

    monkeypatch.setattr(SchemaValidator, "iter_errors", None)

    assert [] == violations(declared, {"q": "y"})


def test_a_reference_stays_inside_the_schema() -> None:
    declared = tool(properties={"n": {"$ref": "#/$defs/n"}}, **{"$defs": {"n": {"maximum": 3}}})

    assert ["4 is greater than the maximum of 3"] == [
        error.message for error in violations(declared, {"n": 4})
    ]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 1},
        {"type": "string", "enum": ["a"]},
        {"const": "a"},
        {"$ref": "#/$defs/d"},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"allOf": [{"type": "string"}]},
        {"oneOf": [{"type": "string"}]},
        {"not": {"type": "null"}},
        {"if": True, "then": {"type": "string"}},
    ],
    ids=str,
)
def test_null_is_valid_where_nullable_is_true_and_nowhere_else(schema: dict[str, Any]):
    def found(**more: Any) -> list[Any]:
        properties, defs = {"a": {**schema, **more}}, {"$defs": {"d": {"type": "string"}}}
        return violations(tool(properties=properties, **defs), {"a": None})

    assert [] == found(nullable=True)
    assert found()
    assert found(nullable=False)


def test_nullable_takes_nothing_but_null():
    assert violations(tool(properties={"a": {"type": "integer", "nullable": True}}), {"a": "null"})
