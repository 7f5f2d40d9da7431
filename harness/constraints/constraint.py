"""
What one argument, or the text of an answer, must be.

A constraint is a JSON Schema (draft 2020-12, https://json-schema.org/draft/2020-12) with the extra
keywords below, all of which must hold. A bare string, number, boolean, null or list means
``{"const": ...}``; an object literal must be written as ``{"const": {...}}``. An unknown
keyword is an error when the suite is read, not a pass when it is judged.

========================  =====================================================================
keyword                   holds when
========================  =====================================================================
``optional: true``        the argument may be left out; if it is there the rest must hold
``absent: true``          the argument is not there (no other keyword)
``contains_any: [..]``    the text holds at least one of these, letter case, Unicode
                          compatibility forms and typographic signs aside: curly quotes, dashes
                          and ellipses are those a keyboard has (`harness.constraints.text`)
``contains_all: [..]``    the text holds all of these, compared likewise
``equals_ignoring_case``  the text is this, compared likewise
``close_to: x``           the number is within ``tolerance: t`` of x: ``abs(value - x) <= t``,
                          reckoned with the decimals as written, so that 0.4 is within 0.1 of 0.3
``same_moment_as: t``     the text names the same date, time or both as *t*, in any unambiguous
                          spelling; 03/04/2026 is ambiguous and equals nothing; a date alone
                          equals that date at midnight; with a zone, instants are compared;
                          typographic signs aside
``normalized_as: bfcl``   const and enum compare strings as the Berkeley Function Calling
                          Leaderboard does (``standardize_string`` of its ast_checker): without
                          space and ``,./-_*^``, in lower case, single quotes as double ones
========================  =====================================================================

Sources: ``const``, ``enum`` and whatever else JSON Schema knows are its own. The text keywords
compare after Unicode's compatibility caseless matching (Unicode Standard, section 3.13, D146),
typographic signs folded besides, and ``close_to`` is the absolute tolerance of PEP 485.
``same_moment_as`` reads ISO 8601 and what python-dateutil reads in one way only
(`harness.constraints.datetimes`). ``normalized_as`` follows BFCL's
``eval_checker/ast_eval/ast_checker.py``, as ``optional`` does the empty text among BFCL's possible
answers. The rest is this project's.

The text keywords apply to text only: any other JSON type is a wrong type. The extra keywords may be
nested wherever JSON Schema allows a schema, except ``optional`` and ``absent``, which are about an
argument as a whole. ``format`` is checked, not only noted, so only known formats are accepted
(`harness.constraints.formats`); without a type beside it, it applies to text only as well. ``$ref``
refers to a part of the same constraint, never to an address.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast

from harness.constraints.datetimes import read_moment
from harness.constraints.formats import FORMATS
from harness.constraints.keywords import CHECKS, finite, json_type, wrong
from harness.constraints.references import (
    SCHEMA_LISTS,
    SCHEMA_MAPS,
    SCHEMAS,
    endless_reference,
    missing_reference,
    subschemas,
)
from harness.constraints.schema import schema_error, validator_class

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

FaultCode = Literal["wrong_type", "wrong_value"]

TEXT_KEYWORDS = ("contains_any", "contains_all", "equals_ignoring_case", "same_moment_as")
EXTRA_KEYWORDS = (*TEXT_KEYWORDS, "close_to", "tolerance", "normalized_as")

_PLAIN = """
type const enum multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength
pattern maxItems minItems uniqueItems maxContains minContains maxProperties minProperties required
dependentRequired format title description default examples deprecated readOnly writeOnly
contentEncoding contentMediaType $ref $comment
""".split()
KEYWORDS = frozenset((*SCHEMA_MAPS, *SCHEMA_LISTS, *SCHEMAS, *_PLAIN, *EXTRA_KEYWORDS))
"""Every keyword a constraint may use, ``optional`` and ``absent`` aside."""
_FLAGS = ("optional", "absent")
_OWN = frozenset(("const", *EXTRA_KEYWORDS))
"""JSON Schema says nothing about these, or takes any value, and no schema is nested in them."""
_CHECKED = frozenset((*CHECKS, *EXTRA_KEYWORDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    Why a value does not meet a constraint.
    """

    code: FaultCode
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """
    One constraint, compiled. Made by `compile_constraint`.
    """

    spec: Any
    """As it was written."""
    optional: bool
    absent: bool
    schema: Mapping[str, Any]
    """`spec` as a schema: bare values as const, without ``optional`` and ``absent``."""
    plain: bool
    """Whether it uses only keywords of our own, which can be checked without a schema validator."""

    @property
    def validator(self) -> Any:
        """
        A validator of values by `schema`, made anew: most constraints never need one.
        """
        from referencing import Registry

        # The empty registry keeps a "$ref" from being fetched.
        return _validator_class()(self.schema, registry=Registry())

    def check(self, value: Any) -> list[Fault]:
        """
        Return what is wrong with *value*, the most telling fault first; empty if nothing is.
        """
        if self.plain and not any(
            error
            for name, expected in self.schema.items()
            if name in CHECKS
            for error in CHECKS[name](None, expected, value, self.schema)
        ):
            return []
        errors: Iterator[ValidationError] = self.validator.iter_errors(value)
        faults = [Fault(code=_code(error), detail=error.message) for error in errors]
        return sorted(faults, key=lambda fault: fault.code)


