"""
What one limit makes of one metric, and the words such a judgement is spelled in.
"""

from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches

LISTED = 8
"""How many ids a sentence names before it counts the rest."""


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


def suggest(name: object, known: Iterable[str]) -> str:
    """
    Return the end of a sentence about an unknown name: the closest known one, or all of them.
    """
    names = sorted(known)
    folded = {each.casefold(): each for each in names}
    if close := get_close_matches(str(name).casefold(), folded, n=1):
        return f"; did you mean {folded[close[0]]!r}?"
    return f"; choose from {', '.join(names)}" if names else "; there are none"
