"""
What a serving stack costs, as blocks: how many answers it lost, by which of its parts, and each of
them. Nothing is decided here.
"""

from collections.abc import Iterator
from dataclasses import replace

from harness.comparison.stack import PARTS, Lost, Part, StackCost
from harness.reports import evidence
from harness.reports.blocks import (
    Block,
    Entry,
    Inline,
    Listing,
    Paragraph,
    Points,
    Quote,
    Section,
    Table,
    quotes,
)
from harness.reports.escape import cut
from harness.reports.format import ABSENT, plural
from harness.reports.report import Report
from harness.wording import percent

_NAMED = 8
"""How many gained cases are named."""


def outcome(cost: StackCost) -> str:
    """
    Return in a few words what the stack costs.
    """
    if not cost.pairs:
        return "nothing was judged both ways"
    return f"{plural(len(cost.lost), 'answer')} lost by the stack, {len(cost.gained):,} gained"


def summary(cost: StackCost) -> tuple[Block, ...]:
    """
    Return the counts, and what to do about each part.
    """
    if not cost.pairs:
        text = f"Nothing was judged both ways: {plural(cost.left_out, 'answer')} left out."
        return (Paragraph(text=text, mood="bad"),)
    said = (
        f"{plural(len(cost.lost), 'answer')} of {cost.raw_right:,} right raw "
        f"{'was' if len(cost.lost) == 1 else 'were'} lost in chat, {len(cost.gained):,} gained: "
        f"{cost.raw_right:,} and {cost.chat_right:,} of {cost.pairs:,} right."
    )
    left_out = (
        f"{plural(cost.left_out, 'answer')} left out: an error or a quarantined case either way."
        if cost.left_out
        else ""
    )
    gained = tuple(dict.fromkeys(key.case for key in cost.gained))
    hidden = f" … (+{len(gained) - _NAMED:,})" if len(gained) > _NAMED else ""
    return (
        Paragraph(text=said, mood="bad" if cost.lost else "good"),
        Table(
            header=("lost by", "answers", "of those right raw", "what to do"),
            rows=tuple(_row(cost, part) for part in PARTS if cost.by(part)),
            right=frozenset({1, 2}),
        ),
        Points(texts=(*_noise(cost), *((left_out,) if left_out else ()))),
        Paragraph(text=("Gained: ", *quotes(gained[:_NAMED]), hidden) if gained else ""),
    )


def _row(cost: StackCost, part: Part) -> tuple[Inline, ...]:
    lost = len(cost.by(part))
    cure = cost.cures.get(part)
    return (
        PARTS[part],
        f"{lost:,}",
        percent(lost / cost.raw_right),
        Quote(cut(cure)) if cure else ABSENT,
    )


def _noise(cost: StackCost) -> Iterator[Inline]:
    stable = cost.stability
    if stable is None or not cost.by("sampling"):
        return
    if stable.differing:
        yield (
            f"Noise: {stable.differing} of {stable.asked} answers to one prompt were another in "
            f"the preflight, so as many of what {PARTS['sampling']} lost may be chance; `harness "
            "aa` measures how many."
        )
    else:
        yield f"Noise: none seen, one prompt was answered alike {stable.asked} times."


def sections(report: Report, cost: StackCost) -> Iterator[Section]:
    """
    Yield the counts, then the answers that each part lost.
    """
    yield Section(title="What the serving stack costs", blocks=summary(cost), open=True)
    for part, name in PARTS.items():
        entries = lost_by(report, cost, part)
        title = f"Lost by {name} ({len(cost.by(part))})"
        yield Section(title=title, blocks=(Listing(entries=entries),), open=True)
    yield Section(
        title="What the preflight found",
        blocks=(Points(texts=tuple((Quote(cut(each)),) for each in cost.findings)),),
    )


def lost_by(report: Report, cost: StackCost, part: Part) -> tuple[Entry, ...]:
    """
    Return the cases with an answer that *part* lost, with what shows it.
    """
    by_case: dict[str, Lost] = {}
    for lost in cost.by(part):
        by_case.setdefault(lost.key.case, lost)
    entries = []
    for name, lost in by_case.items():
        for entry in evidence.broken_answer(report, name, lost.key.repeat):
            entries.append(replace(entry, fields=(*_shown(lost), *entry.fields)))
    return tuple(entries)


def _shown(lost: Lost) -> Iterator[tuple[str, Inline]]:
    yield "because", lost.why
    if lost.ours or lost.theirs:
        yield "our prompt", Quote(cut(lost.ours))
        yield "its prompt", Quote(cut(lost.theirs))
