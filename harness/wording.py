"""
What one limit makes of one metric, and the words such a judgement is spelled in.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

MetricWord = Literal["pass", "inconclusive", "not_comparable", "regressed", "not_measured"]

LISTED = 8
"""How many ids a sentence names before it counts the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """
    What one limit makes of one metric.
    """

    verdict: MetricWord
    reason: str
    """One sentence for a person."""
    rule: str
    """The rule that decided, for a person."""
    limit: str
    """As the policy spells it."""
    old: float | None = None
    new: float | None = None
    """Over the pairs; the whole runs may differ."""
    delta: float | None = None
    """new - old."""
    low: float | None = None
    high: float | None = None
    """The two-sided 95 % interval of delta; None for lengths and times."""
    p: float | None = None
    """One-sided: of a loss this large if the models were equal."""
    p_adjusted: float | None = None
    """The same for being one of several slices; None where the limit is tested by itself."""
    pairs: int = 0
    broken: int = 0
    fixed: int = 0
    """How many of the pairs got worse and better."""
    bound: float | None = None
    """The upper 95 % bound of the loss, for rates."""
    ratio: tuple[float, float, float] | None = None
    """new / old, answer by answer, with its 95 % interval, for times."""
    detectable: float | None = None
    """The smallest loss that so many pairs find in 4 of 5 tries; None if none, or no margin."""
    needed: int | None = None
    """About how many pairs would settle an inconclusive rate."""
    advisory: bool = False
    """Whether the overall verdict leaves this limit out."""


def percent(share: float) -> str:
    """
    Spell a share as a percentage.
    """
    return f"{100 * share:.1f}%"


def points(share: float) -> str:
    """
    Spell a share as percentage points, without the word.
    """
    # Adding zero makes a negative one positive.
    return f"{round(100 * share, 1) + 0.0:.1f}".removesuffix(".0")


def plain(value: float) -> str:
    """
    Spell a length or a time.
    """
    return f"{value:.4g}"


def moved(old: float, new: float, spell: Callable[[float], str]) -> str:
    """
    Say how a value changed.
    """
    if new == old:
        return f"stayed at {spell(old)}"
    return f"{'rose' if new > old else 'fell'} from {spell(old)} to {spell(new)}"


def mended(fixed: int) -> str:
    """
    Spell how many were mended.
    """
    return f"{fixed or 'none'} {'was' if fixed < 2 else 'were'} mended"


def count(many: int, noun: str) -> str:
    """
    Spell how many there are, with the noun in the right number.
    """
    return f"{many} {noun}" if many == 1 else f"{many} {noun}s"


def named(ids: Collection[str]) -> str:
    """
    Name the first few of *ids* and count the rest.
    """
    names = list(ids)
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + rest


def chance(p: float) -> str:
    """
    Spell a p-value.
    """
    return f"p {p:.2g}" if p >= 0.0001 else "p < 0.0001"
