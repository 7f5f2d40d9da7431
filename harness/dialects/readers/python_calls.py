"""
One Python call, ``f(a=1, b='x')``: where it ends, what its arguments are, and how it is written.

Arguments are keywords with literal values; ``**{'a-b': 1}`` passes a name that is not an
identifier. Tuples are arrays. `ast` parses one call at a time and nothing is ever evaluated.
"""

import ast
import keyword
import re
import unicodedata
import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

from harness.dialects.base import Attempt
from harness.dialects.readers.json_text import MAX_DEPTH, MAX_DIGITS, Trouble, unsound
from harness.dialects.readers.tags import Written
from harness.messages import ToolCall

MAX_LENGTH = 100_000
"""Longer calls are refused, in characters: the parser needs many times their size in memory."""

NAME = r"[^\W\d][\w.-]*"
"""The name of a tool before its bracket: letters, digits, ``_ . -``."""

_NAME = re.compile(NAME)

OPEN = re.compile(rf"({NAME})\(")
"""Where a call begins."""

ENDS = re.compile(
    r"<\|eot_id\|>|<\|eom_id\|>|<\|eot\|>|<\|end_of_text\|>|<end_of_turn>|<\|im_end\|>"
    r"|<\|endoftext\|>|<bot_end>|<\|EOT\|>|</s>"
)
"""Tokens that end a turn in the families that write Python."""

LOST = (
    r"\[\s*NAME\(",
    r"(?<![\w.])NAME\(\s*(?=[^\W\d]\w*\s*=(?!=)|\*\*\{)",
    r"^[ \t]*NAME\(\s*\)(?=(?:[ \t]*[,;][ \t]*[\w.-]+\(\s*\))*+[ \t]*[\],;]?[ \t]*$)",
)
"""How a call of a declared tool begins in Python, for `harness.dialects.readers.lost`: in a list,
with an argument, or where a line contains only calls. Prose contains ``f()`` too."""

JSON_WORDS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
"""Words that some families write in addition to Python's own."""

_WARNED_OF = re.compile(r"\\|[0-9]\.?[a-z]", re.IGNORECASE)
"""An escape that Python may not know, or a number directly followed by a word."""

_PLAIN = re.compile(r"[^\"'()\[\]{}<#`]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"""|\'\'\'(?:[^\'\\]|\\.|\'(?!\'\'))*+\'\'\''
    r'|(?!""")"(?:[^"\\\r\n]|\\(?:\r\n|.))*+"'
    r"|(?!''')'(?:[^'\\\r\n]|\\(?:\r\n|.))*+'",
    re.DOTALL,
)
_BROKEN_STRING = re.compile(
    r'(?!""")"(?:[^"\\\r\n]|\\(?:\r\n|.))*+[\r\n]'
    r"|(?!''')'(?:[^'\\\r\n]|\\(?:\r\n|.))*+[\r\n]",
    re.DOTALL,
)
_PLAIN_PAIR = re.compile(
    r"([A-Za-z_][A-Za-z0-9_]*)="
    r"(?:'([^'\\\x00-\x1f\ud800-\udfff]*+)'|\"([^\"\\\x00-\x1f\ud800-\udfff]*+)\")"
    r"(?:, ?|(?=\)\Z))"
)
_CLOSERS = {"(": ")", "[": "]", "{": "}"}


class Broken(Exception):  # noqa: N818 - data about a text, never an error that reaches a user
    """
    Why a call cannot be read; `early` if the answer only ends too soon.
    """

    def __init__(self, what: str, *, at: int | None = None, early: bool = False):
        super().__init__(what)
        self.what = what
        self.at = at
        """The position in the answer, in characters, if there is a single one."""
        self.early = early

    @property
    def reason(self) -> str:
        """
        What is wrong, and where.
        """
        return self.what if self.at is None else f"{self.what} (character {self.at})"


def space_end(output: str, at: int) -> int:
    """
    Skip white space.
    """
    while output[at : at + 1].isspace():
        at += 1
    return at


