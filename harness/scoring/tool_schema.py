"""
Whether the arguments of a call fit the schema its tool declares.

A schema is compiled once a tool. Most calls fit, which jsonschema-rs sees at once; where it does
not, jsonschema decides and says what is wrong. A property test holds that the first takes nothing
that the second refuses. Of 10,000 stored answers that call 14,800 tools, judging takes 0.61 s of
one core in all, 0.02 of it here; with jsonschema alone it takes 0.98 s, and with checks of plain
types and bounds written by hand, which this replaced, 0.66 s.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.canonical import canonical_json
from harness.constraints.keywords import wrong
from harness.constraints.schema import schema_validator
from harness.messages import Tool

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


def violations(tool: Tool, arguments: Mapping[str, Any]) -> list["ValidationError"]:
    """
    Return where *arguments* depart from what *tool* declares; empty if they do not.
    """
    declared = _declared(_Same(tool))
    if declared.surely_take(arguments):
        return []
    try:
        return list(declared.validator.iter_errors(arguments))
    except RecursionError:
        return [wrong("nested too deeply to be checked")]


def misfit(tool: Tool, arguments: Mapping[str, Any]) -> list[str]:
    """
    Return the same in fixed words that do not change with jsonschema, each once.
    """
    said = []
    for error in violations(tool, arguments):
        wanted: Any = error.validator_value
        given: Any = error.instance
        schema: Any = error.schema
        where = ".".join(map(str, error.absolute_path))
        if error.validator == "required":
            missing = [name for name in wanted if name not in given]
            said += [f"{'.'.join(filter(None, [where, name]))} is missing" for name in missing]
        elif error.validator == "additionalProperties":
            known = schema.get("properties", {})
            extra = [name for name in given if name not in known]
            said += [f"{'.'.join(filter(None, [where, name]))} is not declared" for name in extra]
        elif error.validator == "type":
            kinds = wanted if isinstance(wanted, str) else " or ".join(wanted)
            said.append(f"{where or 'the arguments'} must be of type {kinds}")
        else:
            said.append(f"{where or 'the arguments'} must meet {error.validator}")
    return list(dict.fromkeys(said))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    """
    What a tool declares of its arguments, compiled.
    """

    quick: Any
    """None where a pattern is of Python's own syntax."""
    schema: Any

    @property
    def validator(self) -> Any:
        """
        A validator that says what is wrong, made anew: most calls never need one.
        """
        return schema_validator(self.schema)

    def surely_take(self, arguments: Mapping[str, Any]) -> bool:
        """
        Return whether *arguments* surely fit; if not, the validator decides.
        """
        try:
            return self.quick is not None and self.quick.is_valid(arguments)
        except ValueError:
            return False  # Rust has no text with half a surrogate pair


class _Same:
    """
    A tool as a key: equal only to itself, as a schema cannot be hashed.
    """

    __slots__ = ("tool",)

    def __init__(self, tool: Tool) -> None:
        self.tool = tool

    def __hash__(self) -> int:
        return id(self.tool)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.tool is other.tool


@lru_cache(maxsize=4096)
def _declared(same: _Same) -> _Declared:
    return _compiled(canonical_json(same.tool.parameters))


@lru_cache(maxsize=1024)
def _compiled(text: str) -> _Declared:
    # Decoded from its canonical form so that equal schemas share what is compiled.
    import jsonschema_rs

    schema = json.loads(text)
    try:
        quick = jsonschema_rs.Draft202012Validator(schema, offline=True)
    except ValueError:
        quick = None
    return _Declared(quick=quick, schema=schema)
