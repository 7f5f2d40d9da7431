"""
The tools a suite declares and those a case offers: what is wrong with them, and their values.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.constraints.constraint import KEYWORDS
from harness.constraints.references import MAX_STEPS, endless_reference, missing_reference
from harness.constraints.schema import schema_error
from harness.diagnostics import Flaw, Steps
from harness.messages import Tool, schema_key, unknown_tool_keys
from harness.wording import suggest


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
            wrong = list(_declaration_flaws(entry, at))
            yield from wrong
            if wrong:
                continue
            name = Tool.from_schema(entry).name
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


def _declaration_flaws(entry: Any, steps: Steps) -> Iterator[Flaw]:
    unknown = list(unknown_tool_keys(entry)) if isinstance(entry, Mapping) else []
    for way, hint in unknown:
        yield (*steps, *way), f"is not a key of a tool{hint}"
    if unknown:
        return
    try:
        tool = Tool.from_schema(entry)
    except ValueError as exc:
        yield steps, f"is not a tool: {exc}"
        return
    if "function" in entry:
        steps = (*steps, "function")
        entry = entry["function"]
    steps = (*steps, schema_key(entry))
    if (error := schema_error(tool.parameters)) is not None:
        at = tuple(error.absolute_path)
        yield (*steps, *at), f"of tool {tool.name!r} is not valid JSON Schema: {error.message}"
        return
    if (missing := missing_reference(tool.parameters)) is not None:
        yield steps, f"of tool {tool.name!r} refer to {missing!r}, which is not in it"
    elif (endless := endless_reference(tool.parameters)) is not None:
        yield (
            steps,
            f"of tool {tool.name!r} refer to {endless!r} in a circle, or through more than "
            f"{MAX_STEPS} others",
        )
    elif _says_nothing(tool.parameters):
        yield (
            steps,
            f"of tool {tool.name!r} hold no keyword of JSON Schema, so they declare nothing; write "
            '{"type": "object", "properties": {...}}',
        )


def _says_nothing(parameters: Mapping[str, Any]) -> bool:
    """
    Return whether arguments are declared where properties should be, one level too high.
    """
    known = {*KEYWORDS, "$schema", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "definitions"}
    return not known & parameters.keys() and any(
        isinstance(value, Mapping) for value in parameters.values()
    )