def word_end(output: str, at: int) -> int:
    """
    Skip a name.
    """
    word = _NAME.match(output, at)
    return word.end() if word else at


def stop(output: str, at: int, reason: str) -> NoReturn:
    """
    Return what is wrong here; at the end of the answer only that it ends.
    """
    if at >= len(output) or ENDS.match(output, at):
        raise Broken("the answer ends inside the list", early=True)
    raise Broken(reason, at=at)


def call_end(output: str, at: int) -> int:
    """
    Find the end of the call whose opening bracket is here.
    """
    begin = at
    awaited: list[str] = []
    while True:
        plain = _PLAIN.match(output, at)
        at = plain.end() if plain else at
        char = output[at : at + 1]
        if at - begin > MAX_LENGTH:
            raise Broken(f"a call of more than {MAX_LENGTH} characters")
        if char in _CLOSERS:
            if len(awaited) > MAX_DEPTH:
                raise Broken(f"nested deeper than {MAX_DEPTH} levels", at=at)
            awaited.append(_CLOSERS[char])
            at += 1
        elif char and char == awaited[-1]:
            awaited.pop()
            at += 1
            if not awaited:
                return at
        elif char and char in "\"'":
            string = _STRING.match(output, at)
            if string is None:
                broken = _BROKEN_STRING.match(output, at)
                stop(output, at if broken else len(output), "a string is not closed on its line")
            at = string.end()
        else:
            reason = f"expected {awaited[-1]!r}" if char in ")]}" else f"{char!r} is not a literal"
            stop(output, at, reason)


def attempt(
    output: str, start: int, end: int, name: str, words: Mapping[str, Any] | None = None
) -> Attempt:
    """
    Read the call of *name* from *start* to *end*; *words* are literals in addition to Python's.
    """
    raw = output[start:end]
    try:
        arguments = _arguments(raw[len(name) :], words or {})
    except Broken as broken:
        return unreadable(output, start, end, name, broken.reason)
    return Attempt(name=name, arguments=arguments, raw=raw, start=start)


def unreadable(
    output: str, start: int, end: int, name: str | None, problem: str, *, unfinished: bool = False
) -> Attempt:
    """
    Return the attempt from *start* to *end*, which cannot be read.
    """
    return Attempt(
        name=name,
        arguments=None,
        raw=output[start:end],
        start=start,
        problem=problem,
        unfinished=unfinished,
    )


def _parsed(text: str) -> ast.expr:
    if _WARNED_OF.search(text) is None:
        return ast.parse(text, mode="eval").body
    # Python's warnings are about the model's text, not our code. This costs as much as the reading.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode="eval").body


def _arguments(bracketed: str, words: Mapping[str, Any]) -> Mapping[str, Any]:
    if len(bracketed) > MAX_LENGTH:
        raise Broken(f"a call of more than {MAX_LENGTH} characters")
    if (plain := _plain_strings(bracketed)) is not None:
        return plain
    try:
        call = _parsed("f" + bracketed)
        found = _keywords(call, words)
        problem = unsound(found)
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        if "digits" in reason:  # Python's message names a setting of the interpreter
            raise Broken(f"a number of more than {MAX_DIGITS} digits") from None
        raise Broken(f"not a Python call: {reason}") from None
    except (RecursionError, MemoryError):
        raise Broken("nested too deeply") from None
    if problem is not None:
        raise Broken(problem)
    return found


def _plain_strings(bracketed: str) -> dict[str, str] | None:
    """
    Read what most calls contain, keywords with strings without escapes; return None for everything
    else, and wherever the parser might differ. The parser takes several times as long.
    """
    found: dict[str, str] = {}
    at, end = 1, len(bracketed) - 1
    while at < end:
        pair = _PLAIN_PAIR.match(bracketed, at)
        if pair is None:
            return None
        name, single, double = pair.groups()
        if name in found or keyword.iskeyword(name) or name == "__debug__":
            return None
        found[name] = double if single is None else single
        at = pair.end()
    return found if at == end else None


