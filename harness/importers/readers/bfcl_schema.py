"""
The leaderboard's function declarations as OpenAI function schemas.

Its types are Python's: ``dict``, ``float`` and ``tuple`` are ``object``, ``number`` and ``array``
of JSON Schema, and ``any`` restricts nothing. Java and JavaScript types have no counterpart: the
leaderboard converts answers of such questions before it compares them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from harness.constraints.keywords import json_type

_TYPES = {
    "dict": "object",
    "float": "number",
    "tuple": "array",
    **{name: name for name in ("string", "integer", "boolean", "array", "object", "number")},
}
_MAPS = ("properties", "patternProperties", "$defs")
_SCHEMAS = ("items", "additionalProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


def tool_schema(function: Mapping[str, Any], foreign: Callable[[str], None]) -> dict[str, Any]:
    """
    Return a function's OpenAI schema; *foreign* is called with each type without a counterpart.
    """
    declared = dict(function)
    if isinstance(declared.get("parameters"), Mapping):
        declared["parameters"] = json_schema(declared["parameters"], foreign)
    return {"type": "function", "function": declared}


def json_schema(declared: Any, foreign: Callable[[str], None]) -> Any:
    """
    Return a declaration with JSON Schema's types; the rest stays as it is.
    """
    if not isinstance(declared, Mapping):
        return declared
    schema: dict[str, Any] = {}
    for key, value in declared.items():
        if key == "type" and isinstance(value, str):
            if value in _TYPES:
                schema[key] = _TYPES[value]
            elif value != "any":
                foreign(value)
        elif key in _MAPS and isinstance(value, Mapping):
            schema[key] = {name: json_schema(inner, foreign) for name, inner in value.items()}
        elif key in _SCHEMAS:
            schema[key] = json_schema(value, foreign)
        elif key in _LISTS and isinstance(value, list):
            schema[key] = [json_schema(inner, foreign) for inner in value]
        else:
            schema[key] = value
    return schema


def fits(schema: Any, value: Any) -> bool:
    """
    Return whether *value* has the types that *schema* declares.
    """
    if not isinstance(schema, Mapping):
        return True
    if not _has_type(schema.get("type"), value):
        return False
    if isinstance(value, list):
        return all(fits(schema.get("items"), item) for item in value)
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        return all(fits(properties.get(name), inner) for name, inner in value.items())
    return True


def widened(schema: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """
    Return *schema* with the types added that *value* needs to fit.
    """
    wider = dict(schema)
    if not _has_type(schema.get("type"), value):
        kind = json_type(value)
        declared = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        kept = [name for name in declared if (name, kind) != ("integer", "number")]
        wider["type"] = kind if not kept else [*kept, kind]
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for item in value:
            wider["items"] = widened(wider["items"], item)
    if isinstance(value, Mapping) and isinstance(schema.get("properties"), Mapping):
        wider["properties"] = dict(schema["properties"])
        for name, inner in value.items():
            if isinstance(wider["properties"].get(name), Mapping):
                wider["properties"][name] = widened(wider["properties"][name], inner)
    return wider


def _has_type(declared: Any, value: Any) -> bool:
    if declared is None:
        return True
    names = declared if isinstance(declared, list) else [declared]
    kind = json_type(value)
    whole = kind == "number" and (isinstance(value, int) or value.is_integer())
    return kind in names or (whole and "integer" in names)
