"""
A page about several runs, such as the points of a curve: what it says, its curves, its tables.
"""

from dataclasses import dataclass

from harness.finetuning.curves import Panel
from harness.reports.blocks import Block, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """
    What a page shows, whatever its form.
    """

    title: str
    summary: tuple[Block, ...]
    """What matters most."""
    panels: tuple[Panel, ...] = ()
    along: str = ""
    """What the curves are drawn along: ``step``."""
    marked: float | None = None
    """The place on it that is marked by a dotted line."""
    marked_as: str = ""
    """What that place is: ``the checkpoint to keep``."""
    caption: str = ""
    """What the bands and lines of the curves are."""
    sections: tuple[Section, ...]
