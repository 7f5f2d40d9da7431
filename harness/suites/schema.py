"""
Keys and types of a suite: schemas/suite.json and those it refers to, in plain sentences.

The JSON Schemas ship with the package, for editors to use; this module turns their errors into
words. A subschema may have ``errorMessage`` (the keyword of VS Code and ajv-errors), which is then
the sentence.

Most cases are sound, which jsonschema-rs sees at once; jsonschema says what is wrong with the rest.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from harness.constraints.keywords import json_type
from harness.diagnostics import Flaw, Steps
from harness.wording import suggest

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError


def shape_flaws(document: Any) -> Iterator[Flaw]:
    """
    Yield every unknown key, every missing key and every value of a wrong type.
    """
    doubtful, ranks = _doubtful(document)
    if _surely_sound(doubtful, "suite"):
        return
    for error in _validator().iter_errors(doubtful):
        if error.validator == "oneOf" and not isinstance(error.instance, Mapping):
            continue  # what is not an object at all lacks keys, of course
        steps = tuple(error.absolute_path)
        if len(steps) >= 2 and steps[0] == "cases":
            steps = ("cases", ranks[steps[1]], *steps[2:])
        for below, reason in _reasons(error):
            where = spell(document, steps)
            yield steps + below, f"{where} {reason}" if where else reason


def _doubtful(document: Any) -> tuple[Any, Sequence[int]]:
    """
    Return *document* with only those of its cases that may have flaws, and where these were. One
    case is always left, as a suite has at least one.
    """
    cases = document.get("cases") if isinstance(document, Mapping) else None
    if not isinstance(cases, list):
        return document, ()
    ranks = [rank for rank, case in enumerate(cases) if not _surely_sound(case, "case")] or [0][
        : len(cases)
    ]
    return {**document, "cases": [cases[rank] for rank in ranks]}, ranks


def _surely_sound(value: Any, name: str) -> bool:
    try:
        return bool(_quick(name).is_valid(value))
    except ValueError:
        return False  # Rust has no text with half a surrogate pair


def named(document: Any, flaws: Iterable[Flaw]) -> Iterator[Flaw]:
    """
    Yield flaws whose sentences begin with the name of the wrong part.
    """
    for steps, message in flaws:
        where = spell(document, steps)
        yield steps, f"{where} {message}" if where else message


def spell(document: Any, steps: Steps) -> str:
    """
    Return the name of a part of a suite as authors say it: ``case 'kb-001': expect.calls[0].tool``.
    """
    lead, rest = "", steps
    if len(steps) >= 2 and steps[0] == "cases" and isinstance(steps[1], int):
        case = document["cases"][steps[1]]
        identity = case.get("id") if isinstance(case, Mapping) else None
        lead = f"case {identity!r}:" if isinstance(identity, str) else f"case {steps[1] + 1}:"
        rest = steps[2:]
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest)
    return " ".join(part for part in (lead, path.lstrip(".")) if part)


def _reasons(error: "ValidationError") -> Iterator[tuple[Steps, str]]:
    """
    Yield what follows the name of the part, with the steps to the wrong key.
    """
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    instance: Any = error.instance
    given: Any = error.validator_value
    if error.validator == "additionalProperties":
        known = schema["properties"]
        for key in instance:
            if key not in known:
                yield (key,), f"has an unknown key {key!r}{suggest(key, known)}"
    elif "errorMessage" in schema:
        yield (), schema["errorMessage"]
    elif error.validator == "required":
        for key in given:
            if key not in instance:
                yield (), f'needs "{key}"'
    elif error.validator == "type":
        wanted = [given] if isinstance(given, str) else given
        yield (), f"must be {_either(wanted)}, not {_found(instance)}"
    elif error.validator == "enum":
        yield (), f"is {instance!r}{suggest(instance, given)}"
    elif error.validator in ("minItems", "minLength"):
        yield (), "is empty"
    else:
        yield (), f"is wrong: {error.message}"


_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object",
    "string": "text",
}


def _either(types: Iterable[str]) -> str:
    return " or ".join(_TYPES[name] for name in types if name != "null")


def _found(value: Any) -> str:
    kind = json_type(value)
    if kind in ("number", "boolean"):
        return f"the {kind} {json.dumps(value)}"
    return {"array": "a list", "string": f"the text {value!r}", "object": "an object"}.get(
        kind, kind
    )


@cache
def _validator() -> "Draft202012Validator":
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    registry: Registry[Any] = Registry().with_resources(
        (f"{name}.json", Resource.from_contents(_schema(name), default_specification=DRAFT202012))
        for name in ("case", "environment", "corpus", "state", "operations")
    )
    return Draft202012Validator(_schema("suite"), registry=registry)


@cache
def _quick(name: str) -> Any:
    import jsonschema_rs

    def other(address: str) -> Any:
        return _schema(address.rpartition("/")[2].removesuffix(".json"))

    return jsonschema_rs.Draft202012Validator(_schema(name), retriever=other)


def _schema(name: str) -> Any:
    return json.loads((resources.files("harness") / "schemas" / f"{name}.json").read_text("utf-8"))
