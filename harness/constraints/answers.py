"""
What the final text of an executed case must hold: ``answer``.

An argument is a value and is compared as a whole; an answer is a sentence and is searched. So the
keywords of a constraint mean something else here:

===========================  ==================================================================
written                      holds when
===========================  ==================================================================
``"text"``                   the answer holds these words one after the other, as whole words
a number                     the answer holds this number
``contains_any: [..]``       it holds at least one of these texts and numbers
``contains_all: [..]``       it holds all of them
``close_to``, ``tolerance``  it holds a number within the tolerance
``same_moment_as: t``        it holds this date, time or both; the year may be left out
``max_words: n``             the answer has no more words, as white space parts them
``pattern``                  a regular expression (ECMA-262) matches somewhere
``anyOf``, ``allOf``,        as in JSON Schema, of the above
``not``
===========================  ==================================================================

Words are compared without letter case and typographic signs. Numbers are compared as numbers
wherever they stand (`harness.constraints.facts`): ``1,200 days`` holds ``1200``, ``three weeks``
holds ``3 weeks``, and ``15`` is held neither by ``1.5`` nor by ``-15`` nor by ``HR-15``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from harness.constraints.datetimes import read_moment
from harness.constraints.facts import Token, same, tokens
from harness.constraints.keywords import exact, finite, json_type
from harness.constraints.patterns import compile_pattern, matches

KEYWORDS = (
    *("contains_any", "contains_all", "close_to", "tolerance", "same_moment_as", "max_words"),
    *("pattern", "anyOf", "allOf", "not"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    One constraint on a final text; made by `make_answer`.
    """

    spec: Any
    """As it was written."""

    def fault(self, text: str) -> str | None:
        """
        Return why *text* does not meet the constraint, None if it does.
        """
        return _fault(self.spec, text)


def check_answer(spec: Any) -> None:
    """
    Refuse what is not a constraint on a final text.

    Raises:
        ValueError: with the reason.
    """
    if isinstance(spec, str):
        if not tokens(spec):
            raise ValueError("a text must hold a word or a number")
        return
    if json_type(spec) == "number" and finite(spec):
        return
    if not isinstance(spec, Mapping) or not spec:
        raise ValueError("must be text, a number, or an object of keywords")
    for name, value in spec.items():
        _check_keyword(name, value, spec)


def _check_keyword(name: str, value: Any, spec: Mapping[str, Any]) -> None:
    if name not in KEYWORDS:
        raise ValueError(f'unknown keyword "{name}"; there are {", ".join(KEYWORDS)}')
    if name in ("contains_any", "contains_all"):
        if not isinstance(value, list) or not value or any(isinstance(v, Mapping) for v in value):
            raise ValueError(f'"{name}" must be a list of at least one text or number')
        for part in value:
            check_answer(part)
    elif name in ("anyOf", "allOf"):
        if not isinstance(value, list) or not value:
            raise ValueError(f'"{name}" must be a list of at least one constraint')
        for part in value:
            check_answer(part)
    elif name == "not":
        check_answer(value)
    elif name == "max_words":
        if json_type(value) != "number" or value != int(value) or value < 1:
            raise ValueError('"max_words" must be a whole number from 1')
    elif name == "pattern":
        if not isinstance(value, str):
            raise ValueError('"pattern" must be text')
        compile_pattern(value)
    elif name == "same_moment_as":
        if not isinstance(value, str) or read_moment(value) is None:
            raise ValueError(
                f'"same_moment_as": {value!r} is not an unambiguous date or time; write '
                "2026-03-04, 15:00 or 2026-03-04T15:00"
            )
    elif json_type(value) != "number" or not finite(value):
        raise ValueError(f'"{name}" must be a number')
    elif ("close_to" in spec) != ("tolerance" in spec):
        raise ValueError('"close_to" and "tolerance" belong together')
    elif spec["tolerance"] < 0:
        raise ValueError('"tolerance" is negative, so no number could meet it')


def make_answer(spec: Any) -> Answer:
    """
    Return the constraint that `check_answer` accepts.
    """
    return Answer(spec=spec)


