"""
Which texts say nearly the same: Jaccard similarity of their character 4-grams.

A text is folded (NFKC, letter case) and its white space made single; its grams are the set of all
runs of four characters, or the text itself if it is shorter. Two texts are as similar as the part
of their grams they share: ``|A & B| / |A | B|``. Pairs are found exactly, without comparing all:
with grams ordered from rare to common, two sets that reach the threshold t share one of the first
``|A| - ceil(t |A|) + 1`` (prefix filtering; Bayardo, Ma and Srikant, WWW 2007).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import ceil
from typing import NamedTuple

from harness.constraints import fold

GRAM = 4


class Pair(NamedTuple):
    """
    Two similar texts by their positions, and how similar they are.
    """

    left: int
    right: int
    similarity: float


def similar_pairs(
    left: Sequence[str], right: Sequence[str] | None = None, *, threshold: float
) -> list[Pair]:
    """
    Give all pairs at or above *threshold*, in order; within *left* if *right* is None.
    """
    sets = [grams(text) for text in left]
    others = sets if right is None else [grams(text) for text in right]
    common = Counter(gram for found in (*sets, *others) for gram in found)
    index: defaultdict[str, list[int]] = defaultdict(list)
    for position, found in enumerate(others):
        for gram in _prefix(found, common, threshold):
            index[gram].append(position)
    pairs = []
    for position, found in enumerate(sets):
        near = {other for gram in _prefix(found, common, threshold) for other in index[gram]}
        for other in sorted(near):
            if right is None and other <= position:
                continue
            shared = len(found & others[other])
            similarity = shared / (len(found) + len(others[other]) - shared)
            if similarity >= threshold:
                pairs.append(Pair(position, other, similarity))
    return pairs


def normalized(text: str) -> str:
    """
    Give the form in which prompts are compared.
    """
    return " ".join(fold(text).split())


def grams(text: str) -> frozenset[str]:
    """
    Give the character 4-grams of a text's normalized form.
    """
    text = normalized(text)
    last = max(len(text) - GRAM, 0)
    return frozenset(text[start : start + GRAM] for start in range(last + 1))


def _prefix(found: frozenset[str], common: Counter[str], threshold: float) -> Iterator[str]:
    # The small subtraction keeps 0.55 * 100 = 55.00000000000001 from being rounded up to 56.
    needed = ceil(threshold * len(found) - 1e-9)
    ordered = sorted(found, key=lambda gram: (common[gram], gram))
    yield from ordered[: len(found) - needed + 1]
