"""
The tools a suite declares and those a case offers: what is wrong with them, and their values.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from harness.diagnostics import Flaw, Steps, suggest
from harness.messages import Tool


def tool_flaws(
    entries: Sequence[Any], steps: Steps, known: Mapping[str, Tool] | None = None
) -> Iterator[Flaw]:
    """
    Yield what is wrong with a list of declarations; of a case, which may name *known* ones too.
    """
    names: set[str] = set()
    for index, entry in enumerate(entries):
        at = (*steps, index)
        if known is not None and isinstance(entry, str):
            if entry not in known:
                yield (
                    at,
                    f"names {entry!r}, which is not a tool of the suite{suggest(entry, known)}",
                )
                continue
            name = entry
        else:
            try:
                tool = Tool.from_schema(entry)
            except ValueError as exc:
                yield at, f"is not a tool: {exc}"
                continue
            if (flaw := _schema_flaw(tool, entry, at)) is not None:
                yield flaw
                continue
            name = tool.name
        if name in names:
            yield at, f"offers a second tool {name!r}; names must differ"
        names.add(name)


def tools(entries: Sequence[Any], known: Mapping[str, Tool]) -> tuple[Tool, ...]:
    """
    Return the values of sound declarations, and of names of *known* tools.
    """
    return tuple(
        known[entry] if isinstance(entry, str) else Tool.from_schema(entry) for entry in entries
    )


def by_name(tools: Sequence[Tool]) -> Mapping[str, Tool]:
    """
    Return tools by their names, in the same order.
    """
    return {tool.name: tool for tool in tools}


def _schema_flaw(tool: Tool, entry: Mapping[str, Any], steps: Steps) -> Flaw | None:
    inner = (*steps, "function", "parameters") if "function" in entry else (*steps, "parameters")
    try:
        Draft202012Validator.check_schema(tool.parameters)
    except SchemaError as exc:
        at = tuple(exc.absolute_path)
        return (*inner, *at), f"of tool {tool.name!r} is not valid JSON Schema: {exc.message}"
    if (missing := _missing_reference(tool.parameters)) is not None:
        return inner, f"of tool {tool.name!r} refer to {missing!r}, which is not in it"
    return None


def _missing_reference(schema: Mapping[str, Any]) -> str | None:
    """
    Return a reference that leads nowhere or out of the schema; nothing is fetched from anywhere.
    """
    references = list(_references(schema))
    if not references:
        return None
    resource = Resource.from_contents(schema, default_specification=DRAFT202012)
    resolver = Registry().with_resource("", resource).resolver()
    for reference in references:
        try:
            resolver.lookup(reference)
        except Unresolvable:
            return reference
    return None


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)
    elif isinstance(schema, Mapping):
        for key, inner in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(inner, str):
                yield inner
            else:
                yield from _references(inner)
