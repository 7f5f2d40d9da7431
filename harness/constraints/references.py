"""
The schemas within a JSON Schema, and where its references lead: nowhere, or back to their start.

Nothing is fetched: a reference to an address outside of the schema leads nowhere.
"""

from collections.abc import Iterator, Mapping
from typing import Any

MAX_STEPS = 32
"""How many parts of a schema may ask something of one value, each by way of the one before; what
validates values nested 64 levels deep needs Python's stack for more than that."""

_REFERENCES = ("$ref", "$dynamicRef")
_IN_PLACE = ("not", "if", "then", "else")
_LISTS_IN_PLACE = ("allOf", "anyOf", "oneOf")


SCHEMA_MAPS = ("properties", "patternProperties", "$defs", "dependentSchemas")
SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
SCHEMAS = """
items additionalProperties unevaluatedItems unevaluatedProperties contains propertyNames
not if then else
""".split()


def subschemas(schema: Mapping[str, Any]) -> Iterator[Any]:
    """
    Yield the schemas in a schema's keywords, in its order.
    """
    for keyword, value in schema.items():
        if keyword in (*SCHEMA_MAPS, "definitions"):
            yield from value.values()
        elif keyword in SCHEMA_LISTS:
            yield from value
        elif keyword in SCHEMAS:
            yield value


def missing_reference(schema: Mapping[str, Any]) -> str | None:
    """
    Return a reference that leads to no part of the schema; None if there is none.
    """
    if not _refers(schema):
        return None
    from referencing.exceptions import Unresolvable

    for part, resolver in _parts(schema, _resolver(schema)):
        for reference in _references(part):
            try:
                resolver.lookup(reference)
            except Unresolvable:
                return reference
    return None


def endless_reference(schema: Mapping[str, Any]) -> str | None:
    """
    Return a reference by which a part of the schema asks for itself of the very same value.

    A schema of trees has none: it asks for itself of the children. More than `MAX_STEPS` references
    after each other count as endless. All references must lead somewhere.
    """
    if not _refers(schema):
        return None
    sound: set[int] = set()
    for part, resolver in _parts(schema, _resolver(schema)):
        if (reference := _leads_back(part, resolver, (), sound)) is not None:
            return reference
    return None


def _refers(schema: Any) -> bool:
    # Most schemas hold no reference, and taking one apart with its references is slow.
    return isinstance(schema, Mapping) and (
        any(key in schema for key in _REFERENCES) or any(map(_refers, subschemas(schema)))
    )


def _resolver(schema: Mapping[str, Any]) -> Any:
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    return Registry().with_resource("", DRAFT202012.create_resource(schema)).resolver()


def _references(part: Mapping[str, Any]) -> Iterator[str]:
    for key in _REFERENCES:
        if isinstance(part.get(key), str):
            yield part[key]


def _parts(schema: Any, resolver: Any) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """
    Yield each schema within a schema, itself first, with what resolves its references.
    """
    if not isinstance(schema, Mapping):
        return
    from referencing.jsonschema import DRAFT202012

    yield schema, resolver
    for inner in subschemas(schema):
        resource = DRAFT202012.create_resource(inner)
        yield from _parts(inner, resolver.in_subresource(resource))


def _leads_back(part: Any, resolver: Any, way: tuple[int, ...], sound: set[int]) -> str | None:
    """
    Follow what *part* asks of the same value, and return the reference that leads to *way* again.
    """
    if not isinstance(part, Mapping) or id(part) in sound:
        return None
    way = (*way, id(part))
    for reference in _references(part):
        found = resolver.lookup(reference)
        if id(found.contents) in way or len(way) > MAX_STEPS:
            return reference
        if (back := _leads_back(found.contents, found.resolver, way, sound)) is not None:
            return back
    for inner in _in_place(part):
        if (back := _leads_back(inner, resolver, way, sound)) is not None:
            return back
    sound.add(id(part))
    return None


def _in_place(part: Mapping[str, Any]) -> Iterator[Any]:
    yield from (part[key] for key in _IN_PLACE if key in part)
    yield from (inner for key in _LISTS_IN_PLACE for inner in part.get(key, ()))
    yield from part.get("dependentSchemas", {}).values()
