"""
Which texts are nearly the same: Jaccard similarity of their character 4-grams.

Texts are folded (`harness.constraints.text`) and their white space collapsed; the grams of a text
are the set of all runs of four characters, or the text itself if it is shorter. Similarity is the
share of grams that two texts have in common: ``|A & B| / |A | B|``. It is computed exactly for each
pair, with numpy: 4,000 prompts of one template take two seconds. MinHash with locality-sensitive
hashing (datasketch) finds candidates in half of that but misses some near the threshold, and each
must be checked exactly anyway; edit distance (rapidfuzz) confuses two fillings of a long template.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from harness.constraints.text import fold

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
    Return all pairs at or above *threshold*, in order; within *left* if *right* is None.
    """
    import numpy as np

    sets = [grams(text) for text in left]
    others = sets if right is None else [grams(text) for text in right]
    places: defaultdict[str, list[int]] = defaultdict(list)
    for position, found in enumerate(others):
        for gram in found:
            places[gram].append(position)
    where = {gram: np.array(positions) for gram, positions in places.items()}
    sizes = np.array([len(found) for found in others])
    pairs: list[Pair] = []
    for position, found in enumerate(sets):
        hits = [where[gram] for gram in found if gram in where]
        if not hits:
            continue
        shared = np.bincount(np.concatenate(hits), minlength=len(others))
        similarity = shared / (len(found) + sizes - shared)
        if right is None:
            similarity[: position + 1] = 0.0
        near = np.flatnonzero(similarity >= threshold)
        pairs += map(
            Pair._make,
            zip([position] * len(near), near.tolist(), similarity[near].tolist(), strict=True),
        )
    return pairs


def normalized(text: str) -> str:
    """
    Return the form in which prompts are compared.
    """
    return " ".join(fold(text).split())


def grams(text: str) -> frozenset[str]:
    """
    Return the character 4-grams of a text's normalized form.
    """
    text = normalized(text)
    last = max(len(text) - GRAM, 0)
    return frozenset(text[start : start + GRAM] for start in range(last + 1))
