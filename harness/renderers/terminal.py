"""
A report as plain text for a terminal.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

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
    Section,
    Table,
    plain,
)
from harness.reports.brief import FIRST, brief
from harness.reports.escape import cut, line
from harness.reports.report import Report
from harness.reports.sections import sections
from harness.reports.sheet import Sheet

WIDTH = 100
HEIGHT = 36
"""How many lines the short form takes: with what a command adds, 40 are not exceeded."""

_INDENT = 2
_COMMAND = re.compile(r"##(\w*\[)")
_NARROWEST_COLUMN = 8
_FEWEST = 3
# So many cases are listed however high the rest is.
_COLOURS: dict[Mood, str] = {"good": "32", "bad": "31", "doubtful": "33", "title": "1"}

_Paint = Callable[[str, Mood | None], str]


def render(report: Report, *, width: int = WIDTH, colour: bool = False) -> str:
    """
    Return *report* in lines of at most *width* columns, as far as its tables fit.

    The text has no control characters but newlines; with *colour* also the codes for bold, red,
    green and yellow (ECMA-48, SGR).
    """
    return _render(report.title, sections(report), width, _paint if colour else _leave)


def render_brief(
    report: Report, *, width: int = WIDTH, colour: bool = False, height: int = HEIGHT
) -> str:
    """
    Return the short form of *report*, with as many cases as fit into *height* lines.
    """
    found, paint = brief(report), _paint if colour else _leave
    for first in range(FIRST, _FEWEST - 1, -1):
        shorter = [_listing_first(section, first) for section in found]
        text = _render(report.title, shorter, width, paint)
        if text.count("\n") <= height:
            break
    return text


def render_sheet(sheet: Sheet, *, width: int = WIDTH, colour: bool = False) -> str:
    """
    Return the words and tables of *sheet*, as `render` does a report; its curves need a page.
    """
    head = Section(title="", blocks=sheet.summary)
    return _render(sheet.title, (head, *sheet.sections), width, _paint if colour else _leave)


def _listing_first(section: Section, first: int) -> Section:
    return replace(
        section,
        blocks=tuple(
            replace(block, first=first) if isinstance(block, Listing) else block
            for block in section.blocks
        ),
    )


def _render(title: str, parts: Iterable[Section], width: int, paint: _Paint) -> str:
    lines = [paint(_spell(Quote(cut(title))), "title")]
    for section in parts:
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
            shown = block.entries[: block.first]
            if any(entry.fields for entry in shown):
                for entry in shown:
                    yield from _entry(entry, width, paint)
            else:
                yield from _line_each(shown, width, paint)
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


def _line_each(entries: Sequence[Entry], width: int, paint: _Paint) -> Iterator[str]:
    """
    Yield one line for each entry, with the notes below each other, cut to *width*.
    """
    names = [_spell(Quote(cut(entry.name))) for entry in entries]
    longest = min(max(map(wide, names), default=0), width // 3)
    for name, entry in zip(names, entries, strict=True):
        gap = " " * max(2, longest + 2 - wide(name))
        yield paint(_clip(f"{name}{gap}{_spell(Quote(entry.note))}".rstrip(), width), entry.mood)


def _clip(text: str, width: int) -> str:
    if wide(text) <= width:
        return text
    kept = text[: width - 1]
    while wide(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept.rstrip()}…"


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
