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
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.constraints.text import fold

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRAM = 4


class Near(NamedTuple):
    """
    A text, the most similar of the others (the first of equals), and how many are similar at all.
    """

    position: int
    other: int
    similarity: float
    similar: int


def near(
    texts: Sequence[str],
    others: Sequence[str] | None = None,
    *,
    threshold: float,
    aside: Callable[[int], "NDArray[Any]"] | None = None,
) -> Iterator[Near]:
    """
    Yield what is at or above *threshold* for each of *texts* that has something there, in order.

    Each is held against *others*, or else against the texts before it. *aside* returns for a
    position which of those (booleans, one for each) are not looked at.

    A pair each would be half of all for prompts of one template: 32 million of 8,000.
    """
    import numpy as np

    sets = [grams(text) for text in texts]
    against = sets if others is None else [grams(text) for text in others]
    places: defaultdict[str, list[int]] = defaultdict(list)
    for position, found in enumerate(against):
        for gram in found:
            places[gram].append(position)
    where = {gram: np.array(positions) for gram, positions in places.items()}
    sizes = np.array([len(found) for found in against])
    for position, found in enumerate(sets):
        hits = [where[gram] for gram in found if gram in where]
        if not hits:
            continue
        shared = np.bincount(np.concatenate(hits), minlength=len(against))
        similarity = shared / (len(found) + sizes - shared)
        if others is None:
            similarity[position:] = 0.0
        if aside is not None:
            similarity[aside(position)] = 0.0
        if similar := int((similarity >= threshold).sum()):
            other = int(similarity.argmax())
            yield Near(position, other, float(similarity[other]), similar)


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