def compile_constraint(spec: Any) -> Constraint:
    """
    Compile a constraint as written in a suite.

    Raises:
        ValueError: as `check_constraint`.
    """
    check_constraint(spec)
    return make_constraint(spec)


def check_constraint(spec: Any) -> None:
    """
    Refuse what is not a constraint.

    Raises:
        ValueError: for an unknown or misused keyword, or a schema that is not valid.
    """
    if not isinstance(spec, Mapping):
        return
    for name in _FLAGS:
        if not isinstance(spec.get(name, False), bool):
            raise ValueError(f'"{name}" must be true or false, not {spec[name]!r}')
    schema = _without_flags(spec)
    if spec.get("absent") and (schema or spec.get("optional")):
        raise ValueError('"absent" must stand alone: an absent argument has nothing else to meet')
    if schema.keys() <= _OWN:
        _check_extras(schema)
        return
    if (error := schema_error(schema)) is not None:
        where = "".join(f"{step}: " for step in error.absolute_path)
        raise ValueError(f"not valid JSON Schema: {where}{error.message}")
    _check_keywords(schema)
    if (reference := missing_reference(schema)) is not None:
        raise ValueError(f'"$ref": {reference!r} leads nowhere in this constraint')
    if (reference := endless_reference(schema)) is not None:
        raise ValueError(f'"$ref": {reference!r} leads back to itself')


def make_constraint(spec: Any) -> Constraint:
    """
    Compile what `check_constraint` accepts.
    """
    flags = spec if isinstance(spec, Mapping) else {}
    optional, absent = flags.get("optional", False), flags.get("absent", False)
    schema: Mapping[str, Any] = {"const": spec}
    if isinstance(spec, Mapping):
        schema = _without_flags(spec)
    return Constraint(
        spec=spec,
        optional=optional,
        absent=absent,
        schema=schema,
        plain=schema.keys() <= _CHECKED,
    )


