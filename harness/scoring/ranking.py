"""
How good a ranking of documents is, by the definitions of trec_eval.

*grades* are the relevant documents, each with a grade from 1; a ranking lists ids, best first.
"""

import math
from collections.abc import Mapping, Sequence


def recall(ranking: Sequence[str], grades: Mapping[str, int]) -> float:
    """
    Return the share of the relevant documents that are in the ranking.
    """
    return sum(name in grades for name in ranking) / len(grades)


def reciprocal_rank(ranking: Sequence[str], grades: Mapping[str, int]) -> float:
    """
    Return one over the rank of the first relevant document; 0 if there is none.
    """
    return next((1 / rank for rank, name in enumerate(ranking, 1) if name in grades), 0.0)


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], k: int | None = None) -> float:
    """
    Return the discounted cumulative gain (gain: the grade, discount: log2 of rank + 1) of the first
    *k*, over that of the best ranking there could be; of all documents if *k* is None.
    """
    ideal = _gain(sorted(grades.values(), reverse=True)[:k])
    return _gain([grades.get(name, 0) for name in ranking[:k]]) / ideal


def _gain(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))
