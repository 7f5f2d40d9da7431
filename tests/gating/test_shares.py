"""
What the limits of several suites have of alpha.
"""

import random
from itertools import combinations

import pytest

from harness.comparison.compare import Comparison, compare
from harness.gating.policy import default_policy, read_policy
from harness.gating.power import NEW_OFFENDERS
from harness.gating.shares import Rise, beyond_all, share

from .test_gate import BAD, SECOND, runs


def compared(broken: int, fixed: int, n: int = 120, **fields) -> Comparison:
    return compare(*runs(broken, fixed, n, **fields))


def beyond_every_set(rises: list[Rise], alpha: float) -> list[bool]:
    """
    Closed testing as it is defined: set by set.
    """
    found = []
    for place in range(len(rises)):
        sets = (
            [rises[each] for each in members]
            for size in range(1, len(rises) + 1)
            for members in combinations(range(len(rises)), size)
            if place in members
        )
        found.append(
            all(
                any(each.beyond(alpha, len(one)) for each in one)
                or (
                    sum(each.newly_bad for each in one) >= NEW_OFFENDERS
                    and not any(each.fixed for each in one)
                )
                for one in sets
            )
        )
    return found


def test_the_sets_that_are_looked_at_stand_for_all():
    dice = random.Random(20261130)
    for _ in range(1500):
        rises = [
            Rise(
                p=dice.choice([0.001, 0.004, 0.01, 0.02, 0.03, 0.2, 0.5]),
                newly_bad=dice.choice([0, 0, 1, 2, 3, 4, 5, 6]),
                fixed=dice.random() < 0.4,
            )
            for _ in range(dice.randint(1, 6))
        ]
        assert beyond_every_set(rises, 0.05) == beyond_all(rises, 0.05)


def test_forty_zero_margins_are_shared_in_no_time():
    rises = [Rise(p=0.2, newly_bad=1, fixed=True)] * 39 + [Rise(p=0.0001, newly_bad=9, fixed=False)]

    assert [False] * 39 + [True] == beyond_all(rises, 0.05)


def test_one_suite_has_all_of_alpha():
    shares = share({"one": (default_policy(), compared(6, 1))})["one"]

    assert {} == shares.margins
    assert (1, 1) == (shares.suites, shares.lengths)


def test_p_of_a_margin_is_adjusted_for_the_suites_that_could_fail():
    policy = default_policy()
    alone = {"a": (policy, compared(8, 1))}
    quiet = {f"quiet {k}": (policy, compared(1, 1)) for k in range(6)}
    loud = {f"loud {k}": (policy, compared(5, 5)) for k in range(6)}
    p = share({**alone, "one more": (policy, compared(0, 0))})["a"].margins["accuracy"]

    assert p == pytest.approx(share({**alone, **quiet})["a"].margins["accuracy"])
    assert 7 * p == pytest.approx(share({**alone, **loud})["a"].margins["accuracy"])


def test_slices_of_all_suites_share_one_alpha():
    policy = read_policy('[slices.t]\naccuracy = "-3pp"', "test")
    one = {"a": (policy, compared(8, 1, tags=("t",)))}
    both = {**one, "b": (policy, compared(6, 5, tags=("t",)))}

    assert 1 == share(one)["a"].of_slices
    assert 2 == share(both)["a"].of_slices
    assert share(one)["a"].slices["t", "accuracy"] < share(both)["a"].slices["t", "accuracy"]


def test_a_rise_in_one_suite_may_be_chance_among_many():
    policy = read_policy('[limits]\nsecond_call_rate = "+0pp"', "test")
    rise = {"a": (policy, compared(3, 0, bad=SECOND))}
    others = {f"{k}": (policy, compared(1, 1, bad=SECOND)) for k in range(6)}

    assert frozenset() == share(rise)["a"].may_be_chance
    assert {"second_call_rate"} == share({**rise, **others})["a"].may_be_chance


def test_a_rise_spread_over_suites_is_seen_in_all_together():
    policy = read_policy('[limits]\nsecond_call_rate = "+0pp"', "test")
    spread = {f"{k}": (policy, compared(3, 0, bad=SECOND)) for k in range(7)}

    assert all(not each.may_be_chance for each in share(spread).values())


def test_lengths_of_all_suites_are_counted():
    policy = default_policy()
    found = share({"a": (policy, compared(0, 0)), "b": (policy, compared(0, 0, bad=BAD))})

    assert 2 == found["a"].lengths == found["b"].lengths
