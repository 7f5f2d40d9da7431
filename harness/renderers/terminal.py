"""
A report as plain text for a terminal.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from tabulate import tabulate
from wcwidth import width as wide
from wcwidth import wrap

from harness.reports.blocks import (
    Block,
    Entry,
    Inline,
    Listing,
    Mood,
    Names,
    Paragraph,
    Points,
    Quote,
    Table,
    plain,
)
from harness.reports.escape import cut, line
from harness.reports.report import Report
from harness.reports.sections import sections

WIDTH = 100

_INDENT = 2
_COMMAND = re.compile(r"##(\w*\[)")
_NARROWEST_COLUMN = 8
_COLOURS: dict[Mood, str] = {"good": "32", "bad": "31", "doubtful": "33", "title": "1"}

_Paint = Callable[[str, Mood | None], str]


def render(report: Report, *, width: int = WIDTH, colour: bool = False) -> str:
    """
    Return *report* in lines of at most *width* columns, as far as its tables fit.

    The text has no control characters but newlines; with *colour* also the codes for bold, red,
    green and yellow (ECMA-48, SGR).
    """
    paint = _paint if colour else _leave
    lines = [paint(_spell(Quote(cut(report.title))), "title")]
    for section in sections(report):
        lines.append("")
        indent = _INDENT if section.title else 0
        if section.title:
            lines.append(paint(section.title, "title"))
        for block in section.blocks:
            lines += (" " * indent + text for text in _block(block, width - indent, paint))
    return "\n".join(text.rstrip() for text in lines) + "\n"


def _block(block: Block, width: int, paint: _Paint) -> Iterator[str]:
    match block:
        case Paragraph():
            yield from (paint(text, block.mood) for text in _wrap(_spell(block.text), width))
        case Points():
            for text in block.texts:
                yield from _wrap(f"- {_spell(text)}", width, hanging=2)
        case Table():
            yield from _table(block, width)
        case Names():
            yield from _wrap(", ".join(_spell(Quote(cut(name))) for name in block.names), width)
        case Listing():
            for entry in block.entries[: block.first]:
                yield from _entry(entry, width, paint)
            if hidden := len(block.entries[block.first :] if block.first is not None else ()):
                yield f"… and {hidden:,} more"
            if block.more:
                yield from _wrap(_spell(block.more), width)


def _entry(entry: Entry, width: int, paint: _Paint) -> Iterator[str]:
    head = f"{_spell(Quote(cut(entry.name)))}  {line(entry.note)}".rstrip()
    yield paint(head, entry.mood)
    longest = max((len(label) for label, _ in entry.fields), default=0)
    for label, text in entry.fields:
        indent = " " * (longest + 2 + _INDENT)
        lines = _wrap(_spell(text), max(width - len(indent), _NARROWEST_COLUMN)) or [""]
        yield f"{'':{_INDENT}}{label:<{longest}}  {lines[0]}"
        yield from (indent + rest for rest in lines[1:])


def _table(table: Table, width: int) -> Sequence[str]:
    header = [_spell(cell) for cell in table.header]
    rows = [[_spell(cell) for cell in row] for row in table.rows]
    natural = [max(map(wide, column)) for column in zip(header, *rows, strict=True)]
    widths = _fit(natural, width)
    # tabulate pads its own headers by two columns, which a narrow screen cannot spare.
    rule = ["-" * each for each in widths]
    return tabulate(
        [*_broken([header], widths), rule, *_broken(rows, widths)],
        tablefmt="plain",
        disable_numparse=True,
        colalign=["right" if n in table.right else "left" for n in range(len(header))],
    ).split("\n")


def _broken(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[list[str]]:
    """
    Break the cells that are wider than their column.
    """
    return [
        ["\n".join(_wrap(cell, width)) for cell, width in zip(row, widths, strict=True)]
        for row in rows
    ]


def _fit(widths: Sequence[int], width: int) -> list[int]:
    """
    Narrow the widest columns until the table fits, or all are at the minimum readable width.
    """
    available = width - 2 * (len(widths) - 1)
    cap = max(widths)
    while cap > _NARROWEST_COLUMN and sum(min(each, cap) for each in widths) > available:
        cap -= 1
    return [max(1, min(each, cap)) for each in widths]


def _wrap(text: str, width: int, *, hanging: int = 0) -> list[str]:
    # textwrap breaks at hyphens by default; ids and arguments are full of them.
    return wrap(
        text,
        width,
        break_on_hyphens=False,
        subsequent_indent=" " * hanging,
        control_codes="ignore",
    )


def _spell(text: Inline) -> str:
    # CI servers look for commands of this form anywhere in a line (Azure Pipelines, TeamCity).
    return _COMMAND.sub(r"#\\x23\1", line(plain(text)))


def _leave(text: str, mood: Mood | None) -> str:
    return text


def _paint(text: str, mood: Mood | None) -> str:
    return text if mood is None else f"\x1b[{_COLOURS[mood]}m{text}\x1b[0m"
