"""
Some of many: rare strata whole, common ones alike, and no template more often than it must be.
"""

import random
from collections import Counter

import pytest

from harness.importers.readers.sampling import sampled

STRATA = ["often"] * 300 + ["seldom"] * 40 + ["rare"] * 3
GROUPS = [f"g{number % 30}" for number in range(300)] + [f"h{number}" for number in range(43)]
NAMES = [f"n{number}" for number in range(343)]


@pytest.mark.parametrize(
    ("many", "shares"),
    [
        (30, {"rare": 3, "seldom": 14, "often": 13}),
        (93, {"rare": 3, "seldom": 40, "often": 50}),
        (343, {"rare": 3, "seldom": 40, "often": 300}),
        (2, {"rare": 1, "seldom": 1}),
    ],
)
def test_every_stratum_has_as_many_as_any_other_or_all_it_has(many: int, shares: dict[str, int]):
    kept = sampled(STRATA, GROUPS, NAMES, many)

    assert shares == Counter(STRATA[place] for place in kept)


def test_each_group_of_a_stratum_comes_once_before_any_comes_twice():
    kept = sampled(STRATA, GROUPS, NAMES, 3 + 40 + 45)

    groups = Counter(GROUPS[place] for place in kept if STRATA[place] == "often")
    assert (30, {1, 2}) == (len(groups), set(groups.values()))


def test_the_order_of_the_items_decides_nothing():
    order = list(range(343))
    random.Random(0).shuffle(order)

    kept = sampled(STRATA, GROUPS, NAMES, 50)
    again = sampled(
        [STRATA[place] for place in order],
        [GROUPS[place] for place in order],
        [NAMES[place] for place in order],
        50,
    )

    assert kept == {order[place] for place in again}
