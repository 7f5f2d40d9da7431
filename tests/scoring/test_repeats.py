"""
pass^k, worked by hand.
"""

from dataclasses import replace

import pytest

from harness.scoring.columns import Columns
from harness.scoring.repeats import pass_hat
from harness.scoring.results import CaseResult
from tests.builders import answer, attempt, calls, case, judge

RIGHT = judge(case(calls("A")), answer(attempt("A")))
WRONG = judge(case(calls("A")), answer(attempt("B")))
BROKEN = judge(case(calls("A")), None)


def asked(**cases: str) -> Columns:
    kinds = {"r": RIGHT, "w": WRONG, "e": BROKEN}
    made: list[CaseResult] = [
        replace(kinds[letter], id=name, repeat=repeat)
        for name, letters in cases.items()
        for repeat, letter in enumerate(letters)
    ]
    return Columns(made)


def test_pass_hat_k_is_the_mean_share_of_draws_that_are_all_right():
    cases = asked(a="rrrr", b="rrww", c="wwww", d="rrre")

    assert [0.5, pytest.approx((1 + 1 / 6) / 3), pytest.approx(1 / 3), pytest.approx(1 / 3)] == [
        pass_hat(cases, k) for k in (1, 2, 3, 4)
    ]


def test_without_a_case_that_is_scored_throughout_there_is_none():
    assert pass_hat(asked(a="re"), 1) is None
