"""
Whether the arguments of a call fit the schema its tool declares.

A schema is compiled once a tool. Most calls fit, and most schemas say no more than which arguments
there are, of which type and which are required: that is seen without the schema machinery, which
is asked wherever there is a doubt, and alone says what is wrong.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jsonschema.exceptions import ValidationError
from referencing import Registry

from harness.canonical import canonical_json
from harness.keywords import SchemaValidator
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
class _Compiled:
    """
    The schema of one tool.
    """

    validator: Any
    types: Mapping[str, tuple[type, ...]] | None
    """The arguments that are plainly typed; None where the schema says more than can be plain."""
    required: frozenset[str]

    def plainly_fits(self, arguments: Mapping[str, Any]) -> bool:
        """
        Whether *arguments* surely fit; if not, the validator decides.
        """
        types = self.types
        return (
            types is not None
            and self.required <= arguments.keys()
            and all(type(value) in types.get(name, ()) for name, value in arguments.items())
        )


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
    plain = parameters.keys() <= _KNOWN
    return _Compiled(
        validator=_validator(canonical_json(parameters)),
        types=_plain_types(parameters.get("properties", {})) if plain else None,
        required=frozenset(parameters.get("required", ())),
    )


def _plain_types(properties: Mapping[str, Any]) -> dict[str, tuple[type, ...]]:
    return {
        name: _TYPES[schema["type"]]
        for name, schema in properties.items()
        if isinstance(schema, Mapping)
        and schema.keys() <= {"type", *_NOTES}
        and isinstance(schema.get("type"), str)
        and schema["type"] in _TYPES
    }


@lru_cache(maxsize=1024)
def _validator(schema: str) -> Any:
    # Decoded from its canonical form so that equal schemas share one validator. The empty registry
    # keeps a "$ref" to an address from being fetched.
    return SchemaValidator(json.loads(schema), registry=Registry())
