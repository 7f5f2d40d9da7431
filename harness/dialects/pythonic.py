"""
Pythonic: one list of Python calls, ``[f(a=1, b='x'), g()]``, and nothing else.

Asked for by the prompts of Llama 3.2, Llama 4, ToolACE and the leaderboard's models without native
calling. Arguments are keywords with literal values; ``**{'a-b': 1}`` holds a name that is no
identifier. Tuples are arrays. `ast` parses one call at a time and nothing is ever evaluated.

A list is begun with ``[``, a name and ``(`` at the start of the answer. Its calls count one by one,
each once the comma or bracket after it is there, so that cutting an answer never adds a call; for
the same reason text after the list does not undo it. ``[]`` alone is an answer without calls.
Everything else is text: no runtime looks for a list inside an answer.
"""

import ast
import keyword
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from harness.dialects.base import Attempt, Reading
from harness.dialects.scanning import MAX_DEPTH, MAX_DIGITS, unsound
from harness.messages import Tool, ToolCall

MAX_LENGTH = 100_000
"""Longer calls are refused, in characters: the parser takes many times their room."""

_NAME = r"[^\W\d][\w.-]*"
_START = re.compile(rf"\s*(?:<\|python_start\|>\s*)?\[\s*(?={_NAME}\()")
_EMPTY = re.compile(r"\s*(?:<\|python_start\|>\s*)?\[\s*\]\s*(?:<\|python_end\|>\s*)?")
_OPEN = re.compile(rf"({_NAME})\(")
_BARE = re.compile(rf"\s*(?={_NAME}\()")
_FENCE = re.compile(rf"^[ \t]*```(?:[\w+-]*\s+)?(\[\s*)?(?={_NAME}\()", re.MULTILINE)
_FENCE_END = re.compile(r"\s*```(?![\w+-])")
_ENDS = re.compile(r"<\|eot_id\|>|<\|eom_id\|>|<\|eot\|>|<\|end_of_text\|>|<end_of_turn>")
_CONTROL = re.compile(r"<\|python_start\|>|<\|python_end\|>")
_PLAIN = re.compile(r"[^\"'()\[\]{}<#]*")
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
_CLOSERS = {"(": ")", "[": "]", "{": "}"}


class Pythonic:
    """
    The dialect described above.
    """

    name = "pythonic"
    version = 1
    stops = ("<|eot_id|>", "<|eom_id|>", "<|eot|>", "<end_of_turn>")

    def recognises(self, template: str) -> bool:
        """
        Whether *template* holds the instruction that these families are prompted with.
        """
        return "[func_name1(params_name1=" in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        begun = _START.match(output)
        if begun is None:
            text = _text(output)
            return Reading(text="" if _EMPTY.fullmatch(text) else text)
        attempts, end = _list(output, begun.end())
        return Reading(attempts=attempts, text=_text(output[end:]))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these mends: a code fence around the list, text around the fence, and
        the list's brackets missing, in a fence or around the whole answer.

        Without brackets only what reads is a call, and outside a fence only with an argument:
        prose writes ``f()``, too.
        """
        strict = self.read(output)
        if strict.attempts:
            return strict
        bare = _BARE.match(output)
        if bare is not None:
            attempts, end, early = _unlisted(output, bare.end(), empty=False)
            if attempts or early:
                mended = Reading(
                    attempts=attempts, text=_text(output[end:]), repairs=("no list brackets",)
                )
                return mended if attempts else strict
        return _fenced(output) or strict

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as one list.

        Raises:
            ValueError: for a value JSON cannot hold, or a name that ends too early.
        """
        return "[" + ", ".join(map(_rendered, calls)) + "]<|eot_id|>"


class _Broken(Exception):  # noqa: N818 - data about a text, never an error that reaches a user
    def __init__(self, reason: str, *, early: bool = False):
        super().__init__(reason)
        self.reason = reason
        self.early = early


def _text(output: str) -> str:
    end = _ENDS.search(output)
    return _CONTROL.sub("", output[: end.start()] if end else output).strip()


def _list(output: str, at: int) -> tuple[tuple[Attempt, ...], int]:
    """
    Read the calls of a list from its first name on; also give where the list ends.
    """
    attempts: list[Attempt] = []
    while True:
        start = at
        name: str | None = None
        try:
            opening = _OPEN.match(output, at)
            if opening is None:
                _stop(output, _word_end(output, at), "expected a call")
            name = opening.group(1)
            end = _call_end(output, opening.end() - 1)
            at = _space_end(output, end)
            if output[at : at + 1] not in (",", "]"):
                _stop(output, at, "expected ',' or ']' after the call")
        except _Broken as broken:
            mark = _ENDS.search(output, start)
            end = mark.start() if mark else len(output)
            attempts.append(_bad(output, start, end, name, broken.reason, unfinished=broken.early))
            return tuple(attempts), end
        attempts.append(_attempt(output, start, end, name))
        closed = output[at] == "]"
        at = _space_end(output, at + 1)
        if not closed and output[at : at + 1] == "]":
            closed, at = True, at + 1
        if closed:
            return tuple(attempts), at


def _unlisted(output: str, at: int, *, empty: bool) -> tuple[tuple[Attempt, ...], int, bool]:
    """
    Read calls without the brackets of a list; also give where they end, and whether the answer
    ends inside one: what looks like a call in there may be the inside of a string.
    """
    attempts: list[Attempt] = []
    end = at
    while (opening := _OPEN.match(output, at)) is not None:
        try:
            after = _call_end(output, opening.end() - 1)
        except _Broken as broken:
            return tuple(attempts), end, broken.early
        attempt = _attempt(output, at, after, opening.group(1))
        if not attempt.readable or not (attempt.arguments or empty):
            break
        attempts.append(attempt)
        end = after
        at = _space_end(output, end)
        if output[at : at + 1] == ",":
            at = _space_end(output, at + 1)
    return tuple(attempts), end, False