def _keywords(call: ast.expr, words: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(call, ast.Call):
        raise Broken("no call")
    if call.args:
        raise Broken("a positional argument")
    pairs: list[tuple[Any, Any]] = []
    for argument in call.keywords:
        value = _value(argument.value, words)
        if argument.arg is not None:
            pairs.append((argument.arg, value))
        elif isinstance(value, dict):
            pairs += value.items()
        else:
            raise Broken("** needs a dictionary")
    return _unrepeated(pairs)


def _unrepeated(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if not isinstance(key, str):
            raise Broken("a key is not a string")
        if key in found:
            raise Broken(f"{key!r} appears twice")
        found[key] = value
    return found


def _value(node: ast.expr, words: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | None):
            return node.value
        case ast.UnaryOp(
            op=ast.USub() | ast.UAdd() as sign,
            operand=ast.Constant(value=int() | float() as number),
        ) if not isinstance(number, bool):
            return -number if isinstance(sign, ast.USub) else number
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, words) for item in items]
        case ast.Dict(keys=keys, values=values):
            if None in keys:
                raise Broken("** inside a dictionary")
            return _unrepeated(
                [
                    (_value(k, words), _value(v, words))
                    for k, v in zip(keys, values, strict=True)
                    if k is not None
                ]
            )
        case ast.Call():
            raise Broken("a call inside a call")
        case ast.Name(id=word) if word in words:
            return words[word]
        case ast.Name(id=word):
            raise Broken(f"{word[:60]} is not a Python literal")
        case _:
            raise Broken(f"an expression ({type(node).__name__}) is not a literal")


def rendered_call(call: ToolCall) -> str:
    """
    Write *call* as Python.

    Raises:
        ValueError: for a name that cannot precede a bracket, or a value that JSON cannot represent.
    """
    if re.fullmatch(NAME, call.name) is None:
        raise ValueError(f"the tool name {call.name!r} cannot precede a bracket")
    if (problem := unsound(call.arguments)) is not None:
        raise ValueError(problem)
    parts = []
    others = {}
    for name, value in call.arguments.items():
        plain = name.isidentifier() and not keyword.iskeyword(name)
        if plain and unicodedata.normalize("NFKC", name) == name:
            parts.append(f"{name}={value!r}")
        else:
            others[name] = value
    if others:
        parts.append(f"**{others!r}")
    return f"{call.name}({', '.join(parts)})"


def read_calls(
    text: str, at: int, between: re.Pattern[str], words: Mapping[str, Any] | None = None
) -> tuple[Written, ...]:
    """
    Read consecutive calls; *between* matches what separates them; at least one.

    For the formats of `harness.dialects.readers.tags`. *between* also matches what may end the last
    call.

    Raises:
        Trouble: if one cannot be read to its end, with those before it.
    """
    done: list[Written] = []
    while True:
        at = space_end(text, at)
        known: tuple[str, int] | None = None
        try:
            opening = OPEN.match(text, at)
            if opening is None:
                stop(text, word_end(text, at), "expected a call")
            name = opening.group(1)
            known = (name, opening.end())
            end = call_end(text, opening.end() - 1)
        except Broken as broken:
            place = len(text) if broken.early else at
            raise Trouble(
                broken.what,
                place if broken.at is None else broken.at,
                early=broken.early,
                sure=at,
                name=known,
                repairable=False,
                done=tuple(done),
            ) from None
        found = attempt(text, at, end, name, words)
        separator = between.match(text, end)
        following = separator is not None and OPEN.match(text, separator.end()) is not None
        done.append(
            Written(
                name=name,
                arguments=found.arguments,
                # The separator between two calls belongs to the second.
                end=end if separator is None or following else separator.end(),
                problem=found.problem,
            )
        )
        if separator is None or not following:
            return tuple(done)
        at = separator.end()
