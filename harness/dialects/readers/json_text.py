"""
Read one JSON value from a model's text, and say exactly why if it cannot be read.

Stricter than `json` where a silent choice would change a call: a repeated key, NaN and infinities,
a number that no float can represent and half a surrogate pair are troubles, not values. Text that
stops too early (a proper prefix of some value: the model was cut off) is told from text that is
wrong. Integers are kept exactly. Nesting is bounded, so no input can exhaust the stack.

Time is linear in the text: nothing long is read twice, and no pattern here can backtrack. Checked
by hand on a megabyte each of ``{"``, ``[``, ``\\"``, ``1`` and unclosed calls; a timed test would
only measure the machine.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

MAX_DEPTH = 64
"""Deeper values are refused. Real calls nest three or four levels deep."""

MAX_DIGITS = 4000
"""Longer numbers are refused: Python itself refuses to convert them from 4,300 digits on."""

NAME_KEYS = ("name", "tool_name")
"""Keys of the outermost object under which a call has its name."""

_SPACE = re.compile(r"[ \t\n\r]*")
_SPACES = (" ", "\t", "\n", "\r")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_EXPONENT_BEGUN = r"[eE][+-]?[0-9]*"
_NUMBER_BEGUN = re.compile(
    rf"-?(?:(?:0|[1-9][0-9]*)(?:\.(?:[0-9]+(?:{_EXPONENT_BEGUN})?)?|{_EXPONENT_BEGUN})?)?"
)
_PLAIN = {
    '"': re.compile(r'[^"\\\x00-\x1f]*'),
    "'": re.compile(r"[^'\\\x00-\x1f]*"),
}
_WHOLE = {
    '"': re.compile(r'"([^"\\\x00-\x1f]*+)"'),
    "'": re.compile(r"'([^'\\\x00-\x1f]*+)'"),
}
"""Strings without an escape."""
_HEX = re.compile(r"[0-9a-fA-F]{0,4}")
_ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_JSON = ("NaN", "Infinity")


class Trouble(Exception):  # noqa: N818 - data about a text, never an error that reaches a user
    """
    Why a text cannot be read from here on.
    """

    def __init__(
        self,
        reason: str,
        position: int,
        *,
        early: bool,
        sure: int,
        name: tuple[str, int] | None,
        repairable: bool,
        done: tuple[Any, ...] = (),
    ):
        super().__init__(reason)
        self.reason = reason
        self.position = position
        """Where the trouble is, in characters from the start of the text."""
        self.early = early
        """Whether the text so far is the beginning of something readable and only ends too soon."""
        self.sure = sure
        """From this position on nothing is certain: a string that begins here may have swallowed
        what follows."""
        self.name = name
        """The call's name and where it ends, if it was read before the trouble."""
        self.repairable = repairable
        """Whether a loose reader would have continued at some point."""
        self.done = done
        """Calls of the same list that were read before the trouble (`tags.Written`)."""


