"""
JSON Schemas: the compiled validator passes none that jsonschema refuses.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from harness.constraints import schema

VALUES = st.sampled_from(
    [None, True, -1, 0, 2, 2.0, 1.5, 10**30, "", "x", "(", "a b", "\ud800", [], ["x", "x"], {}]
)
NAMES = st.sampled_from(
    """
    type enum const minimum multipleOf minLength maxItems uniqueItems pattern patternProperties
    properties required items prefixItems allOf anyOf not if dependentRequired $ref $defs $schema
    $id $anchor format contains_any unknown description default nullable
    """.split()
)
SCHEMAS = st.recursive(
    VALUES,
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=6,
)


@given(SCHEMAS)
def test_what_the_compiled_validator_passes_jsonschema_passes(given_schema: Any):
    if schema._surely_sound(given_schema):
        Draft202012Validator.check_schema(given_schema, format_checker=schema.format_checker())


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "strin"},
        {"$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMinimum": True},
        {"properties": {"a": {"pattern": "("}}},
        {"minLength": -1},
    ],
    ids=str,
)
def test_a_schema_is_refused_whatever_draft_it_says_it_is_of(wrong: Any):
    with pytest.raises(SchemaError):
        schema.check_schema(wrong)


def test_a_schema_of_an_unknown_address_is_read_and_nothing_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("something was fetched"))

    schema.check_schema({"$schema": "http://host.invalid/x", "type": "string"})
