"""
Foreign text made safe to show. What a model wrote may be anything: terminal escapes, hidden
direction marks, HTML, a mention of a person, characters that XML forbids.

Nothing is dropped: a character that cannot be shown as itself is shown as Python's ``repr`` would
write it (``\\x1b``, ``\\u202e``). Backslashes are not doubled, as answers hold JSON that must stay
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
    Return *text* with every character that is not printable escaped, except those in *keep*.

    Printable is what `str.isprintable` says: no control or format character (ESC, direction marks,
    zero-width ones), no lone surrogate, no unassigned one, no white space but the plain space.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def line(text: str) -> str:
    """
    Return *text* as one line for a terminal or a file: newlines are shown as ⏎.
    """
    if text.isprintable():
        return text
    return visible(text.replace("\r\n", "\n").replace("\n", NEWLINE))


def cut(text: str, limit: int = CUT) -> str:
    """
    Return at most *limit* characters of *text*, and how many more there are.
    """
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… (+{len(text) - limit:,} characters)"


def code(text: str) -> str:
    """
    Return *text* as a Markdown code span: no HTML, link, mention or image is active in one.

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
    Return a sentence of the harness's own for Markdown; spaces stay where they are.

    A word that contains anything but ASCII letters, digits and plain punctuation (the name of a
    metric, or injected text) becomes a code span.
    """
    return " ".join(map(_word, line(text).split(" ")))


def cell(markdown: str) -> str:
    """
    Return *markdown* escaped for a table cell, code spans included (GFM, section 4.10).
    """
    return markdown.replace("|", "\\|")


def xml(text: str) -> str:
    """
    Return *text* with only characters that XML 1.0 allows; newlines stay.
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
