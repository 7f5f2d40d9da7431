"""
Some of many, so that what is rare is among them.
"""

from collections import defaultdict
from collections.abc import Sequence

from harness.canonical import digest


def sampled(
    strata: Sequence[str], groups: Sequence[str], names: Sequence[str], many: int
) -> set[int]:
    """
    Return the positions of at most *many* items, as many of each stratum as of any other; one that
    has fewer is there whole. In a stratum one of each group comes first, then a second of each.

    *names* decide which: the order of the items does not.
    """
    ranked: dict[str, list[int]] = {}
    for stratum in set(strata):
        members = [place for place, each in enumerate(strata) if each == stratum]
        ranked[stratum] = _one_of_each(members, groups, [digest(name) for name in names])
    kept: set[int] = set()
    left = many
    for number, stratum in enumerate(sorted(ranked, key=lambda each: (len(ranked[each]), each))):
        share = -(-left // (len(ranked) - number)) if left else 0
        taken = ranked[stratum][:share]
        kept.update(taken)
        left -= len(taken)
    return kept


def _one_of_each(members: Sequence[int], groups: Sequence[str], order: Sequence[str]) -> list[int]:
    rounds: defaultdict[str, int] = defaultdict(int)
    placed = []
    for place in sorted(members, key=lambda place: order[place]):
        placed.append((rounds[groups[place]], order[place], place))
        rounds[groups[place]] += 1
    return [place for *_, place in sorted(placed)]
