"""
Numbers, counts and names in words, formatted alike in every sentence.
"""

from collections.abc import Callable, Collection, Iterable

LISTED = 8
"""How many ids a sentence names before it only counts the rest."""

_SUGGESTED = 24
"""With more names to choose from, only the first few are listed."""


def percent(share: float) -> str:
    """
    Return a share as a percentage.
    """
    return f"{100 * share:.1f}%"


def points(share: float) -> str:
    """
    Return a share as percentage points, without the word.
    """
    # Adding zero makes a negative one positive.
    return f"{round(100 * share, 1) + 0.0:.1f}".removesuffix(".0")


def plain(value: float) -> str:
    """
    Return a length or a time.
    """
    return f"{value:.4g}"


def moved(old: float, new: float, form: Callable[[float], str]) -> str:
    """
    Return how a value changed, in words.
    """
    if new == old:
        return f"stayed at {form(old)}"
    return f"{'rose' if new > old else 'fell'} from {form(old)} to {form(new)}"


def count(many: int, noun: str) -> str:
    """
    Return a number with its noun, in the plural where needed.
    """
    return f"{many} {noun}" if many == 1 else f"{many} {noun}s"


def named(ids: Collection[str]) -> str:
    """
    Return the first few of *ids* and the number of the rest.
    """
    names = list(ids)
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + rest


def duration(seconds: float) -> str:
    """
    Return a time that a person waited.
    """
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def chance(p: float) -> str:
    """
    Return a p-value in words.
    """
    return f"p {p:.2g}" if p >= 0.0001 else "p < 0.0001"


def closest(name: str, known: Iterable[str], *, cutoff: float = 0.8) -> str | None:
    """
    Return the one of *known* that *name* is most likely a misspelling of; None if it is of none.
    """
    from difflib import get_close_matches

    folded = {each.casefold(): each for each in known}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=cutoff)
    return folded[close[0]] if close else None


def meant(name: str, known: Iterable[str]) -> str:
    """
    Return the end of a sentence about a name that need not be known: the known one that it is most
    likely a misspelling of, or nothing.
    """
    close = closest(name, known)
    return "" if close is None else f"; did you mean {close!r}?"


def suggest(name: object, known: Iterable[str]) -> str:
    """
    Return the end of a sentence about an unknown name: the closest known one, or those there are.
    """
    names = sorted(known)
    if (close := closest(str(name), names, cutoff=0.6)) is not None:
        return f"; did you mean {close!r}?"
    if not names:
        return "; there are none"
    return f"; choose from {', '.join(names) if len(names) <= _SUGGESTED else named(names)}"
