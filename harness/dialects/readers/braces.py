"""
Google's notation of a call, ``call:NAME{key:<quote>text<quote>,n:3}``, used by two dialects.

Keys are bare; strings, and only strings, are wrapped in the family's quote token; the rest is JSON.
White space is allowed between the tokens inside the braces, but not around ``call:``, the name or
the outer braces. ``None`` is null, as a Jinja template prints it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.dialects.readers.json_text import JsonReader, Trouble
from harness.dialects.readers.tags import Written
from harness.messages import ToolCall

_NAME = re.compile(r"[^\s{}<>]*")
_KEY = re.compile(r"[^:,{}\[\]<>\"'\r\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Braces:
    """
    What differs between the dialects.
    """

    family: str
    """The name in error messages."""
    quote: str
    """The token at both ends of a string."""
    single_quotes: bool = False
    """Whether a lenient reading accepts Python strings too."""
    equals: bool = False
    """Whether a lenient reading accepts ``=`` for the colon."""

    def read(self, text: str, at: int) -> tuple[Written, ...]:
        """
        Read the call that begins at *at*; always one.

        Raises:
            Trouble: if it cannot be read.
        """
        return _written(text, at, _Reader(text, self))

    def read_leniently(self, text: str, at: int) -> tuple[Written, ...]:
        """
        Read as `read` does, with the repairs of a lenient reading.

        Raises:
            Trouble: if it cannot be read even with repairs.
        """
        try:
            return self.read(text, at)
        except Trouble as trouble:
            if not trouble.repairable:
                raise
            try:
                return _written(text, at, _Reader(text, self, loose=True))
            except Trouble as second:
                # Text that ends too early stays unfinished, read loosely or strictly.
                raise (second if second.early else trouble) from None

    def render(self, call: ToolCall) -> str:
        """
        Write *call* as the official template does: keys sorted ignoring case.

        Raises:
            ValueError: for a name, key or value this notation cannot represent.
        """
        if not call.name or not _NAME.fullmatch(call.name):
            raise ValueError(f"{self.family} cannot write the tool name {call.name!r}")
        return f"call:{call.name}{self._value(dict(call.arguments))}"

    def _value(self, value: Any) -> str:
        if isinstance(value, str):
            if self.quote in value:
                raise ValueError(f"{self.family} cannot write a string that contains {self.quote}")
            return f"{self.quote}{value}{self.quote}"
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, Mapping):
            # Jinja's dictsort, which the template uses, ignores case and is stable.
            pairs = sorted(value.items(), key=lambda pair: str(pair[0]).lower())
            return "{" + ",".join(f"{self._key(k)}:{self._value(v)}" for k, v in pairs) + "}"
        if isinstance(value, list | tuple):
            return "[" + ",".join(map(self._value, value)) + "]"
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{self.family} cannot write {value}")
        if isinstance(value, int | float):
            return repr(value)
        raise ValueError(f"{self.family} cannot write a {type(value).__name__}")

    def _key(self, key: Any) -> str:
        if not isinstance(key, str) or key != key.strip() or not key or not _KEY.fullmatch(key):
            raise ValueError(f"{self.family} cannot write the argument name {key!r}")
        if self.equals and "=" in key:
            raise ValueError(f"{self.family} cannot write the argument name {key!r}")
        return key


class _Reader(JsonReader):
    words: ClassVar[Mapping[str, Any]] = {**JsonReader.words, "None": None}

    def __init__(self, text: str, braces: Braces, *, loose: bool = False):
        super().__init__(text, loose=loose)
        self.braces = braces
        self.wanted = f"{braces.quote}, a number, a boolean, null, [ or {{"

    def string(self, at: int) -> tuple[str, int] | None:
        quote = self.braces.quote
        if self.text.startswith(quote, at):
            begin = at + len(quote)
            end = self.text.find(quote, begin)
            if end < 0:
                self.fail("", at, early=True)
            return self.sound(self.text[begin:end], at), end + len(quote)
        if self.begins(quote, at):
            self.fail("", at, early=True)
        char = self.text[at : at + 1]
        if char == '"' and self.repair("quoted string"):
            return self.quoted(at)
        if char == "'" and self.braces.single_quotes and self.repair("single quotes"):
            return self.quoted(at)
        return None

    def read_key(self, at: int) -> tuple[str, int]:
        if self.text[at : at + 1] == '"' and self.repair("quoted key"):
            return self.quoted(at)
        match = _KEY.match(self.text, at)
        end = match.end() if match else at
        if self.braces.equals and (equals := self.text.find("=", at, end)) >= 0:
            end = equals
        key = self.text[at:end].strip()
        if not key:
            self.fail("expected a key", end)
        return key, end

    def separates(self, at: int) -> bool:
        if self.braces.equals and self.text[at : at + 1] == "=":
            return self.repair("= for :")
        return super().separates(at)


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
