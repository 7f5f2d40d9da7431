"""
Every keyword with what meets it, what does not, and what is of the wrong type.
"""

import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.constraints.constraint import (
    KEYWORDS,
    Constraint,
    absent,
    close_to,
    compile_constraint,
    contains_all,
    contains_any,
    equals_ignoring_case,
    optional,
    same_moment_as,
)
from harness.constraints.keywords import json_equal
from harness.constraints.schema import validator_class

OK, TYPE, VALUE = "ok", "wrong_type", "wrong_value"

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


def verdict(spec: Any, value: Any) -> str:
    """
    Return the code of the first fault, or ``ok``.
    """
    faults = compile_constraint(spec).check(value)
    return faults[0].code if faults else OK


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        # Bare values are const.
        ("a", "a", OK),
        ("a", "A", VALUE),
        ("1", 1, TYPE),
        (1, 1.0, OK),
        (1, 2, VALUE),
        (1, True, TYPE),
        (True, True, OK),
        (True, False, VALUE),
        (True, 1, TYPE),
        (True, "true", TYPE),
        (None, None, OK),
        (None, "null", TYPE),
        ([1, "a"], [1, "a"], OK),
        ([1, "a"], ["a", 1], VALUE),
        ([1], 1, TYPE),
        ({"const": {"a": [1]}}, {"a": [1.0]}, OK),
        ({"const": {"a": 1}}, {"a": True}, VALUE),
        ({"const": {"a": 1}}, "a", TYPE),
        # JSON Schema.
        ({"type": "string"}, "x", OK),
        ({"type": "string"}, 5, TYPE),
        ({"type": "integer"}, 2.0, OK),
        ({"type": "integer"}, True, TYPE),
        ({"enum": ["a", "b"]}, "b", OK),
        ({"enum": ["a", "b"]}, "c", VALUE),
        ({"enum": ["a", "b"]}, 1, TYPE),
        ({"enum": ["a", None]}, None, OK),
        ({"enum": [1]}, True, TYPE),
        ({"minimum": 3}, 3, OK),
        ({"minimum": 3}, 2.9, VALUE),
        ({"pattern": "^[A-Z]+$"}, "ABC", OK),
        ({"pattern": "^[A-Z]+$"}, "abc", VALUE),
        ({"multipleOf": 0.01}, 19.99, OK),
        ({"multipleOf": 0.01}, 19.999, VALUE),
        ({"multipleOf": 0.5}, 10**400, OK),
        ({"anyOf": [{"type": "string"}, {"type": "number"}]}, None, TYPE),
        ({"anyOf": [{"const": "a"}, {"const": 1}]}, "b", VALUE),
        ({"anyOf": [{"const": "a"}, {"const": 1}]}, None, TYPE),
        ({"not": {"const": "a"}}, "b", OK),
        ({"not": {"const": "a"}}, "a", VALUE),
        ({"format": "date"}, "2026-03-04", OK),
        ({"format": "date"}, "soon", VALUE),
        ({"format": "date"}, "2026-02-30", VALUE),
        ({"format": "date"}, "20260304", VALUE),
        ({"format": "date"}, "2026-W10-3", VALUE),
        ({"format": "date"}, "2026-03-04T00:00:00Z", VALUE),
        ({"format": "date"}, 20260304, TYPE),
        ({"format": "date"}, None, TYPE),
        ({"format": "date"}, ["2026-03-04"], TYPE),
        ({"type": ["string", "null"], "format": "date"}, None, OK),
        ({"type": ["string", "null"], "format": "date"}, "soon", VALUE),
        ({"anyOf": [{"type": "null"}, {"format": "date"}]}, None, OK),
        ({"items": {"format": "date"}}, ["2026-03-04", "soon"], VALUE),
        ({"format": "date-time"}, "2026-03-04T15:00:00Z", OK),
        ({"format": "date-time"}, "2026-03-04t15:00:00.25+01:00", OK),
        ({"format": "date-time"}, "2026-12-31T23:59:60Z", OK),
        ({"format": "date-time"}, "2026-03-04T15:00:00", VALUE),
        ({"format": "date-time"}, "2026-03-04T25:00:00Z", VALUE),
        ({"format": "date-time"}, "2026-03-04", VALUE),
        ({"format": "time"}, "15:00:00Z", OK),
        ({"format": "time"}, "15:00:00+01:60", VALUE),
        ({"format": "time"}, "15:00", VALUE),
        ({"format": "email"}, "ann@example.org", OK),
        ({"format": "email"}, "ann@", VALUE),
        ({"format": "email"}, "ann@example..org", VALUE),
        ({"format": "email"}, "to ann@example.org", VALUE),
        ({"format": "uuid"}, "123e4567-e89b-12d3-a456-426614174000", OK),
        ({"format": "uuid"}, "123e4567e89b12d3a456426614174000", VALUE),
        ({"format": "uri"}, "https://example.org/a?b=c#d", OK),
        ({"format": "uri"}, "example.org/a", VALUE),
        ({"format": "uri"}, "https://example.org/a b", VALUE),
        ({"format": "ipv4"}, "10.0.0.1", OK),
        ({"format": "ipv4"}, "10.0.0.256", VALUE),
        ({"format": "ipv6"}, "::1", OK),
        ({"format": "ipv6"}, "::1%eth0", VALUE),
        ({"format": "regex"}, "a+", OK),
        ({"format": "regex"}, "a(", VALUE),
        ({"$defs": {"n": {"minimum": 1}}, "$ref": "#/$defs/n"}, 0, VALUE),
        ({"items": {"contains_any": ["a"]}}, ["xA"], OK),
        ({"items": {"contains_any": ["a"]}}, ["x"], VALUE),
        ({"items": {"contains_any": ["a"]}}, [1], TYPE),
        ({}, [1], OK),
        # Extra keywords.
        ({"contains_any": ["leave", "vacation"]}, "My VACATION days", OK),
        ({"contains_any": ["leave", "vacation"]}, "holidays", VALUE),
        ({"contains_any": ["leave"]}, ["leave"], TYPE),
        ({"contains_any": ["strasse"]}, "Hauptstraße", OK),
        ({"contains_any": ["fi"]}, "ﬁle", OK),
        ({"contains_all": ["new", "york"]}, "York, New", OK),
        ({"contains_all": ["new", "york"]}, "New Jersey", VALUE),
        ({"contains_all": ["1"]}, 1, TYPE),
        ({"equals_ignoring_case": "Paris"}, "PARIS", OK),
        ({"equals_ignoring_case": "Paris"}, "Paris ", VALUE),
        ({"equals_ignoring_case": "1"}, 1, TYPE),
        ({"close_to": 20, "tolerance": 0.5}, 20.5, OK),
        ({"close_to": 20, "tolerance": 0.5}, 20.51, VALUE),
        ({"close_to": 0.3, "tolerance": 0.1}, 0.4, OK),
        ({"close_to": 0.3, "tolerance": 0.1}, 10**400, VALUE),
        ({"close_to": 1, "tolerance": 0}, 1, OK),
        ({"close_to": 1, "tolerance": 1}, True, TYPE),
        ({"close_to": 1, "tolerance": 1}, "1", TYPE),
        ({"close_to": 1, "tolerance": 1}, float("nan"), VALUE),
        ({"same_moment_as": "2026-03-04"}, "March 4th, 2026", OK),
        ({"same_moment_as": "2026-03-04"}, "03/04/2026", VALUE),
        ({"same_moment_as": "2026-03-04"}, "2026-03-05", VALUE),
        ({"same_moment_as": "2026-03-04"}, 20260304, TYPE),
        ({"const": "New York", "normalized_as": "bfcl"}, "new-york", OK),
        ({"const": "New York", "normalized_as": "bfcl"}, "newark", VALUE),
        ({"const": "1", "normalized_as": "bfcl"}, 1, TYPE),
        ({"enum": ["it's", "b"], "normalized_as": "bfcl"}, 'IT"S', OK),
        ({"enum": ["a", "b"], "normalized_as": "bfcl"}, "c", VALUE),
        ({"const": ["A,b"], "normalized_as": "bfcl"}, ["a.B"], OK),
        ({"const": "a:b", "normalized_as": "bfcl"}, "ab", VALUE),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_value_against_a_constraint(spec: Any, value: Any, expected: str) -> None:
    assert expected == verdict(spec, value)


