"""
Which checkpoint of a training is kept.
"""

import pytest

from harness.errors import UsageError
from harness.gating.selection import earliest_as_good
from harness.runs.record import RunRecord

from ..builders import answer, attempt, calls, case, judge, record


def run(*wrong: int, twice: tuple[int, ...] = ()) -> RunRecord:
    """
    A run of 40 cases that is wrong in some and calls twice in others.
    """
    return record(
        *(
            judge(
                case(calls("A"), id=f"c{number}"),
                answer(
                    attempt("B" if number in wrong else "A"),
                    *[attempt("A")] * (number in twice),
                ),
            )
            for number in range(40)
        )
    )


def test_the_earliest_is_kept_that_is_not_worse_than_the_best():
    assert 1 == earliest_as_good([run(*range(20)), run(*range(3)), run(1), run()])
    assert 2 == earliest_as_good([run(*range(20)), run(*range(9)), run(1), run(), run()])


def test_the_best_itself_is_kept_where_all_before_are_worse():
    assert 2 == earliest_as_good([run(*range(30)), run(*range(20)), run()])
    assert 0 == earliest_as_good([run(), run(*range(20))])


def test_a_rate_that_is_better_when_lower_is_selected_by_its_own_way():
    second = [run(twice=tuple(range(20, 32))), run(*range(20)), run(twice=(21,))]

    assert 1 == earliest_as_good(second, "second_call_rate")


def test_without_a_value_there_is_none_and_only_a_rate_selects():
    assert None is earliest_as_good([run()], "abstention_accuracy")
    with pytest.raises(UsageError, match="not a rate to select by"):
        earliest_as_good([run()], "output_tokens_p50")
