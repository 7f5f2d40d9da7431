"""
What a chat template leaves out of the declarations of a suite's own tools.

A template that prints a tool may still drop parts of it: the type of an argument that is an
``anyOf``, what ``$defs`` hold, an enum of numbers, the descriptions of nested arguments, which
arguments are required. Nothing is matched by words, which a name might share with a description: a
part is taken out of the tool, the tool is rendered alone, and if the text stays the same the model
is never shown that part.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.checkpoints.chat_template import chat_template, conversation
from harness.errors import TemplateError, boundary
from harness.messages import Message, Tool

_NAMES = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
"""Keywords whose own keys are names, not keywords."""

_SILENT = frozenset(
    {"$schema", "$id", "$comment", "$anchor", "additionalProperties", "examples", "strict", "title"}
)
"""Keywords that tell a model nothing it needs for a call."""


def not_shown(tokenizer: Any, tools: Sequence[Tool]) -> tuple[str, ...]:
    """
    Return what the tokenizer's chat template does not show of *tools*, a line for each tool:
    ``search: required, unit (enum), filter.after (description)``.

    Raises:
        TemplateError: if the template cannot render a tool at all.
    """
    found = []
    for tool in tools:
        whole = _rendered(tokenizer, tool.schema)
        if tool.name not in whole:
            found.append(f"{tool.name}: the whole tool")
            continue
        missing: dict[str, list[str]] = {}
        for where, what, schema in _without_a_part(tool.schema):
            try:
                same = _rendered(tokenizer, schema) == whole
            except TemplateError:
                # A template that breaks without a part reads it.
                continue
            if same and what not in missing.setdefault(where, []):
                missing[where].append(what)
        parts = [
            ", ".join(words) if not where else f"{where} ({', '.join(words)})"
            for where, words in missing.items()
            if words
        ]
        if parts:
            found.append(f"{tool.name}: {', '.join(parts)}")
    return tuple(found)


def _rendered(tokenizer: Any, schema: Mapping[str, Any]) -> str:
    template = chat_template(tokenizer)
    with boundary(TemplateError, "the chat template cannot render the declarations of tools"):
        return str(
            tokenizer.apply_chat_template(
                conversation([Message(role="user", content="?")], template),
                tools=[dict(schema)],
                chat_template=template,
                add_generation_prompt=True,
                tokenize=False,
            )
        )


def _without_a_part(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """
    Yield for each part of a tool where it is, what it is, and the tool without it.
    """
    function = schema["function"]
    if function.get("description"):
        yield "", "description", {**schema, "function": _less(function, "description")}
    parameters = function.get("parameters")
    if isinstance(parameters, Mapping):
        for where, what, rest in _parts(parameters, ""):
            yield where, what, {**schema, "function": {**function, "parameters": rest}}


def _parts(schema: Mapping[str, Any], where: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for key, value in schema.items():
        if key in _SILENT or (not where and key == "type"):
            continue
        if key in _NAMES and isinstance(value, Mapping):
            for name, inner in value.items():
                place = f"{where}.{name}" if where else name
                if not key.startswith("$") and key != "definitions":
                    yield place, "name", {**schema, key: _less(value, name)}
                if isinstance(inner, Mapping):
                    for at, what, rest in _parts(inner, place):
                        yield at, what, {**schema, key: {**value, name: rest}}
        elif key == "required" and isinstance(value, list):
            for index, name in enumerate(value):
                place = f"{where}.{name}" if where else str(name)
                yield place, "required", {**schema, key: value[:index] + value[index + 1 :]}
        elif key == "enum" and isinstance(value, list):
            for index in range(len(value)):
                yield where, "enum", {**schema, key: value[:index] + value[index + 1 :]}
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            yield where, key, _less(schema, key)
            for index, inner in enumerate(value):
                if isinstance(inner, Mapping):
                    for at, what, rest in _parts(inner, where):
                        changed = [*value[:index], rest, *value[index + 1 :]]
                        yield at, what, {**schema, key: changed}
        elif key == "items" and isinstance(value, Mapping):
            place = f"{where}[]"
            for at, what, rest in _parts(value, place):
                yield at, what, {**schema, key: rest}
        else:
            yield where, key, _less(schema, key)


def _less(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: one for name, one in value.items() if name != key}