def _fenced(output: str) -> Reading | None:
    attempts: list[Attempt] = []
    repairs: list[str] = []
    text: list[str] = []
    at = 0
    while (fence := _FENCE.search(output, at)) is not None:
        if _ENDS.search(output, at, fence.start()) is not None:
            break
        listed = fence.group(1) is not None
        if listed:
            found, end = _list(output, fence.end())
            early = False
        else:
            found, end, early = _unlisted(output, fence.end(), empty=True)
        if not found:
            if early:
                break
            text.append(output[at : fence.end()])
            at = fence.end()
            continue
        attempts.extend(found)
        repairs += ["code fence"] if listed else ["code fence", "no list brackets"]
        text.append(output[at : fence.start()])
        closing = _FENCE_END.match(output, end)
        at = closing.end() if closing else end
        if early:
            break
    if not attempts:
        return None
    text.append(_text(output[at:]))
    around = _CONTROL.sub("", "".join(text)).strip()
    if around:
        repairs.append("text around the fence")
    return Reading(attempts=tuple(attempts), text=around, repairs=tuple(dict.fromkeys(repairs)))


def _space_end(output: str, at: int) -> int:
    while output[at : at + 1].isspace():
        at += 1
    return at


def _word_end(output: str, at: int) -> int:
    word = re.compile(_NAME).match(output, at)
    return word.end() if word else at


def _stop(output: str, at: int, reason: str) -> NoReturn:
    """
    Say what is wrong here; where the answer ends, only that.
    """
    if at >= len(output) or _ENDS.match(output, at):
        raise _Broken("the answer ends inside the list", early=True)
    raise _Broken(f"{reason} (character {at})")


def _call_end(output: str, at: int) -> int:
    """
    Find the end of the call whose opening bracket stands here.
    """
    begin = at
    awaited: list[str] = []
    while True:
        plain = _PLAIN.match(output, at)
        at = plain.end() if plain else at
        char = output[at : at + 1]
        if at - begin > MAX_LENGTH:
            raise _Broken(f"a call of more than {MAX_LENGTH} characters")
        if char in _CLOSERS:
            if len(awaited) > MAX_DEPTH:
                raise _Broken(f"nested deeper than {MAX_DEPTH} levels (character {at})")
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
                _stop(output, at if broken else len(output), "a string is not closed on its line")
            at = string.end()
        else:
            reason = f"expected {awaited[-1]!r}" if char in ")]}" else f"{char!r} is no literal"
            _stop(output, at, reason)


def _attempt(output: str, start: int, end: int, name: str) -> Attempt:
    raw = output[start:end]
    try:
        arguments = _arguments(raw[len(name) :])
    except _Broken as broken:
        return _bad(output, start, end, name, broken.reason)
    return Attempt(name=name, arguments=arguments, raw=raw, start=start)


def _bad(
    output: str, start: int, end: int, name: str | None, problem: str, *, unfinished: bool = False
) -> Attempt:
    return Attempt(
        name=name,
        arguments=None,
        raw=output[start:end],
        start=start,
        problem=problem,
        unfinished=unfinished,
    )


def _arguments(bracketed: str) -> Mapping[str, Any]:
    if len(bracketed) > MAX_LENGTH:
        raise _Broken(f"a call of more than {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unknown escape is the model's, not ours
            call = ast.parse("f" + bracketed, mode="eval").body
        found = _keywords(call)
        problem = unsound(found)
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        if "digits" in reason:  # Python's words name a setting of the interpreter
            raise _Broken(f"a number of more than {MAX_DIGITS} digits") from None
        raise _Broken(f"no Python call: {reason}") from None
    except (RecursionError, MemoryError):
        raise _Broken("nested too deep") from None
    if problem is not None:
        raise _Broken(problem)
    return found


def _keywords(call: ast.expr) -> dict[str, Any]:
    if not isinstance(call, ast.Call):
        raise _Broken("no call")
    if call.args:
        raise _Broken("a positional argument")
    pairs: list[tuple[Any, Any]] = []
    for argument in call.keywords:
        value = _value(argument.value)
        if argument.arg is not None:
            pairs.append((argument.arg, value))
        elif isinstance(value, dict):
            pairs += value.items()
        else:
            raise _Broken("** needs a dictionary")
    return _unrepeated(pairs)


def _unrepeated(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if not isinstance(key, str):
            raise _Broken("a key is no string")
        if key in found:
            raise _Broken(f"{key!r} stands twice")
        found[key] = value
    return found


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | None):
            return node.value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            if isinstance(number, bool):
                raise _Broken("an expression (UnaryOp) is no literal")
            return -number
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            if None in keys:
                raise _Broken("** inside a dictionary")
            return _unrepeated(
                [(_value(k), _value(v)) for k, v in zip(keys, values, strict=True) if k is not None]
            )
        case ast.Call():
            raise _Broken("a call inside a call")
        case ast.Name(id=word):
            raise _Broken(f"{word[:60]} is no Python literal")
        case _:
            raise _Broken(f"an expression ({type(node).__name__}) is no literal")


def _rendered(call: ToolCall) -> str:
    if re.fullmatch(_NAME, call.name) is None:
        raise ValueError(f"the tool name {call.name!r} cannot stand before a bracket")
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


PYTHONIC = Pythonic()
