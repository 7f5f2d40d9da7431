"""
JSON Schema, draft 2020-12, as the tools of a suite declare their arguments by it.

It is jsonschema's, with four differences. Patterns are those of ECMA-262, as the draft wants
(`harness.constraints.patterns`). 19.99 is a multiple of 0.01, and very large integers are compared
as well. OpenAPI's ``nullable: true`` makes null valid, as `harness.dialects.readers.untyped` reads
it. And nothing is fetched from an address.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from harness.constraints.keywords import exact, finite, json_type, wrong
from harness.constraints.patterns import compile_pattern, matches
from harness.constraints.references import subschemas

if TYPE_CHECKING:
    from jsonschema.exceptions import SchemaError

Check = Callable[[Any, Any, Any, Any], Iterator[Any] | None]
"""A keyword in the form jsonschema calls it: (validator, keyword's value, instance, schema)."""


@cache
def _keywords() -> Mapping[str, Check]:
    from jsonschema import Draft202012Validator

    return Draft202012Validator.VALIDATORS


def _multiple_of(_: Any, factor: Any, instance: Any, schema: Any) -> Iterator[Any]:
    whole = json_type(instance) != "number" or (
        finite(instance) and exact(instance) % exact(factor) == 0
    )
    if not whole:
        yield wrong(f"{instance!r} is not a multiple of {factor!r}")


def _pattern(_: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not matches(pattern, instance):
        yield wrong(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[Any]:
    if isinstance(instance, Mapping):
        for pattern, inner in patterns.items():
            for name, value in instance.items():
                if matches(pattern, name):
                    yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[Any]:
    patterns = schema.get("patternProperties", {})
    if patterns and isinstance(instance, Mapping):
        instance = {
            name: value
            for name, value in instance.items()
            if not any(matches(pattern, name) for pattern in patterns)
        }
        schema = {"properties": schema.get("properties", {})}
    yield from _keywords()["additionalProperties"](validator, allowed, instance, schema) or ()


def _or_null(check: Check) -> Check:
    def checked(
        validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]
    ) -> Iterator[Any]:
        if instance is not None or schema.get("nullable") is not True:
            yield from check(validator, value, instance, schema) or ()

    return checked


_REFUSING_NULL = ("type", "enum", "const", "allOf", "anyOf", "oneOf", "not", "$ref", "if")
"""The keywords that can refuse null; all others look at values of a type of their own."""


@cache
def validator_class() -> Any:
    """
    Return the class of the validators that `schema_validator` makes.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    own = {
        "multipleOf": _multiple_of,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        **{name: _or_null(_keywords()[name]) for name in _REFUSING_NULL},
    }
    return extend(Draft202012Validator, own)  # type: ignore[no-untyped-call]


def schema_validator(schema: Any) -> Any:
    """
    Return a validator of values by *schema*, which `check_schema` has found sound.
    """
    from referencing import Registry

    # The empty registry keeps a "$ref" from being fetched.
    return validator_class()(schema, registry=Registry())


@cache
def format_checker() -> Any:
    """
    Return jsonschema's, with the regular expressions of ECMA-262.
    """
    from jsonschema import Draft202012Validator, FormatChecker

    checker = FormatChecker(formats=())
    checker.checkers = {
        **Draft202012Validator.FORMAT_CHECKER.checkers,
        "regex": (
            lambda text: not isinstance(text, str) or bool(compile_pattern(text)),
            ValueError,
        ),
    }
    return checker


def check_schema(schema: Any) -> None:
    """
    Refuse what is not a JSON Schema.

    Raises:
        SchemaError: saying what is wrong, and where.
    """
    if (error := schema_error(schema)) is not None:
        raise error


def schema_error(schema: Any) -> "SchemaError | None":
    """
    Return what makes *schema* no JSON Schema; None if it is one, for which jsonschema, slow to
    import, is not needed.
    """
    if not _surely_sound(schema):
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

        try:
            Draft202012Validator.check_schema(schema, format_checker=format_checker())
        except SchemaError as exc:
            return exc
    parts = list(_parts(schema))
    if any("unevaluatedProperties" in part for part in parts):
        for pattern in (name for part in parts for name in part.get("patternProperties", {})):
            try:
                re.compile(pattern)  # jsonschema itself looks for properties that were evaluated
            except re.error as exc:
                from jsonschema.exceptions import SchemaError

                return SchemaError(
                    f"with unevaluatedProperties the pattern {pattern!r} cannot be read: {exc}"
                )
    return None


def _surely_sound(schema: Any) -> bool:
    """
    Return whether jsonschema would surely find *schema* sound. Patterns are left to it.
    """
    try:
        return bool(_quick().is_valid(schema)) and not any(
            name in part for part in _parts(schema) for name in ("pattern", "patternProperties")
        )
    except ValueError:
        return False  # Rust has no text with half a surrogate pair


@cache
def _quick() -> Any:
    import jsonschema_rs

    # Not its own function for schemas, which follows "$schema" to wherever it leads.
    meta = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
    return jsonschema_rs.Draft202012Validator(meta, offline=True)


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, Mapping):
        yield schema
        for inner in subschemas(schema):
            yield from _parts(inner)
