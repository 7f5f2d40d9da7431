"""
A report as blocks that know nothing of terminals or Markdown.

A plain ``str`` in a block is written by the harness. Text from a model, a suite or a command line
is a `Quote`, so that each renderer can escape it in its own way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.reports.escape import cut

Mood = Literal["good", "bad", "doubtful", "title"]
"""What a colour may stress; the words say it too."""


@dataclass(frozen=True, slots=True)
class Quote:
    """
    Foreign text.
    """

    text: str


Part = str | Quote
Inline = Part | tuple[Part, ...]
"""One line of text: parts follow each other without a gap; two quotes never touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """
    One line of text, wrapped where needed; with a mood it is what matters most.
    """

    text: Inline
    mood: Mood | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """
    Sentences, one per line.
    """

    texts: tuple[Inline, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    Rows of cells under a header.
    """

    header: tuple[Inline, ...]
    rows: tuple[tuple[Inline, ...], ...]
    right: frozenset[int] = frozenset()
    """The columns of numbers: aligned right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    One case with the facts about it.
    """

    name: str
    """The case's id: foreign text."""
    note: str = ""
    fields: tuple[tuple[str, Inline], ...] = ()
    mood: Mood | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """
    Cases, one after the other.
    """

    entries: Sequence[Entry]
    first: int | None = None
    """How many of them to show where a report is read from top to bottom; None for all."""
    more: Inline = ""
    """How to see those that are not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """
    Ids of cases, without details.
    """

    names: tuple[str, ...]


Block = Paragraph | Points | Table | Listing | Names


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """
    One part of a report. The first part has no title.
    """

    title: str
    blocks: tuple[Block, ...]
    open: bool = False
    """Whether it is unfolded where other parts are folded."""


def parts(text: Inline) -> tuple[Part, ...]:
    """
    Return any line as its parts.
    """
    return text if isinstance(text, tuple) else (text,)


def plain(text: Inline) -> str:
    """
    Return any line as one text, foreign parts as they are: not escaped.
    """
    return "".join(part.text if isinstance(part, Quote) else part for part in parts(text))


def quotes(texts: Iterable[str], between: str = ", ") -> tuple[Part, ...]:
    """
    Return foreign texts as one line, each cut to a readable length.
    """
    line: list[Part] = []
    for text in texts:
        line += [between, Quote(cut(text))] if line else [Quote(cut(text))]
    return tuple(line)
