"""
The keywords of constraints, each as a check, and how JSON values are compared by them.

What each keyword means is in `harness.constraints.constraint`.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from harness.constraints.datetimes import read_moment
from harness.constraints.text import fold

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


def json_type(value: Any) -> str:
    """
    Return the JSON type of *value*; integers and floats are both numbers.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def json_equal(one: Any, two: Any) -> bool:
    """
    Equality of JSON values: true is not 1, but 1 is 1.0 (draft 2020-12, section 4.2.2).
    """
    kind = json_type(one)
    if kind != json_type(two):
        return False
    if kind == "array":
        return len(one) == len(two) and all(map(json_equal, one, two))
    if kind == "object":
        return one.keys() == two.keys() and all(json_equal(one[key], two[key]) for key in one)
    return bool(one == two)


_BFCL_DROPPED = re.compile(r"[ ,./\-_*^]")


def _bfcl(value: Any) -> Any:
    if isinstance(value, str):
        return _BFCL_DROPPED.sub("", value).lower().replace("'", '"')
    if isinstance(value, Mapping):
        return {key: _bfcl(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_bfcl(inner) for inner in value]
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def wrong(message: str) -> "ValidationError":
    """
    Return what jsonschema takes for a keyword that does not hold.
    """
    # Imported where something is wrong or a validator is needed: commands on stored runs need none.
    from jsonschema.exceptions import ValidationError

    return ValidationError(message)


# Keywords, in the form jsonschema calls them: (validator, keyword's value, instance, schema).


def _const(_: Any, value: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    if not _equal(value, instance, schema):
        yield wrong(f"{_short(instance)} is not {_short(value)}")


def _enum(_: Any, values: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    if not any(_equal(value, instance, schema) for value in values):
        yield wrong(f"{_short(instance)} is not one of {_short(values)}")


def _equal(value: Any, instance: Any, schema: Mapping[str, Any]) -> bool:
    if schema.get("normalized_as") == "bfcl":
        return json_equal(_bfcl(value), _bfcl(instance))
    return json_equal(value, instance)


def _contains_any(_: Any, parts: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(instance, str):
        yield wrong(f"{_short(instance)} is not text")
    elif not any(fold(part) in fold(instance) for part in parts):
        yield wrong(f"{_short(instance)} contains none of {_short(parts)}")


def _contains_all(_: Any, parts: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(instance, str):
        yield wrong(f"{_short(instance)} is not text")
    elif missing := [part for part in parts if fold(part) not in fold(instance)]:
        yield wrong(f"{_short(instance)} does not contain {_short(missing)}")


def _equals_ignoring_case(_: Any, text: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(instance, str):
        yield wrong(f"{_short(instance)} is not text")
    elif fold(text) != fold(instance):
        yield wrong(f"{_short(instance)} is not {_short(text)} (letter case ignored)")


def _close_to(_: Any, target: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    if json_type(instance) != "number":
        yield wrong(f"{_short(instance)} is not a number")
    elif not finite(instance) or abs(exact(instance) - exact(target)) > exact(schema["tolerance"]):
        yield wrong(f"{_short(instance)} is not within {schema['tolerance']} of {_short(target)}")


def _same_moment_as(_: Any, text: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(instance, str):
        yield wrong(f"{_short(instance)} is not text")
        return
    expected, found = read_moment(text), read_moment(instance)
    if found is None:
        yield wrong(f"{_short(instance)} is not an unambiguous date or time")
    elif expected != found:
        yield wrong(f"{_short(instance)} is not the moment {_short(text)}")


def finite(number: float) -> bool:
    """
    Return whether *number* is neither NaN nor infinite; integers may be too large for a float.
    """
    return isinstance(number, int) or math.isfinite(number)


def exact(number: float) -> Fraction:
    """
    The number as written: 0.1 is a tenth. Integers may be too large for a float.
    """
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


CHECKS: Mapping[str, Callable[[Any, Any, Any, Any], Iterator[Any]]] = {
    "const": _const,
    "enum": _enum,
    "contains_any": _contains_any,
    "contains_all": _contains_all,
    "equals_ignoring_case": _equals_ignoring_case,
    "close_to": _close_to,
    "same_moment_as": _same_moment_as,
}
"""Our keywords: each check yields an error where its keyword does not contain."""