def _without_flags(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    # Most have none, and a large suite has many: one mapping for both is enough.
    if not any(name in spec for name in _FLAGS):
        return spec
    return {name: value for name, value in spec.items() if name not in _FLAGS}


def contains_any(*parts: str) -> dict[str, Any]:
    """
    Write the constraint that a text holds at least one of *parts*.

    Letter case and typographic signs are set aside.
    """
    return {"contains_any": list(parts)}


def contains_all(*parts: str) -> dict[str, Any]:
    """
    Write the constraint that a text holds all of *parts*, compared as by `contains_any`.
    """
    return {"contains_all": list(parts)}


def equals_ignoring_case(text: str) -> dict[str, Any]:
    """
    Write the constraint that a text is *text*, compared as by `contains_any`.
    """
    return {"equals_ignoring_case": text}


def close_to(value: float, tolerance: float) -> dict[str, Any]:
    """
    Write the constraint that a number is within *tolerance* of *value*.
    """
    return {"close_to": value, "tolerance": tolerance}


def same_moment_as(text: str) -> dict[str, Any]:
    """
    Write the constraint that a text names the same date or time as *text*.
    """
    return {"same_moment_as": text}


def optional(constraint: Any) -> dict[str, Any]:
    """
    Write the constraint that an argument may be left out, and else meets *constraint*.
    """
    spec = dict(constraint) if isinstance(constraint, Mapping) else {"const": constraint}
    return {**spec, "optional": True}


def absent() -> dict[str, Any]:
    """
    Write the constraint that an argument is not there.
    """
    return {"absent": True}


def _check_keywords(schema: Any) -> None:
    """
    Refuse what a schema of JSON Schema's own shape may hold and a constraint may not.
    """
    if isinstance(schema, bool):
        return
    for name in schema:
        if name in _FLAGS:
            raise ValueError(f'"{name}" is about a whole argument and cannot be nested')
        if name not in KEYWORDS:
            raise ValueError(
                f'unknown keyword "{name}" in a constraint; write an object literal as '
                '{"const": {...}}'
            )
    _check_extras(schema)
    for inner in subschemas(schema):
        _check_keywords(inner)


def _check_extras(schema: Mapping[str, Any]) -> None:
    for name in ("contains_any", "contains_all"):
        parts = schema.get(name, ["x"])
        texts = isinstance(parts, list) and all(isinstance(p, str) and p for p in parts)
        if not texts or not parts:
            raise ValueError(f'"{name}" must be a list of at least one non-empty text')
    for name in ("equals_ignoring_case", "same_moment_as"):
        if not isinstance(schema.get(name, ""), str):
            raise ValueError(f'"{name}" must be text')
    if "same_moment_as" in schema and read_moment(schema["same_moment_as"]) is None:
        raise ValueError(
            f'"same_moment_as": {schema["same_moment_as"]!r} is not an unambiguous date or time; '
            "write 2026-03-04, 15:00 or 2026-03-04T15:00"
        )
    if ("close_to" in schema) != ("tolerance" in schema):
        raise ValueError('"close_to" and "tolerance" belong together')
    for name in ("close_to", "tolerance"):
        if json_type(schema.get(name, 0)) != "number" or not finite(schema.get(name, 0)):
            raise ValueError(f'"{name}" must be a number')
    if schema.get("tolerance", 0) < 0:
        raise ValueError('"tolerance" is negative, so no value could meet it')
    if "format" in schema and schema["format"] not in FORMATS:
        raise ValueError(
            f'"format" must be one of {", ".join(FORMATS)}; write a "pattern" for others'
        )
    if schema.get("normalized_as", "bfcl") != "bfcl":
        raise ValueError('"normalized_as" must be "bfcl"')
    if "normalized_as" in schema and not {"const", "enum"} & set(schema):
        raise ValueError('"normalized_as" changes how const and enum compare, and neither is given')


def _format(_: Any, name: str, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    if not isinstance(instance, str):
        if not {"type", "const", "enum"} & schema.keys():
            yield wrong(f"{instance!r} is not text, as format {name!r} is")
    elif not FORMATS[name](instance):
        yield wrong(f"{instance!r} is not of format {name!r}")


@cache
def _validator_class() -> Any:
    from jsonschema.validators import extend

    return extend(  # type: ignore[no-untyped-call]
        validator_class(), {**CHECKS, "format": _format}
    )


def _code(error: "ValidationError") -> FaultCode:
    """
    A fault is one of type where no value of this JSON type could have been right.
    """
    found = json_type(error.instance)
    keyword, expected = str(error.validator), cast(Any, error.validator_value)
    if keyword in ("anyOf", "oneOf") and error.context:
        codes = {_code(inner) for inner in error.context}
        return "wrong_type" if codes == {"wrong_type"} else "wrong_value"
    of_type = (
        keyword == "type"
        or (keyword == "const" and json_type(expected) != found)
        or (keyword == "enum" and found not in {json_type(value) for value in expected})
        or (keyword in (*TEXT_KEYWORDS, "format") and found != "string")
        or (keyword == "close_to" and found != "number")
    )
    return "wrong_type" if of_type else "wrong_value"
