"""
Whether any value of an argument can be right: the constraint against the schema its tool declares.

Only what is certain is reported: the values that either of the two names, their types and bounds.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.canonical import canonical_json
from harness.constraints.constraint import TEXT_KEYWORDS, Constraint
from harness.constraints.formats import FORMATS
from harness.constraints.keywords import json_type
from harness.constraints.schema import schema_validator
from harness.diagnostics import Steps
from harness.messages import Tool
from harness.suites.lint.findings import Found

_BOUNDS = (
    ("number", "minimum", "maximum"),
    ("string", "minLength", "maxLength"),
    ("array", "minItems", "maxItems"),
    ("object", "minProperties", "maxProperties"),
)
_ALL = {"null", "boolean", "number", "string", "array", "object"}


def value_findings(
    tool: Tool, name: str, constraint: Constraint, where: str, steps: Steps
) -> Iterator[Found]:
    """
    Yield which values of an argument cannot be right, or that none can; *where* begins a message.
    """
    declared = tool.parameters.get("properties", {}).get(name, True)
    # Evolved from the whole schema, so that "#/$defs/..." is found from there.
    validator = schema_validator(tool.parameters).evolve(schema=declared)
    named = named_values(constraint.schema)
    refused = [
        (value, *refusal)
        for value in named
        if (refusal := _refusal(value, constraint, validator)) is not None
    ]
    if named and len(refused) == len(named):
        _, who, reason = refused[0]
        yield steps, "impossible_value", f"{where} can never be right: {who} says {reason}"
        return
    for value, who, _ in refused:
        text = f"{where}: {who} rejects {canonical_json(value)}; remove it"
        yield steps, "unreachable_value", text
    for value in _of_another_format(named, declared):
        text = (
            f"{where}: {canonical_json(value)} is not of format {declared['format']!r}, which the "
            "tool declares; write it in that format"
        )
        yield steps, "wrong_format", text
    if named or not isinstance(declared, Mapping):
        return
    allowed = named_values(declared)
    if allowed and all(constraint.check(value) for value in allowed):
        text = f"{where} can never be right: no value of the tool's enum meets the constraint"
        yield steps, "impossible_value", text
    elif (clash := _clash(constraint.schema, declared)) is not None:
        yield steps, "impossible_value", f"{where} can never be right: {clash}"


def named_values(schema: Mapping[str, Any]) -> Sequence[Any]:
    """
    Return the only values a schema may accept where it names them, else an empty list.
    """
    if "normalized_as" in schema:
        return []  # other spellings of what it names are accepted, too
    if "const" in schema:
        return [schema["const"]]
    return list(schema.get("enum", ()))


def _refusal(value: Any, constraint: Constraint, declared: Any) -> tuple[str, str] | None:
    """
    Return who rejects a value that the constraint names, and why; None if nobody does.
    """
    for error in declared.iter_errors(value):
        return "the tool's own schema", error.message
    for fault in constraint.check(value):
        return "the constraint itself", fault.detail
    return None


def _of_another_format(values: Sequence[Any], declared: Any) -> list[str]:
    """
    Return the texts that a tool's format does not allow; answers are not held to it.
    """
    name = declared.get("format") if isinstance(declared, Mapping) else None
    if not isinstance(name, str) or name not in FORMATS:
        return []
    return [value for value in values if isinstance(value, str) and not FORMATS[name](value)]


def _clash(constraint: Mapping[str, Any], declared: Mapping[str, Any]) -> str | None:
    wanted, given = _types(constraint), _types(declared)
    if wanted is not None and given is not None and not wanted & given:
        return f"it must be {_either(wanted)}, the tool declares {_either(given)}"
    left = (_ALL if wanted is None else wanted) & (_ALL if given is None else given)
    for kind, low, high in _BOUNDS:
        lowest = [schema[low] for schema in (constraint, declared) if low in schema]
        highest = [schema[high] for schema in (constraint, declared) if high in schema]
        if left == {kind} and lowest and highest and max(lowest) > min(highest):
            return f"{low} {max(lowest)} is more than {high} {min(highest)}"
    return None


def _types(schema: Mapping[str, Any]) -> set[str] | None:
    """
    Return the JSON types a schema leaves, integers and floats as numbers; None where it names none.
    """
    types: set[str] | None = None
    if "type" in schema:
        kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        types = {"number" if kind == "integer" else kind for kind in kinds}
    if "const" in schema or "enum" in schema:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        types = {json_type(value) for value in values} & (_ALL if types is None else types)
    if any(keyword in schema for keyword in TEXT_KEYWORDS):
        types = {"string"} & (_ALL if types is None else types)
    if "close_to" in schema:
        types = {"number"} & (_ALL if types is None else types)
    return types


def _either(types: set[str]) -> str:
    return " or ".join(sorted(types)) or "nothing"
