r"""
Patterns as JSON Schema means them: regular expressions of ECMA-262, found anywhere in a text.

They are matched by jsonschema-rs, which translates them for Rust's engines: a text is searched in
linear time, and in a bounded number of steps where the pattern looks around or refers back, after
which it does not match. Python's `re` knows neither ``\p{L}`` nor ``(?<n>...)``, takes ``\d`` for
the digits of every script and ``$`` for a place before a last line break, and needs for
``(a+)+$`` a time that doubles with each letter. It serves only for what no other engine reads.
"""

import re
from collections.abc import Callable
from functools import lru_cache

_TOKEN = re.compile(
    r"""
    \[\^?\]?(?:[^\]\\]|\\.)*\]              # a class of characters
    | \\k<(?P<back>\w+)> | \(\?P=(?P<python>\w+)\)
    | (?P<end>\\Z)
    | \\.
    | \((?:\?P?<(?P<name>\w+)>|(?!\?))      # what opens a group that is counted
    """,
    re.VERBOSE | re.DOTALL,
)
_HALF = re.compile("[\ud800-\udfff]")


def matches(pattern: str, text: str) -> bool:
    """
    Return whether *pattern*, which is valid, is found in *text*.
    """
    return compile_pattern(pattern)(text)


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """
    Return what tells whether the pattern is found in a text.

    Raises:
        ValueError: if it is not a regular expression of ECMA-262, nor of Python.
    """
    import jsonschema_rs

    try:
        validator = jsonschema_rs.Draft202012Validator({"pattern": _with_numbers(pattern)})
    except ValueError:
        try:
            python = re.compile(pattern)
        except re.error:
            raise ValueError("not a regular expression of ECMA-262") from None
        return lambda text: python.search(text) is not None
    # Rust has no text with half a surrogate pair; this character stands in for it.
    return lambda text: validator.is_valid(_HALF.sub("\ufffd", text))


def _with_numbers(pattern: str) -> str:
    """
    Refer to groups by number instead of by name, which jsonschema-rs does not read.

    Python's ``\\Z`` is the end of the text, which is what ``$`` is.
    """
    numbers: dict[str, int] = {}
    count = 0
    for token in _TOKEN.finditer(pattern):
        if token[0].startswith("(") and token["python"] is None:
            count += 1
            if token["name"] is not None:
                numbers[token["name"]] = count

    def spelled(token: re.Match[str]) -> str:
        name = token["back"] or token["python"]
        if name in numbers:
            return f"(?:\\{numbers[name]})"
        return "$" if token["end"] else token[0]

    return _TOKEN.sub(spelled, pattern)
