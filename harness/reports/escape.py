"""
Foreign text made harmless to show. What a model wrote may be anything: terminal escapes, hidden
direction marks, HTML, a mention of somebody, characters XML forbids.

Nothing is dropped: a character that cannot be shown as itself is shown as Python's ``repr`` would
spell it (``\\x1b``, ``\\u202e``). Backslashes are not doubled, as answers hold JSON that must stay
readable.
"""

import re

CUT = 300
"""How many characters of an answer a report shows."""

NEWLINE = "⏎"

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BACKTICKS = re.compile("`+")
_WORD = re.compile(r"([(\"']*)(.*?)([)\"'.,;:!?]*)", re.DOTALL)
_PLAIN_WORD = re.compile(r"[^\W_]*(?:[.,'%/()+−–—→-]+[^\W_]*)*|[=<]", re.ASCII)
_AUTOLINK = re.compile(r".*www\.|gh-\d|[0-9a-f]{7,}|--|[-+]+$", re.IGNORECASE)


def visible(text: str, keep: str = "") -> str:
    """
    Spell every character that is not printable as an escape, but for those in *keep*.

    Printable is what `str.isprintable` says: no control or format character (ESC, direction marks,
    zero-width ones), no lone surrogate, no unassigned one, no white space but the plain space.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def line(text: str) -> str:
    """
    Give *text* as one line for a terminal or a file: newlines are shown as ⏎.
    """
    if text.isprintable():
        return text
    return visible(text.replace("\r\n", "\n").replace("\n", NEWLINE))


def cut(text: str, limit: int = CUT) -> str:
    """
    Give at most *limit* characters of *text*, and say how many more there are.
    """
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… (+{len(text) - limit:,} characters)"


def code(text: str) -> str:
    """
    Give *text* as one Markdown code span: no HTML, link, mention or image comes alive in one.

    The fence is longer than any run of backticks inside (CommonMark 0.31, section 6.1).
    """
    shown = line(text)
    if not shown.strip():
        return f"({'blank' if shown else 'empty'})"
    longest = max((len(run) for run in _BACKTICKS.findall(shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def prose(text: str) -> str:
    """
    Give our own sentence for Markdown; spaces stay where they are.

    A word with anything but ASCII letters, digits and plain punctuation in it (the name of a
    metric, or what somebody smuggled in) becomes a code span.
    """
    return " ".join(map(_word, line(text).split(" ")))


def cell(markdown: str) -> str:
    """
    Keep *markdown* inside its table cell, code spans included (GFM, section 4.10).
    """
    return markdown.replace("|", "\\|")


def xml(text: str) -> str:
    """
    Give *text* with only characters that XML 1.0 allows; newlines stay.
    """
    return visible(text.replace("\r\n", "\n"), keep="\n")


def _escape(char: str) -> str:
    point = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _word(word: str) -> str:
    match = _WORD.fullmatch(word)
    assert match is not None  # every part of the pattern may be empty
    before, middle, after = match.groups()
    if not middle or (_PLAIN_WORD.fullmatch(middle) and not _AUTOLINK.match(middle)):
        return word
    return f"{before}{code(middle)}{after}"
