"""
How often a case is right when it is asked again and again: pass^k.

Of n answers to a case of which s are right, ``C(s, k) / C(n, k)`` of the ways to draw k of them
draw right ones only; pass^k is the mean over cases (Yao et al. 2024, tau-bench). For k = n it is
the share of cases that are right in all.
"""

from math import comb

from harness.scoring.columns import Columns


def pass_hat(cases: Columns, k: int) -> float | None:
    """
    Return pass^k over the cases of which all repeats are scored; None if there are none.
    """
    scored, right = cases.scored.tolist(), cases.correct.tolist()
    many = int(cases.repeats.max(initial=0)) + 1
    shares = [
        comb(sum(right[place] for place in places), k) / comb(many, k)
        for places in cases.places.values()
        if len(places) == many and all(scored[place] for place in places)
    ]
    return sum(shares) / len(shares) if shares else None
