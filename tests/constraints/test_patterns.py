"""
Regular expressions of ECMA-262, in bounded time.
"""

import time
from typing import Any

import pytest
from jsonschema.exceptions import SchemaError

from harness.constraints.constraint import compile_constraint
from harness.constraints.patterns import compile_pattern, matches
from harness.constraints.schema import check_schema, schema_validator
from harness.messages import Tool
from harness.scoring.tool_schema import violations
from harness.suites.parse import parse_suite


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        (r"^\p{L}+$", ["Zoë", "東京"], ["a1", ""]),
        (r"^\P{L}$", ["1"], ["a"]),
        (r"^\p{Script=Greek}+$", ["αβ"], ["ab"]),
        (r"^(?<year>\d{4})-(?<month>\d\d)$", ["2026-03"], ["26-03"]),
        (r"^(?<quote>['\"]).*\k<quote>$", ["'a'", '"a"'], ["'a\""]),
        (r"^(?<a>x)(y)(?<b>z)\k<b>0$", ["xyzz0"], ["xyzx0"]),
        (r"^\u{1F600}\u0041$", ["😀A"], ["A"]),
        (r"^\cA\/\-$", ["\x01/-"], ["a"]),
        (r"^\d$", ["1"], ["٣"]),
        (r"^a$", ["a"], ["a\n"]),
        (r"^[^\s]+$", ["a"], ["\ufeff", "a b"]),
        (r"^.$", ["😀"], ["\n", "\u2028"]),
        (r"(?<=\$)\d+", ["$5"], ["5"]),
        (r"^(?!no)", ["yes"], ["no"]),
        ("b", ["abc"], ["ac"]),
        ("", [""], []),
    ],
)
def test_a_pattern_means_what_ecma_262_says(pattern: str, found: list[str], not_found: list[str]):
    assert [True] * len(found) == [matches(pattern, text) for text in found]
    assert [False] * len(not_found) == [matches(pattern, text) for text in not_found]
    assert [[]] * len(found) == [compile_constraint({"pattern": pattern}).check(t) for t in found]
    assert all(compile_constraint({"pattern": pattern}).check(text) for text in not_found)


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        (r"\Aa\Z", "a", "a\n"),
        (r"(?P<n>a)(?P=n)", "aa", "ab"),
        (r"(?i)^ab$", "AB", "b"),
        (r"a(?#a letter)b", "ab", "a"),
        (r"^(?:a|b)\Z", "b", "c"),
    ],
)
def test_what_python_alone_reads_is_still_read(pattern: str, found: str, not_found: str):
    assert matches(pattern, found)
    assert not matches(pattern, not_found)


@pytest.mark.parametrize("pattern", ["(", "[a", r"\p{Nonsense}", "a{2,1}", r"\k<nobody>", "*a"])
def test_what_is_not_a_regular_expression_is_refused(pattern: str):
    with pytest.raises(ValueError, match="not a regular expression of ECMA-262"):
        compile_pattern(pattern)
    with pytest.raises(ValueError, match="is not a 'regex'"):
        compile_constraint({"pattern": pattern})
    with pytest.raises(SchemaError, match="is not a 'regex'"):
        check_schema({"properties": {"a": {"pattern": pattern}}})


@pytest.mark.parametrize(
    "pattern", [r"^(a+)+$", r"^(a|a)*$", r"(?:(a+)+\1)+c", r"^(?:(?!x)(a+)+)+$", r"^(a*)*\Z"]
)
def test_no_pattern_takes_forever(pattern: str):
    began = time.process_time()

    assert not matches(pattern, "a" * 60 + "!")
    assert time.process_time() - began < 5


def test_half_a_surrogate_pair_is_a_character():
    assert matches("^.$", "\ud83d")


LETTERS = {
    "type": "object",
    "patternProperties": {r"^\p{Ll}+$": {"type": "integer"}},
    "properties": {"A": {}},
}


@pytest.mark.parametrize(
    ("schema", "arguments", "messages"),
    [
        ({**LETTERS, "additionalProperties": False}, {"é": 1, "A": 1}, []),
        ({**LETTERS, "additionalProperties": False}, {"1": 1}, ["('1' was unexpected)"]),
        ({**LETTERS, "additionalProperties": {"type": "null"}}, {"1": None, "é": 1}, []),
        ({**LETTERS, "additionalProperties": {"type": "null"}}, {"1": 1}, ["'null'"]),
        (LETTERS, {"é": "x"}, ["'x' is not of type 'integer'"]),
        (
            {"properties": {"q": {"pattern": r"^\p{L}$"}}},
            {"q": "ab"},
            [r"does not match '^\\p{L}$'"],
        ),
    ],
)
def test_names_of_arguments_are_matched_likewise(
    schema: dict[str, Any], arguments: dict[str, Any], messages: list[str]
):
    found = violations(Tool.from_schema({"name": "f", "parameters": schema}), arguments)

    assert len(messages) == len(found)
    assert all(part in error.message for part, error in zip(messages, found, strict=True))
    assert len(messages) == len(list(schema_validator(schema).iter_errors(arguments)))


def test_a_pattern_beside_unevaluated_properties_must_be_of_both_languages():
    check_schema({"unevaluatedProperties": False, "patternProperties": {"^a": {}}})
    with pytest.raises(SchemaError, match="with unevaluatedProperties"):
        check_schema({"unevaluatedProperties": False, "patternProperties": {r"^\p{L}": {}}})


def test_a_tool_may_declare_patterns_of_ecma_262():
    tool = {
        "name": "f",
        "parameters": {"type": "object", "properties": {"q": {"pattern": r"^(?<first>\p{Lu})"}}},
    }
    expect = {"calls": [{"tool": "f", "arguments": {"q": {"pattern": r"\p{Lu}$"}}}]}
    cases = [{"id": "a", "prompt": "x", "expect": expect}]
    document = {"format": 1, "name": "s", "version": "1.0.0", "tools": [tool], "cases": cases}

    assert parse_suite(document, "s").tools