def test_all_keywords_must_hold_and_every_fault_is_told() -> None:
    constraint = compile_constraint(
        {"type": "string", "contains_all": ["a"], "contains_any": ["b"], "maxLength": 2}
    )

    assert [] == constraint.check("ab")
    assert [VALUE, VALUE] == [fault.code for fault in constraint.check("xxx")][:2]
    assert 3 == len(constraint.check("xxx"))


def test_a_wrong_type_is_told_before_a_wrong_value() -> None:
    faults = compile_constraint({"not": {"type": "number"}, "contains_any": ["a"]}).check(3)

    assert [TYPE, VALUE] == [fault.code for fault in faults]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"contains": ["x"]}, "not valid JSON Schema"),
        ({"contain_any": ["x"]}, 'unknown keyword "contain_any"'),
        ({"city": "Paris"}, r'object literal must|write an object literal as \{"const"'),
        ({"items": {"containsany": ["x"]}}, "unknown keyword"),
        ({"anyOf": [{"nope": 1}]}, "unknown keyword"),
        ({"properties": {"a": {"nope": 1}}}, "unknown keyword"),
        ({"items": {"optional": True}}, "cannot be nested"),
        ({"not": {"absent": True}}, "cannot be nested"),
        ({"optional": "yes"}, "true or false"),
        ({"absent": True, "const": 1}, "must stand alone"),
        ({"absent": True, "optional": True}, "must stand alone"),
        ({"contains_any": []}, "at least one"),
        ({"contains_any": "leave"}, "at least one"),
        ({"contains_all": [""]}, "at least one"),
        ({"equals_ignoring_case": 1}, "must be text"),
        ({"close_to": 1}, "belong together"),
        ({"tolerance": 1}, "belong together"),
        ({"close_to": "1", "tolerance": 1}, "must be a number"),
        ({"close_to": float("inf"), "tolerance": 1}, "must be a number"),
        ({"close_to": 1, "tolerance": True}, "must be a number"),
        ({"close_to": 1, "tolerance": -1}, "negative"),
        ({"same_moment_as": "03/04/2026"}, "not an unambiguous date"),
        ({"same_moment_as": 2026}, "must be text"),
        ({"normalized_as": "bfcl"}, "neither is given"),
        ({"const": 1, "normalized_as": "lower"}, "bfcl"),
        ({"type": "text"}, "not valid JSON Schema"),
        ({"pattern": "("}, "not valid JSON Schema"),
        ({"anyOf": {"const": 1}}, "anyOf"),
        ({"format": "duration"}, '"format" must be one of date, date-time, email, ipv4'),
        ({"format": "dat"}, 'uuid; write a "pattern" for others'),
        ({"$ref": "#/$defs/nothing"}, "leads nowhere"),
        ({"items": {"$ref": "https://example.com/schema"}}, "leads nowhere"),
        ({"$ref": "#"}, "back to itself"),
        ({"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"$ref": "#/$defs/a"}}}, "back to itself"),
    ],
    ids=repr,
)
def test_a_misused_or_unknown_keyword_is_an_error(spec: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compile_constraint(spec)


def test_a_reference_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("tried to reach the network")

    monkeypatch.setattr(socket, "getaddrinfo", connect)

    with pytest.raises(ValueError, match="leads nowhere"):
        compile_constraint({"$ref": "http://example.com/schema"})


def test_optional_and_absent_are_kept_apart_from_the_schema() -> None:
    maybe, never = compile_constraint({"optional": True, "const": 1}), compile_constraint(absent())

    assert (True, False, {"const": 1}) == (maybe.optional, maybe.absent, maybe.schema)
    assert (False, True, {}) == (never.optional, never.absent, never.schema)


@pytest.mark.parametrize(
    ("spec", "written"),
    [
        (contains_any("a", "b"), {"contains_any": ["a", "b"]}),
        (contains_all("a", "b"), {"contains_all": ["a", "b"]}),
        (equals_ignoring_case("a"), {"equals_ignoring_case": "a"}),
        (close_to(1, 0.5), {"close_to": 1, "tolerance": 0.5}),
        (same_moment_as("3pm"), {"same_moment_as": "3pm"}),
        (absent(), {"absent": True}),
        (optional("a"), {"const": "a", "optional": True}),
        (optional(contains_any("a")), {"contains_any": ["a"], "optional": True}),
    ],
    ids=repr,
)
def test_each_function_writes_its_keyword(spec: Any, written: Any) -> None:
    assert written == spec
    assert isinstance(compile_constraint(spec), Constraint)


@settings(deadline=None)
@given(JSON)
def test_a_value_meets_itself_as_a_constant(value: Any) -> None:
    assert [] == compile_constraint({"const": value}).check(value)


@settings(deadline=None)
@given(JSON, JSON)
def test_constants_compare_as_json_schema_says(one: Any, two: Any) -> None:
    assert Draft202012Validator({"const": one}).is_valid(two) == json_equal(one, two)


@settings(deadline=None)
@given(JSON, JSON)
def test_a_constant_faults_exactly_what_is_not_equal(one: Any, two: Any) -> None:
    assert json_equal(one, two) == (verdict({"const": one}, two) == OK)


def test_no_keyword_of_json_schema_is_taken_and_then_ignored() -> None:
    annotations = {"title", "description", "default", "examples", "deprecated", "readOnly"} | {
        "writeOnly",
        "contentEncoding",
        "contentMediaType",
        "$comment",
        "$defs",
    }
    # `then` and `else` are read by `if`, minContains and maxContains by `contains`, and the last
    # two by close_to, const and enum.
    with_another = {"then", "else", "minContains", "maxContains", "tolerance", "normalized_as"}

    checked = set(compile_constraint("x").validator.VALIDATORS)
    assert set() == KEYWORDS - annotations - with_another - checked


def test_tool_schemas_take_decimals_as_written() -> None:
    validator = validator_class()({"multipleOf": 0.1})

    assert [True, False, True] == [validator.is_valid(value) for value in (0.3, 0.35, "0.35")]


@pytest.mark.parametrize(
    "spec",
    [
        "a",
        {"contains_any": ["a"]},
        {"close_to": 1, "tolerance": 0.5},
        {"enum": ["a", "B"], "normalized_as": "bfcl"},
        {"contains_all": ["a"], "equals_ignoring_case": "A"},
        {"same_moment_as": "12:30"},
        {"const": "a", "type": "string"},
    ],
)
@given(value=st.sampled_from(["a", "A", "b", "12:30", "half past", 1, 1.4, 2, None, ["a"]]) | JSON)
def test_what_is_found_met_quickly_meets_the_schema(spec: Any, value: Any) -> None:
    constraint = compile_constraint(spec)

    assert (OK == verdict(spec, value)) == (not list(constraint.validator.iter_errors(value)))
