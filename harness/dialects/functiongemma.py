"""
FunctionGemma: ``<start_function_call>call:NAME{key:<escape>text<escape>,n:3}<end_function_call>``.

Source: "FunctionGemma formatting and best practices" (ai.google.dev/gemma/docs/functiongemma).
Keys are bare; strings, and only strings, stand in ``<escape>``; the rest is JSON. Several calls
follow each other without a separator, and the model then writes ``<start_function_response>``,
which is a stop.

Where the page is silent: white space may stand between the tokens inside the braces (Google's own
example parser strips it), but not around ``call:``, the name or the outer braces, where no
published parser allows it. ``None`` is null, which is how a Jinja template prints it. What is typed
is decided by ``<escape>`` alone: ``<escape>007<escape>`` stays text. (vLLM's parser drops every
argument outside ``<escape>``, turns numerals inside it into numbers and completes a call that was
cut off; none of that is copied here.)
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from harness.dialects.base import Reading
from harness.dialects.scanning import JsonReader, Trouble
from harness.dialects.tagged import Bare, Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_ESCAPE = "<escape>"
_TAGS = Tags(
    opener="<start_function_call>",
    closer="<end_function_call>",
    ends=("<start_function_response>", "<end_of_turn>", "<eos>"),
    spaced=False,
    removed=("<end_function_call>", "<start_of_turn>", _ESCAPE, "<bos>", "<pad>"),
)
_NAME = re.compile(r"[^\s{}<>]*")
_KEY = re.compile(r"[^:,{}\[\]<>\"'\r\n]*")


class FunctionGemma:
    """
    The dialect described above.
    """

    name = "functiongemma"
    version = 1
    stops = ("<start_function_response>", "<end_of_turn>")

    def recognises(self, template: str) -> bool:
        """
        Whether *template* writes calls with FunctionGemma's control tokens.
        """
        return _TAGS.opener in template and _ESCAPE in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return _read_strictly(output)

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these mends: strings and keys in double quotes, a
        trailing comma; and ``call:NAME{...}`` without control tokens at the start of a line.
        """
        strict = _read_strictly(output)
        return read_tagged(output, _TAGS, _lenient, _BARE) if _may_be_mended(strict) else strict

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the official template does: keys sorted without regard to case.

        Raises:
            ValueError: for a name, key or value this format cannot hold.
        """
        if not calls:
            return "<end_of_turn>"
        return "".join(map(_rendered, calls)) + "<start_function_response>"


class _Reader(JsonReader):
    words: ClassVar[Mapping[str, Any]] = {**JsonReader.words, "None": None}
    wanted: ClassVar[str] = "<escape>, a number, a boolean, null, [ or {"

    def string(self, at: int) -> tuple[str, int] | None:
        if self.text.startswith(_ESCAPE, at):
            begin = at + len(_ESCAPE)
            end = self.text.find(_ESCAPE, begin)
            if end < 0:
                self.fail("", at, early=True)
            return self.sound(self.text[begin:end], at), end + len(_ESCAPE)
        if self.begins(_ESCAPE, at):
            self.fail("", at, early=True)
        if self.text[at : at + 1] == '"' and self.mend("quoted string"):
            return self.quoted(at)
        return None

    def read_key(self, at: int) -> tuple[str, int]:
        if self.text[at : at + 1] == '"' and self.mend("quoted key"):
            return self.quoted(at)
        match = _KEY.match(self.text, at)
        end = match.end() if match else at
        key = self.text[at:end].strip()
        if not key:
            self.fail("expected a key", end)
        return key, end


def _written(text: str, at: int, reader: _Reader) -> tuple[Written, ...]:
    reader.sure = at
    if not text.startswith("call:", at):
        reader.fail("expected call:", at, early=reader.begins("call:", at))
    match = _NAME.match(text, at + 5)
    end = match.end() if match else at
    if text[end : end + 1] != "{":
        reader.fail("expected '{' after the name", end)
    name = text[at + 5 : end]
    if not name:
        reader.fail("expected a name", end)
    reader.name = (name, end)
    value, end = reader.value(end)
    return (Written(name=name, arguments=value, end=end, repairs=tuple(reader.repairs)),)


# Judging asks for both readings of one answer in turn, and most answers need no second one.
@lru_cache(maxsize=1)
def _read_strictly(output: str) -> Reading:
    return read_tagged(output, _TAGS, _strict)


def _may_be_mended(strict: Reading) -> bool:
    """
    Whether a lenient reading could differ; false only where each of its mends is ruled out.
    """
    return "call:" in strict.text or not all(call.readable for call in strict.attempts)


def _strict(text: str, at: int) -> tuple[Written, ...]:
    return _written(text, at, _Reader(text))


def _lenient(text: str, at: int) -> tuple[Written, ...]:
    try:
        return _strict(text, at)
    except Trouble as trouble:
        try:
            return _written(text, at, _Reader(text, loose=True))
        except Trouble as second:
            # Loose or strict, what ends too early stays unfinished.
            raise (second if second.early else trouble) from None


_BARE = Bare(begin=re.compile(r"^(?=call:[^\s{}<>]+\{)", re.MULTILINE), body=_lenient)


def _rendered(call: ToolCall) -> str:
    match = _NAME.fullmatch(call.name)
    if match is None or not call.name:
        raise ValueError(f"FunctionGemma cannot write the tool name {call.name!r}")
    return f"{_TAGS.opener}call:{call.name}{_value(dict(call.arguments))}{_TAGS.closer}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        if _ESCAPE in value:
            raise ValueError("FunctionGemma cannot write a string that holds <escape>")
        return f"{_ESCAPE}{value}{_ESCAPE}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        # Jinja's dictsort, which the template uses, ignores case and keeps the order of equals.
        pairs = sorted(value.items(), key=lambda pair: str(pair[0]).lower())
        return "{" + ",".join(f"{_key(key)}:{_value(item)}" for key, item in pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_value, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"FunctionGemma cannot write {value}")
    if isinstance(value, int | float):
        return repr(value)
    raise ValueError(f"FunctionGemma cannot write a {type(value).__name__}")


def _key(key: Any) -> str:
    if not isinstance(key, str) or key != key.strip() or not key or not _KEY.fullmatch(key):
        raise ValueError(f"FunctionGemma cannot write the argument name {key!r}")
    return key


FUNCTIONGEMMA = FunctionGemma()
