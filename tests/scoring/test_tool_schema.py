"""
The quick answer of `violations` is the validator's.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema.exceptions import SchemaError

from harness.constraints.schema import check_schema, validator_class
from harness.messages import Tool
from harness.scoring.tool_schema import violations

NUMBERS = st.integers(-3, 3) | st.sampled_from([0.1, 0.3, 1.0, 19.99, 1e300, 10**25, 2**53 + 1])
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | NUMBERS
    | st.sampled_from(["", "a", "ab", "a1", "1", "é", "a\n", "٣", "\ud800", "2026-01-01"])
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "a1"]), inner, max_size=3)
    ),
    max_leaves=6,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
PATTERNS = st.sampled_from(["a", "^a$", r"\d", r"^\p{L}+$", "(?<n>a)", r"^[^\d]*$", r"a\Z"])
SIMPLE = st.none() | st.booleans() | NUMBERS | st.sampled_from(["", "a", "1"])


def keywords(inner: Any) -> Any:
    """Schemas of any keywords, around others."""
    some, few = st.lists(inner, min_size=1, max_size=2), st.integers(0, 2)
    names = st.lists(st.sampled_from("ab"), unique=True)
    words: dict[str, Any] = {
        "type": TYPES | st.lists(TYPES, min_size=1, unique=True),
        "enum": st.lists(SIMPLE | st.lists(SIMPLE, max_size=2), min_size=1, max_size=3),
        "const": SIMPLE,
        "multipleOf": st.sampled_from([1, 3, 0.1, 0.01, 1.5]),
        "pattern": PATTERNS,
        "uniqueItems": st.booleans(),
        "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        "dependentRequired": st.dictionaries(st.sampled_from("ab"), names, max_size=1),
        "dependentSchemas": st.dictionaries(st.sampled_from("ab"), inner, max_size=1),
        "required": names,
        "nullable": st.booleans(),
        "format": st.sampled_from(["email", "date", "uuid", "ipv4"]),
        "$ref": st.sampled_from(["#/$defs/x", "#/$defs/y"]),
    }
    words |= dict.fromkeys("minimum maximum exclusiveMinimum exclusiveMaximum".split(), NUMBERS)
    words |= dict.fromkeys("minLength maxLength minItems maxItems minProperties".split(), few)
    words |= dict.fromkeys("maxProperties minContains maxContains".split(), few)
    words |= dict.fromkeys("prefixItems anyOf allOf oneOf".split(), some)
    words |= dict.fromkeys("items contains additionalProperties propertyNames not".split(), inner)
    words |= dict.fromkeys("if then else unevaluatedProperties unevaluatedItems".split(), inner)
    return st.booleans() | st.fixed_dictionaries({}, optional=words)


SCHEMAS = st.recursive(
    st.booleans() | st.fixed_dictionaries({}, optional={"type": TYPES}), keywords, max_leaves=5
)
DEFINITIONS = {"x": {"type": "string"}, "y": {"properties": {"a": {"$ref": "#/$defs/x"}}}}

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
    wanted = validator_class()(declared.parameters).iter_errors(arguments)

    assert sorted(error.message for error in wanted) == sorted(
        error.message for error in violations(declared, arguments)
    )


@settings(max_examples=500, deadline=None)
@given(schema=SCHEMAS, value=ANYTHING)
def test_what_is_taken_at_once_the_validator_takes_as_well(schema: Any, value: Any) -> None:
    """
    The other way round need not be: where the quick answer is no, the validator is asked.
    """
    parameters = {"properties": {"a": schema}, "$defs": DEFINITIONS}
    try:
        check_schema(parameters)
    except SchemaError:
        assume(False)

    declared = Tool.from_schema({"name": "f", "parameters": parameters})
    wanted = validator_class()(parameters).iter_errors({"a": value})

    def places(errors: Iterable[Any]) -> list[tuple[str, str]]:
        return sorted((error.json_path, str(error.validator)) for error in errors)

    assert places(wanted) == places(violations(declared, {"a": value}))


def test_half_a_surrogate_pair_is_a_text() -> None:
    declared = tool(properties={"q": {"type": "string", "maxLength": 1}})

    assert [] == violations(declared, {"q": "\ud83d"})
    assert violations(declared, {"q": "\ud83d\ud83d"})


def test_a_pattern_of_pythons_own_syntax_is_still_read() -> None:
    declared = tool(properties={"q": {"pattern": r"(?#letters)^[a-z]+\Z"}})

    assert [] == violations(declared, {"q": "ab"})
    assert violations(declared, {"q": "ab\n"})


def test_arguments_nested_too_deeply_are_a_violation() -> None:
    step = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(25)} | {"d25": {"$ref": "#"}}
    properties = {"c": {"$ref": "#/$defs/d0"}, "n": {"type": "null"}}
    declared = tool(properties=properties, **{"$defs": step})
    deep: Any = {"n": 1}
    for _ in range(60):
        deep = {"c": deep}

    [error] = violations(declared, deep)

    assert "nested too deeply to be checked" == error.message


def test_a_plain_call_needs_no_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tool(properties={"q": {"type": "string"}}, required=["q"])
    assert [] == violations(declared, {"q": "x"})

    monkeypatch.setattr(validator_class(), "iter_errors", None)

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
