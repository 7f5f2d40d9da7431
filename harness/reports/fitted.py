"""
Sections as GitHub-flavoured Markdown that fits into a number of characters: some open, the rest
folded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from harness.reports import escape as safe
from harness.reports.blocks import (
    Block,
    Entry,
    Inline,
    Listing,
    Names,
    Paragraph,
    Points,
    Quote,
    Section,
    Table,
    parts,
)

LIMIT = 60_000
"""A comment on GitHub holds 65,536 characters; the rest is left for text around the report."""

_TABLES_SHARE = 0.5
"""How much of the limit tables may fill, so that there is room for cases."""
_HIDDEN = "… and {hidden:,} more {what} not shown here"


@dataclass(slots=True)
class _Rows:
    """
    One block being fitted: rows are shown or not, each as a whole.
    """

    head: str
    rows: Sequence[str]
    what: str
    between: str = "\n"
    more: str = ""
    shown: int = 0

    @property
    def frame(self) -> int:
        """
        How many characters it takes without any row.
        """
        return len(self.head) + len(self.more) + len(_HIDDEN) + len(self.what) + 16

    def fill(self, room: int) -> int:
        """
        Show as many rows as fit into *room* characters and return how many these take.
        """
        taken = 0
        for row in self.rows:
            size = len(row) + len(self.between)
            if taken + size > room:
                break
            taken += size
            self.shown += 1
        return taken

    def spell(self) -> str:
        text = self.head + self.between.join(self.rows[: self.shown])
        hidden = len(self.rows) - self.shown
        notes = [_HIDDEN.format(hidden=hidden, what=self.what) + "."] if hidden else []
        notes += [self.more] if self.more else []
        return "\n\n".join([text, *notes])


@dataclass(slots=True)
class _Fold:
    """
    One section being fitted.
    """

    section: Section
    blocks: list[_Rows] = field(default_factory=list)

    @property
    def frame(self) -> int:
        return sum(block.frame + 2 for block in self.blocks) + len(self.section.title) + 80

    def spell(self, *, folded: bool) -> str:
        body = "\n\n".join(block.spell() for block in self.blocks)
        if not self.section.title:
            return body
        title = escape(self.section.title)
        if not folded:
            return f"#### {title}\n\n{body}"
        # Markdown inside <details> is read only after a blank line.
        return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def fitted(head: Sequence[str], found: Iterable[Section], limit: int) -> str:
    """
    Return *head* and the sections *found* in at most *limit* characters: cut by whole rows, with
    how many are left out.
    """
    folds = [_Fold(section, [_rows(block) for block in section.blocks]) for section in found]
    room = limit - sum(len(text) + 2 for text in head) - sum(fold.frame + 2 for fold in folds)
    reserve = int(room * (1 - _TABLES_SHARE))
    every = [block for fold in folds for block in fold.blocks]
    for block in every:
        if block.what == "rows":
            room -= block.fill(room - reserve)
    for block in every:
        if block.what != "rows":
            room -= block.fill(room)
    texts = [fold.spell(folded=not fold.section.open) for fold in folds]
    return "\n\n".join([*head, *texts]) + "\n"


def _rows(block: Block) -> _Rows:
    match block:
        case Paragraph():
            text = _spell(block.text)
            return _Rows(head="", rows=[f"**{text}**" if block.mood else text], what="rows")
        case Points():
            return _Rows(head="", rows=[f"- {_spell(text)}" for text in block.texts], what="rows")
        case Table():
            return _table(block)
        case Names():
            names = [safe.code(safe.cut(name)) for name in block.names]
            return _Rows(head="", rows=names, what="cases", between=", ")
        case Listing():
            return _Rows(
                head="",
                rows=[_entry(entry) for entry in block.entries],
                what="cases",
                more=_spell(block.more),
            )


def _table(table: Table) -> _Rows:
    marks = ["---:" if n in table.right else ":---" for n in range(len(table.header))]
    head = f"{_line(table.header)}\n|{'|'.join(marks)}|\n"
    return _Rows(head=head, rows=[_line(row) for row in table.rows], what="rows")


def _line(cells: Sequence[Inline]) -> str:
    return f"| {' | '.join(safe.cell(_spell(each)) for each in cells)} |"


def _entry(entry: Entry) -> str:
    head = f"- **{safe.code(safe.cut(entry.name))}** {safe.prose(entry.note)}".rstrip()
    return "\n".join([head, *(f"  - {label}: {_spell(text)}" for label, text in entry.fields)])


def _spell(text: Inline) -> str:
    return "".join(
        safe.code(part.text) if isinstance(part, Quote) else safe.prose(part)
        for part in parts(text)
    )
