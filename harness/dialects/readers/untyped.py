"""
Arguments written as bare text: which value a text is says the tool's schema, and nothing else.

Formats of tags give a value no type: ``5`` may be a number or a string. Where the schema allows a
string, the text is the string, untouched: ``007``, ``null`` and leading spaces survive. Where it
does not, the text is read as JSON of a type it allows; for booleans and null in Python's spelling,
too, as chat templates print them. A text that is none of these stays text, and judging says
that its type is wrong. Without a schema everything is text.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.dialects.readers.json_text import JsonReader, Trouble
from harness.messages import Tool

_WORDS: Mapping[str, Mapping[str, bool | None]] = {
    "boolean": {"true": True, "True": True, "false": False, "False": False},
    "null": {"null": None, "None": None},
}
_ALL = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})


def typed(tools: Sequence[Tool], name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """
    Give the arguments of a call of tool *name*, whose values are *texts*, the types that its
    declaration among *tools* allows.
    """
    declared: Mapping[str, Any] = next(
        (tool.parameters.get("properties") or {} for tool in tools if tool.name == name), {}
    )
    return {key: value_of(text, declared.get(key)) for key, text in texts.items()}


def value_of(text: str, schema: Any) -> Any:
    """
    Read *text* as a value of a type that *schema* allows, or leave it as it is.
    """
    types = allowed(schema)
    if "string" in types:
        return text
    for kind, words in _WORDS.items():
        if kind in types and text.strip() in words:
            return words[text.strip()]
    reader = JsonReader(text)
    try:
        value, end = reader.value(0)
    except Trouble:
        return text
    return value if reader.skip(end) == len(text) and _kind(value) & types else text


def allowed(schema: Any) -> frozenset[str]:
    """
    Name the JSON types that *schema* allows; all of them where it says nothing about them.
    """
    if not isinstance(schema, Mapping):
        return _ALL
    types = _ALL
    if "type" in schema:
        named = schema["type"]
        types &= frozenset([named] if isinstance(named, str) else _strings(named))
    if "enum" in schema and isinstance(schema["enum"], list):
        types &= frozenset().union(*map(_kind, schema["enum"]))
    if "const" in schema:
        types &= _kind(schema["const"])
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            types &= frozenset().union(*map(allowed, schema[keyword]))
    if schema.get("nullable") is True:
        types |= {"null"}
    return types


def _strings(value: Any) -> Iterable[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else _ALL


def _kind(value: Any) -> frozenset[str]:
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return frozenset({"integer", "number"})
    if isinstance(value, float):
        return frozenset({"number"})
    if value is None:
        return frozenset({"null"})
    if isinstance(value, str):
        return frozenset({"string"})
    return frozenset({"array" if isinstance(value, list) else "object"})
