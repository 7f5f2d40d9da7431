"""
Arguments written as bare text: the tool's schema alone decides which value a text represents.

Formats made of tags give a value no type: ``5`` may be a number or a string. Three rules, in order:

- ``null`` is null wherever the schema has null among its types, even next to string;
- where the schema allows a string, or gives no types, the text is the string, unchanged: ``007``,
  ``None`` and leading spaces are kept;
- otherwise the text is read as JSON of a type the schema allows, booleans and null also in Python's
  spelling, as chat templates print them. Any other text stays text, and judging reports that its
  type is wrong.

A schema is read as a validator reads it, together with the whole schema of the tool: ``$ref`` is
followed, ``allOf`` narrows, ``anyOf`` and ``oneOf`` widen, and ``nullable: true`` (OpenAPI's word)
adds null, here as in `harness.constraints.schema`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from harness.dialects.readers.json_text import JsonReader, Trouble
from harness.messages import Tool

_WORDS: Mapping[str, Mapping[str, bool | None]] = {
    "boolean": {"true": True, "True": True, "false": False, "False": False},
    "null": {"null": None, "None": None},
}
_INDEX = re.compile(r"0|[1-9][0-9]*")


def typed(tools: Sequence[Tool], name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the arguments of a call of tool *name*, whose values are *texts*, with the types that its
    declaration in *tools* allows.
    """
    tool = next((tool for tool in tools if tool.name == name), None)
    if tool is None:
        return dict(texts)
    types = Types(tool.parameters)
    return {key: value_of(text, types.of_argument(key)) for key, text in texts.items()}


def value_of(text: str, types: frozenset[str] | None) -> Any:
    """
    Read *text* as a value of one of the JSON *types*, or leave it as it is; None means unknown.
    """
    if types is None:
        return text
    bare = text.strip()
    if "null" in types and bare == "null":
        return None
    if "string" in types:
        return text
    for kind, words in _WORDS.items():
        if kind in types and bare in words:
            return words[bare]
    reader = JsonReader(text)
    try:
        value, end = reader.value(0)
    except Trouble:
        return text
    return value if reader.skip(end) == len(text) and _kind(value) in types else text


class Types:
    """
    The JSON types that the parts of one schema allow. ``number`` includes ``integer``.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[str, frozenset[str] | None] = {}

    def of_argument(self, name: str) -> frozenset[str] | None:
        """
        Return the types of the argument *name*; None if the schema gives none.
        """
        return self.of({"allOf": self._declared(self._root, name, set())})

    def of(self, schema: Any) -> frozenset[str] | None:
        """
        Return the types that *schema*, a part of the root, allows; None if it gives none.
        """
        if not isinstance(schema, Mapping):
            return None
        said: list[frozenset[str]] = []
        if "type" in schema:
            said += _named(schema["type"])
        if isinstance(schema.get("enum"), list):
            said.append(frozenset(map(_kind, schema["enum"])))
        if "const" in schema:
            said.append(frozenset({_kind(schema["const"])}))
        for keyword in ("anyOf", "oneOf"):
            if branches := _list(schema.get(keyword)):
                allowed = [self.of(branch) for branch in branches]
                told = [types for types in allowed if types is not None]
                said += [frozenset().union(*told)] if len(told) == len(allowed) else []
        parts = [self.of(part) for part in _list(schema.get("allOf"))]
        if isinstance(schema.get("$ref"), str):
            parts.append(self._of_reference(schema["$ref"]))
        said += [types for types in parts if types is not None]
        if not said:
            return None
        types = frozenset.intersection(*said)
        return types | {"null"} if schema.get("nullable") is True else types

    def _of_reference(self, reference: str) -> frozenset[str] | None:
        if reference not in self._known:
            self._known[reference] = None  # a reference to itself adds nothing
            self._known[reference] = self.of(self._found(reference))
        return self._known[reference]

    def _declared(self, schema: Any, name: str, seen: set[str]) -> list[Any]:
        """
        Return the parts of *schema*, the arguments object, that describe the argument *name*.
        """
        if not isinstance(schema, Mapping):
            return []
        found = []
        properties = schema.get("properties")
        if isinstance(properties, Mapping) and name in properties:
            found.append(properties[name])
        for part in _list(schema.get("allOf")):
            found += self._declared(part, name, seen)
        for keyword in ("anyOf", "oneOf"):
            branches = [self._declared(one, name, seen) for one in _list(schema.get(keyword))]
            if said := [{"allOf": branch} for branch in branches if branch]:
                found.append({"anyOf": said})
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            seen.add(reference)
            found += self._declared(self._found(reference), name, seen)
        if not found and isinstance(schema.get("additionalProperties"), Mapping):
            found.append(schema["additionalProperties"])
        return found

    def _found(self, reference: str) -> Any:
        """
        Return what *reference* points to inside the root, or None. Nothing is ever fetched.
        """
        address, _, fragment = reference.partition("#")
        if address not in ("", self._root.get("$id")):
            return None
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            return _anchored(self._root, fragment)
        here: Any = self._root
        for step in fragment.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(here, Mapping) and step in here:
                here = here[step]
            elif isinstance(here, list) and _INDEX.fullmatch(step) and int(step) < len(here):
                here = here[int(step)]
            else:
                return None
        return here


def _anchored(schema: Any, name: str) -> Any:
    if isinstance(schema, Mapping):
        if schema.get("$anchor") == name:
            return schema
        schema = list(schema.values())
    found = (_anchored(part, name) for part in schema) if isinstance(schema, list) else ()
    return next((part for part in found if part is not None), None)


def _named(value: Any) -> list[frozenset[str]]:
    names: Iterable[Any] = [value] if isinstance(value, str) else _list(value)
    named = frozenset(name for name in names if isinstance(name, str))
    return [named | {"integer"} if "number" in named else named] if named else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _kind(value: Any) -> str:
    """
    Return the narrowest JSON type of *value*: 1.0 is an integer (draft 2020-12, section 4.2.3).
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