class JsonReader:
    """
    Reads JSON values from *text*; one reader for one value.

    A loose reader also accepts single quotes and a trailing comma, which can mean only one thing,
    and adds each such repair to `repairs`.
    """

    words: ClassVar[Mapping[str, Any]] = {"true": True, "false": False, "null": None}
    wanted: str = "a JSON value"

    def __init__(self, text: str, *, loose: bool = False):
        self.text = text
        self.loose = loose
        self.repairs: list[str] = []
        self.repairable = False
        self.sure = 0
        self.name: tuple[str, int] | None = None
        self.outer: dict[str, Any] = {}
        """The pairs of the outermost object read so far."""
        self.key: str | None = None
        """The key of the outermost object whose value is being read."""
        self.item_ends: list[int] = []
        """Where the items of the outermost array end."""

    def fail(self, reason: str, at: int, *, early: bool = False) -> NoReturn:
        """
        Stop reading.

        Raises:
            Trouble: always; `early` is also true at the end of the text.
        """
        early = early or at >= len(self.text)
        if early:
            reason = "the text ends too early"
        raise Trouble(
            reason, at, early=early, sure=self.sure, name=self.name, repairable=self.repairable
        )

    def repair(self, phrase: str) -> bool:
        """
        Return whether this reader may accept something loose, and record it if so.
        """
        if not self.loose:
            self.repairable = True
        elif phrase not in self.repairs:
            self.repairs.append(phrase)
        return self.loose

    def skip(self, at: int) -> int:
        """
        Skip white space.
        """
        # Usually there is none.
        if self.text[at : at + 1] not in _SPACES:
            return at
        match = _SPACE.match(self.text, at)
        return match.end() if match else at

    def begins(self, word: str, at: int) -> bool:
        """
        Return whether the text ends here with the first characters of *word*, but not all of them.
        """
        return 0 < len(self.text) - at < len(word) and word.startswith(self.text[at:])

    def value(self, at: int, depth: int = 0) -> tuple[Any, int]:
        """
        Read the value that begins at or after *at*; also return where it ends.

        Raises:
            Trouble: if there is none.
        """
        at = self.skip(at)
        char = self.text[at : at + 1]
        if char in ("{", "["):
            if depth >= MAX_DEPTH:
                self.fail(f"nested deeper than {MAX_DEPTH} levels", at)
            return self._object(at + 1, depth) if char == "{" else self._array(at + 1, depth)
        found = self.string(at)
        return found if found is not None else self._scalar(at)

    def string(self, at: int) -> tuple[str, int] | None:
        """
        Read the string that begins exactly here, or return None if none does.
        """
        quote = self.text[at : at + 1]
        if quote == '"' or (quote == "'" and self.repair("single quotes")):
            return self.quoted(at)
        return None

    def read_key(self, at: int) -> tuple[str, int]:
        """
        Read the key that begins exactly here.
        """
        found = self.string(at)
        if found is None:
            self.fail("expected a key in double quotes", at)
        return found

    def separates(self, at: int) -> bool:
        """
        Return whether a key is separated from its value here.
        """
        return self.text[at : at + 1] == ":"

    def quoted(self, at: int) -> tuple[str, int]:
        """
        Read a string whose opening quote is here, by JSON's rules for escapes.
        """
        text = self.text
        quote = text[at]
        whole = _WHOLE[quote].match(text, at)
        if whole is not None:
            return self.sound(whole.group(1), at), whole.end()
        parts: list[str] = []
        here = at + 1
        while True:
            plain = _PLAIN[quote].match(text, here)
            if plain is not None:
                parts.append(plain.group())
                here = plain.end()
            char = text[here : here + 1]
            if char == quote:
                break
            if char == "\\":
                part, here = self._escape(here)
                parts.append(part)
            else:
                self.fail("a string contains a bare control character", here)
        return self.sound("".join(parts), at), here + 1

    def sound(self, string: str, at: int) -> str:
        """
        Join surrogate pairs; half a pair is not text.
        """
        if not _half_a_pair(string):
            return string
        joined = string.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if joined.count("\ufffd") != string.count("\ufffd"):
            self.fail("a string contains half a surrogate pair", at)
        return joined

    def _escape(self, at: int) -> tuple[str, int]:
        letter = self.text[at + 1 : at + 2]
        if letter in _ESCAPES:
            return _ESCAPES[letter], at + 2
        if letter == "u":
            digits = _HEX.match(self.text, at + 2)
            code = digits.group() if digits else ""
            if len(code) < 4:
                self.fail("\\u needs four hexadecimal digits", at + 2 + len(code))
            return chr(int(code, 16)), at + 6
        if letter == "'" and self.repair("single quotes"):
            return "'", at + 2
        # Markdown's escape. In a value it could mean a backslash, but not in a tool's name.
        if (
            letter != "_"
            or self.key not in NAME_KEYS
            or not self.repair("escaped underscore in the name")
        ):
            self.fail(f"\\{letter} is not a JSON escape", at + 1)
        return "_", at + 2

    def _scalar(self, at: int) -> tuple[Any, int]:
        char = self.text[at : at + 1]
        return self._number(at) if char == "-" or char.isdecimal() else self._word(at)

    def _word(self, at: int) -> tuple[Any, int]:
        found = next((word for word in self.words if self.text.startswith(word, at)), None)
        if found is None:
            for word in _NOT_JSON:
                if self.text.startswith(word, at):
                    self.fail(f"{word} is not a JSON number", at)
            early = any(self.begins(word, at) for word in self.words)
            self.fail(f"expected {self.wanted}", at, early=early)
        return self.words[found], at + len(found)

    def _number(self, at: int) -> tuple[Any, int]:
        if self.text.startswith("-Infinity", at):
            self.fail("-Infinity is not a JSON number", at)
        number = _NUMBER.match(self.text, at)
        begun = _NUMBER_BEGUN.match(self.text, at)
        end = number.end() if number else at
        if begun is not None and begun.end() == len(self.text) and begun.end() > end:
            self.fail("", at, early=True)
        if number is None:
            self.fail(f"expected {self.wanted}", at)
        if end - at > MAX_DIGITS:
            self.fail(f"a number of more than {MAX_DIGITS} digits", at)
        if number.group(1) is None and number.group(2) is None:
            return int(number.group()), end
        double = float(number.group())
        if math.isinf(double):
            self.fail("a number too large to represent", at)
        return double, end

    def _object(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        pairs: dict[str, Any] = {}
        if depth == 0:
            self.outer = pairs
        self.sure = at
        at = self.skip(at)
        while self.text[at : at + 1] != "}":
            key_at = at
            key, at = self.read_key(at)
            at = self.skip(at)
            if not self.separates(at):
                self.fail("expected ':' after a key", at)
            if key in pairs:
                self.fail(f"the key {key!r} appears twice", key_at)
            self.sure = at + 1
            if depth == 0:
                self.key = key
            pairs[key], at = self.value(at + 1, depth + 1)
            if depth == 0:
                self.key = None
                if key in NAME_KEYS and isinstance(pairs[key], str):
                    self.name = (pairs[key], at)
            at = self._next(at, "}")
        self.sure = at + 1
        return pairs, at + 1

    def _array(self, at: int, depth: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        self.sure = at
        at = self.skip(at)
        while self.text[at : at + 1] != "]":
            item, at = self.value(at, depth + 1)
            items.append(item)
            if depth == 0:
                self.item_ends.append(at)
            at = self._next(at, "]")
        self.sure = at + 1
        return items, at + 1

    def _next(self, at: int, closer: str) -> int:
        at = self.skip(at)
        if self.text[at : at + 1] == closer:
            return at
        if self.text[at : at + 1] != ",":
            self.fail(f"expected ',' or '{closer}'", at)
        self.sure = at + 1
        at = self.skip(at + 1)
        if self.text[at : at + 1] == closer and not self.repair("trailing comma"):
            self.fail("a trailing comma", at)
        return at


def read_json(text: str, at: int) -> tuple[Any, int]:
    """
    Read one value as a strict `JsonReader` does, but faster where possible.

    `json` reads a short object equally well. It is not given what it would read differently: text
    so long that a number or the nesting could exceed its bound, and escaped or half surrogates.

    Raises:
        Trouble: if there is no value.
    """
    space = _SPACE.match(text, at)
    start = space.end() if space else at
    if (
        len(text) <= MAX_DIGITS
        and text.startswith("{", start)
        and text.count("{") + text.count("[") <= MAX_DEPTH
        and "\\u" not in text
        and _SURROGATE.search(text) is None
    ):
        try:
            return _SOUND.raw_decode(text, start)
        except ValueError:
            pass  # the reader below says what is wrong
    return JsonReader(text).value(at)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError
    return number


def _refused(_: str) -> None:
    raise ValueError


_SOUND = json.JSONDecoder(
    object_pairs_hook=_unrepeated, parse_float=_finite, parse_constant=_refused
)


def unsound(value: Any) -> str | None:
    """
    Return why *value*, decoded elsewhere, could not have been read here; None if it could.
    """
    pending = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH} levels"
        if isinstance(item, str):
            if _half_a_pair(item):
                return "a string contains half a surrogate pair"
        elif isinstance(item, int):
            if item.bit_length() > MAX_DIGITS * 10 // 3:
                return f"a number of more than {MAX_DIGITS} digits"
        elif isinstance(item, float):
            if not math.isfinite(item):
                return f"{item} is not a JSON number"
        elif isinstance(item, list | tuple):
            pending += [(inner, depth + 1) for inner in item]
        elif isinstance(item, Mapping):
            for key, inner in item.items():
                if not isinstance(key, str):
                    return "a key is not a string"
                if _half_a_pair(key):
                    return "a string contains half a surrogate pair"
                pending.append((inner, depth + 1))
        elif item is not None:
            return f"{type(item).__name__} is not a JSON type"
    return None


def _half_a_pair(string: str) -> bool:
    return not string.isascii() and _SURROGATE.search(string) is not None
