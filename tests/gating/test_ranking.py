"""
Several runs in order: over the answers they share, told apart by the paired test.
"""

import random
from dataclasses import replace
from itertools import combinations
from math import comb

import pytest

from harness.backends.base import Generation
from harness.gating.ranking import ALPHA, Ranking, rank
from harness.runs.record import RunRecord
from harness.testing.reports import case, record, turn

COUNT = 60
"""Questions of a run; the positions at which it is wrong follow."""


def answered(*wrong: int, **fields: object) -> RunRecord:
    return record(
        [
            case(f"c{number:02}", turn("incorrect" if number in wrong else "correct"), **fields)
            for number in range(COUNT)
        ]
    )


def order(ranking: Ranking) -> list[int]:
    return [place.run for place in ranking.places]


def test_the_run_with_the_most_correct_answers_is_first():
    ranking = rank([answered(*range(9)), answered(), answered(*range(4))])

    assert [1, 2, 0] == order(ranking)
    assert [60, 56, 51] == [place.correct for place in ranking.places]
    assert COUNT == ranking.answers


def test_runs_the_paired_test_does_not_separate_are_marked_on_both_sides():
    """
    4 against 1 wrong is chance; either against 30 wrong is not.
    """
    ranking = rank([answered(*range(30)), answered(58, 57, 56, 55), answered(59)])

    assert [2, 1, 0] == order(ranking)
    assert [(1,), (0,), ()] == [place.alike for place in ranking.places]


def test_the_test_is_two_sided_mcnemar_mid_p_adjusted_by_holm():
    """
    Of the three pairs 9 : 0, 9 : 3 and 3 : 0 discordant answers, counted by hand.
    """
    ranking = rank([answered(), answered(0, 1, 2), answered(*range(3, 12))])

    def two_sided(larger: int, smaller: int) -> float:
        n = larger + smaller
        tail = sum(comb(n, k) for k in range(larger + 1, n + 1)) + comb(n, larger) / 2
        return min(1.0, 2 * tail / 2**n)

    raw = {(0, 1): two_sided(3, 0), (0, 2): two_sided(9, 0), (1, 2): two_sided(9, 3)}
    smallest, middle, largest = sorted(raw, key=lambda pair: raw[pair])
    expected = {smallest: 3 * raw[smallest]}
    expected[middle] = max(expected[smallest], 2 * raw[middle])
    expected[largest] = max(expected[middle], raw[largest])
    assert expected == pytest.approx(dict(ranking.p))


def test_groups_are_what_varies_independently():
    """
    Twelve answers that fell in two groups are two observations, not twelve.
    """
    grouped = [
        record(
            [
                case(
                    f"c{number:02}",
                    turn("incorrect" if number < wrong else "correct"),
                    group=f"g{number // 6}",
                )
                for number in range(COUNT)
            ]
        )
        for wrong in (0, 12)
    ]

    assert ALPHA <= rank(grouped).p[0, 1]
    assert ALPHA > rank([answered(), answered(*range(12))]).p[0, 1]


@pytest.mark.simulation
def test_equal_runs_are_seldom_told_apart():
    """
    Of 200 triples of equally good runs, few have any pair that is told apart.
    """
    draw = random.Random(4)
    told = 0
    for _ in range(200):
        runs = [answered(*(n for n in range(COUNT) if draw.random() < 0.3)) for _ in range(3)]
        told += any(p < ALPHA for p in rank(runs).p.values())

    assert told <= 20


def test_only_answers_that_every_run_has_and_scored_are_counted():
    short = record([case(f"c{number:02}", turn()) for number in range(10)])
    broken = record([case(f"c{n:02}", turn("error" if n < 2 else "correct")) for n in range(COUNT)])

    ranking = rank([answered(5), short, broken])

    assert 8 == ranking.answers
    assert [8, 8, 7] == [place.correct for place in ranking.places]


def test_failures_of_must_pass_are_named_and_decide_between_equals():
    fails = [answered(7), answered(3)]
    cases = [replace(each, must_pass=each.id == "c07") for each in fails[0].cases]
    fails[0] = replace(fails[0], cases=tuple(cases))

    ranking = rank(fails)

    assert [1, 0] == order(ranking)
    assert [(), ("c07",)] == [place.must_pass_failed for place in ranking.places]


def test_a_run_made_with_other_settings_than_the_first_says_which():
    other = replace(answered(1), generation=Generation(max_new_tokens=9))

    ranking = rank([other, answered()])

    assert [(), ("generation.max_new_tokens",)] == [
        place.made_otherwise for place in ranking.places
    ]


def test_runs_with_nothing_in_common_are_counted_over_nothing():
    ranking = rank([answered(), record([case("x")])])

    assert 0 == ranking.answers
    assert all(p == 1.0 for p in ranking.p.values())


def test_every_pair_is_tested():
    ranking = rank([answered(n) for n in range(4)])

    assert set(combinations(range(4), 2)) == set(ranking.p)