def parts(spec: Any) -> list[Any]:
    """
    Return the texts and numbers that a text meeting *spec* may hold, those under ``not`` left out.
    """
    if not isinstance(spec, Mapping):
        return [spec]
    found = [part for name in ("contains_any", "contains_all") for part in spec.get(name, ())]
    found += [spec[name] for name in ("close_to", "same_moment_as") if name in spec]
    for name in ("anyOf", "allOf"):
        found += [part for inner in spec.get(name, ()) for part in parts(inner)]
    return found


def _fault(spec: Any, text: str) -> str | None:
    if not isinstance(spec, Mapping):
        return None if holds(text, spec) else f"it does not hold {spec!r}"
    return next((f for name in spec if (f := _CHECKS[name](spec, text)) is not None), None)


def holds(text: str, part: Any) -> bool:
    """
    Return whether *text* holds a text, as whole words one after the other, or a number.
    """
    wanted, found = tokens(_written(part)), tokens(text)
    many = len(wanted)
    return many > 0 and any(
        all(same(one, two) for one, two in zip(found[at : at + many], wanted, strict=True))
        for at in range(len(found) - many + 1)
    )


def _written(part: Any) -> str:
    if isinstance(part, str):
        return part
    number = exact(part)
    return str(number.numerator) if number.denominator == 1 else _decimal(part)


def _decimal(number: float) -> str:
    return f"{number:.17f}".rstrip("0") if "e" in repr(number) else repr(number)


def _any(spec: Mapping[str, Any], text: str) -> str | None:
    wanted = spec["contains_any"]
    return None if any(holds(text, part) for part in wanted) else f"it holds none of {wanted!r}"


def _all(spec: Mapping[str, Any], text: str) -> str | None:
    missing = [part for part in spec["contains_all"] if not holds(text, part)]
    return f"it does not hold {', '.join(map(repr, missing))}" if missing else None


def _close(spec: Mapping[str, Any], text: str) -> str | None:
    target, tolerance = exact(spec["close_to"]), exact(spec["tolerance"])
    for token in tokens(text):
        if isinstance(token.value, Decimal) and abs(Fraction(token.value) - target) <= tolerance:
            return None
    return f"it holds no number within {spec['tolerance']} of {spec['close_to']}"


def _moment(spec: Mapping[str, Any], text: str) -> str | None:
    said = spec["same_moment_as"]
    moment = read_moment(said)
    assert moment is not None
    day, clock = moment
    found = tokens(text)
    timed = day is None or bool(clock.hour or clock.minute) or ":" in said
    fits = day is None or any(_is_day(token, day) for token in found)
    if fits and timed:
        hour = f"{clock.hour:02}:{clock.minute:02}"
        fits = any(token.kind == "time" and token.value == hour for token in found)
    return None if fits else f"it does not hold the moment {said!r}"


def _is_day(token: Token, day: Sequence[int | None]) -> bool:
    if token.kind != "date" or not isinstance(token.value, tuple):
        return False
    return all(None in (one, two) or one == two for one, two in zip(token.value, day, strict=True))


def _max_words(spec: Mapping[str, Any], text: str) -> str | None:
    most, many = int(spec["max_words"]), len(text.split())
    return None if many <= most else f"it has {many} words; {most} at most are wanted"


def _pattern(spec: Mapping[str, Any], text: str) -> str | None:
    pattern = spec["pattern"]
    return None if matches(pattern, text) else f"it does not match {pattern!r}"


def _any_of(spec: Mapping[str, Any], text: str) -> str | None:
    faults = [_fault(inner, text) for inner in spec["anyOf"]]
    return None if None in faults else "; ".join(fault for fault in faults if fault)


def _all_of(spec: Mapping[str, Any], text: str) -> str | None:
    return next((f for inner in spec["allOf"] if (f := _fault(inner, text)) is not None), None)


def _not(spec: Mapping[str, Any], text: str) -> str | None:
    return f"it holds {spec['not']!r}" if _fault(spec["not"], text) is None else None


_CHECKS: Mapping[str, Callable[[Mapping[str, Any], str], str | None]] = {
    "contains_any": _any,
    "contains_all": _all,
    "close_to": _close,
    "tolerance": lambda spec, text: None,
    "same_moment_as": _moment,
    "max_words": _max_words,
    "pattern": _pattern,
    "anyOf": _any_of,
    "allOf": _all_of,
    "not": _not,
}
