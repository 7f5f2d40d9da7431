"""
Whether the arguments of a call fit the schema its tool declares.

A schema is compiled once a tool. Most calls fit, and most schemas say no more than which arguments
there are, their type, a list of texts or a bound, and which are required: that is seen without the
schema machinery, which is asked wherever there is a doubt, and alone says what is wrong.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jsonschema.exceptions import ValidationError
from referencing import Registry

from harness.canonical import canonical_json
from harness.constraints.keywords import SchemaValidator
from harness.messages import Tool

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
"""Python's types of JSON's, by exact class; what is not here (1.0 is an integer, too) is left to
the validator."""
_NOTES = {"title", "description", "default", "examples"}
_PLAIN = {"type", "enum", "minimum", "maximum", *_NOTES}
_KNOWN = {"type", "properties", "required", "additionalProperties", *_NOTES}


def violations(tool: Tool, arguments: Mapping[str, Any]) -> list[ValidationError]:
    """
    Say where *arguments* depart from what *tool* declares; empty if they do not.
    """
    compiled = _compiled(_Same(tool))
    if compiled.plainly_fits(arguments):
        return []
    return list(compiled.validator.iter_errors(arguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Argument:
    """
    What a plain schema says of one argument.
    """

    types: tuple[type, ...]
    texts: frozenset[str] | None
    low: float | None
    high: float | None

    def surely_takes(self, value: Any) -> bool:
        """
        Whether *value* is right beyond doubt.
        """
        return (
            type(value) in self.types
            and (self.texts is None or value in self.texts)
            and (self.low is None or self.low <= value)
            and (self.high is None or value <= self.high)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """
    The schema of one tool.
    """

    validator: Any
    plain: Mapping[str, _Argument] | None
    """The arguments with a plain schema; None where the whole says more than can be plain."""
    required: frozenset[str]

    def plainly_fits(self, arguments: Mapping[str, Any]) -> bool:
        """
        Whether *arguments* surely fit; if not, the validator decides.
        """
        if self.plain is None or not self.required <= arguments.keys():
            return False
        for name, value in arguments.items():
            known = self.plain.get(name)
            if known is None or not known.surely_takes(value):
                return False
        return True


class _Same:
    """
    A tool as a key: equal to itself alone, as a schema is nothing that can be hashed.
    """

    __slots__ = ("tool",)

    def __init__(self, tool: Tool) -> None:
        self.tool = tool

    def __hash__(self) -> int:
        return id(self.tool)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.tool is other.tool


@lru_cache(maxsize=4096)
def _compiled(same: _Same) -> _Compiled:
    parameters = same.tool.parameters
    properties = parameters.get("properties", {})
    plain = {name: found for name in properties if (found := _argument(properties[name]))}
    return _Compiled(
        validator=_validator(canonical_json(parameters)),
        plain=plain if parameters.keys() <= _KNOWN else None,
        required=frozenset(parameters.get("required", ())),
    )


def _argument(schema: Any) -> _Argument | None:
    if not isinstance(schema, Mapping) or not schema.keys() <= _PLAIN:
        return None
    kind, texts = schema.get("type", "string" if "enum" in schema else None), schema.get("enum")
    bounded = "minimum" in schema or "maximum" in schema
    if not isinstance(kind, str) or kind not in _TYPES:
        return None
    if texts is not None and (kind != "string" or not all(isinstance(t, str) for t in texts)):
        return None
    if bounded and kind not in ("integer", "number"):
        return None
    return _Argument(
        types=_TYPES[kind],
        texts=None if texts is None else frozenset(texts),
        low=schema.get("minimum"),
        high=schema.get("maximum"),
    )


@lru_cache(maxsize=1024)
def _validator(schema: str) -> Any:
    # Decoded from its canonical form so that equal schemas share one validator. The empty registry
    # keeps a "$ref" to an address from being fetched.
    return SchemaValidator(json.loads(schema), registry=Registry())
