"""
The leaderboard's accepted values of one argument as a constraint.

An answer lists the correct values of each argument; ``""`` among them means that the argument may
be left out. Correct is what ``ast_checker`` of the leaderboard (package ``bfcl-eval``,
ast_eval/ast_checker.py) accepts:

- texts, and texts directly in a list, are compared normalised; deeper ones are compared exactly;
- an argument declared as text may be ``""`` where ``""`` is listed, and a list may be empty;
- a dictionary lists accepted values for each of its keys; a key without ``""`` must be there, no
  other key may be;
- a list of dictionaries holds them in this order;
- where the declared type is not text, a text is compared exactly (the name of a variable).
"""

from collections.abc import Mapping, Sequence
from typing import Any

OMITTED = ""
"""Among accepted values: the argument may be left out."""


def lists_values(given: Any) -> bool:
    """
    Return whether *given* lists accepted values for each of its keys, in nested dictionaries too.
    """
    return isinstance(given, Mapping) and all(
        isinstance(values, list) and all(map(_is_readable, values)) for values in given.values()
    )


def _is_readable(value: Any) -> bool:
    if _of_dictionaries(value):
        return all(map(lists_values, value))
    return not isinstance(value, Mapping) or lists_values(value)


def constraint(accepted: Sequence[Any], declared: Any) -> Any:
    """
    Return the constraint for an argument of the *declared* (JSON Schema) type.
    """
    kind = declared.get("type", "string") if isinstance(declared, Mapping) else "string"
    values = [value for value in accepted if value != OMITTED]
    optional = len(values) < len(accepted)
    if optional and kind == "string":
        values.append(OMITTED)
    if optional and kind == "array" and [] not in values:
        values.append([])
    if not values:
        return {"absent": True}
    spec = _one_of(values, texts=kind == "string")
    if optional:
        spec = {**(spec if isinstance(spec, Mapping) else {"const": spec}), "optional": True}
    return spec


def examples(accepted: Sequence[Any]) -> list[Any]:
    """
    Return accepted values, one for each alternative; empty if all may be left out.
    """
    return [_example(value) for value in accepted if value != OMITTED]


def _example(value: Any) -> Any:
    if isinstance(value, Mapping):
        chosen = {key: examples(values) for key, values in value.items()}
        return {key: found[0] for key, found in chosen.items() if found}
    if _of_dictionaries(value):
        return [_example(item) for item in value]
    return value


def _one_of(values: Sequence[Any], *, texts: bool) -> Any:
    """
    Return the constraint that a value is one of *values*; if *texts*, text is compared normalised.
    """
    normalised: list[Any] = []
    exact: list[Any] = []
    schemas: list[Any] = []
    for value in values:
        if isinstance(value, Mapping):
            schemas.append(_object(value))
        elif _of_dictionaries(value):
            schemas.append(_sequence(value))
        elif (isinstance(value, str) and texts) or _of_texts(value):
            _add(normalised, value)
        else:
            _add(exact, value)
    if normalised:
        schemas.insert(0, {**_choice(normalised), "normalized_as": "bfcl"})
    if exact:
        schemas.insert(0, _choice(exact))
    if len(schemas) > 1:
        return {"anyOf": schemas}
    (only,) = schemas
    scalar = list(only) == ["const"] and not isinstance(only["const"], Mapping)
    return only["const"] if scalar else only


def _object(accepted: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: _schema(values) for key, values in accepted.items()},
        "required": [key for key, values in accepted.items() if OMITTED not in values],
        "additionalProperties": False,
    }


def _sequence(items: Sequence[Mapping[str, Sequence[Any]]]) -> dict[str, Any]:
    return {
        "type": "array",
        "prefixItems": [_object(item) for item in items],
        "minItems": len(items),
        "maxItems": len(items),
    }


def _schema(accepted: Sequence[Any]) -> dict[str, Any]:
    # Lists inside a dictionary are compared exactly, as only its texts are normalised.
    deep = [value for value in accepted if isinstance(value, list)]
    flat = [value for value in accepted if not isinstance(value, list)]
    alternatives = [_choice(deep)] if deep else []
    if flat:
        spec = _one_of(flat, texts=True)
        alternatives.append(spec if isinstance(spec, dict) else {"const": spec})
    return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}


def _choice(values: list[Any]) -> dict[str, Any]:
    return {"const": values[0]} if len(values) == 1 else {"enum": values}


def _add(values: list[Any], value: Any) -> None:
    # Not `value in values`: in Python, true equals 1.
    if not any(type(value) is type(known) and value == known for known in values):
        values.append(value)


def _of_dictionaries(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _of_texts(value: Any) -> bool:
    """
    Return whether *value* is a list with texts in it and nothing nested.
    """
    return (
        isinstance(value, list)
        and any(isinstance(item, str) for item in value)
        and not any(isinstance(item, list | Mapping) for item in value)
    )
