"""
An epoch chosen by the cases of one half, and reported on those of the other.
"""

import pytest

from harness.errors import TrainingError, UsageError
from harness.finetuning.selection import Halves, Selected, choose, halves, measured, select_epoch
from harness.runs.record import RunRecord
from harness.suites.files import load_suite

from ..benchmarks.selection_simulation import SUITE, simulated
from ..builders import answer, attempt, calls, case, judge, record


@pytest.fixture(scope="module")
def cases():
    return load_suite(SUITE).cases


def test_groups_stay_together_and_each_case_is_on_one_side(cases):
    split = halves(cases, seed=1)
    side = dict.fromkeys(split.select, "select")
    side |= dict.fromkeys(split.report, "report")

    assert len(cases) == len(side) == len(split.select) + len(split.report)
    together = {}
    for each in cases:
        together.setdefault(each.group, set()).add(side[each.id])
    assert {1} == {len(sides) for sides in together.values()}


def test_both_sides_have_about_half_and_some_of_each_tag(cases):
    split = halves(cases, seed=1)

    assert 10 > abs(len(split.select) - len(split.report))
    for tag in ("ambiguous", "internal", "public"):
        tagged = {each.id for each in cases if tag in each.tags}
        share = len(tagged & set(split.select)) / len(tagged)
        assert pytest.approx(0.5, abs=0.12) == share, tag


def test_the_seed_decides_and_the_order_of_the_cases_does_not(cases):
    split = halves(cases, seed=1)

    assert set(split.select) == set(halves(cases[::-1], seed=1).select)
    assert split.select != halves(cases, seed=2).select


def test_cases_of_one_group_cannot_be_split(cases):
    with pytest.raises(UsageError, match="form one group"):
        halves([each for each in cases if each.group == cases[0].group], seed=1)


@pytest.mark.parametrize(
    ("rates", "worse", "higher", "chosen"),
    [
        ((0.2, 0.8, 0.9, 0.7), {0, 3}, True, (2, 1)),
        ((0.9, 0.9, 0.8), {2}, True, (0, 0)),
        ((0.2, 0.8, 0.9), {0, 1}, True, (2, 2)),
        ((0.3, 0.1, 0.0), {0}, False, (2, 1)),
    ],
)
def test_kept_is_the_earliest_that_is_not_worse_than_the_best(rates, worse, higher, chosen):
    assert chosen == choose(rates, lambda _, place: 0.01 if place in worse else 0.4, higher=higher)


NAMES = [f"case-{number:02d}" for number in range(40)]
SPLIT = Halves(seed=1, select=tuple(NAMES[::2]), report=tuple(NAMES[1::2]))


def run_of(right: int) -> RunRecord:
    """
    A run in which so many of the cases are right: the first ones.
    """
    return record(
        *(
            judge(case(calls("A"), id=name), answer(attempt("A" if place < right else "B")))
            for place, name in enumerate(NAMES)
        )
    )


def test_runs_are_compared_by_the_paired_test_on_the_cases_that_choose():
    found = select_epoch([run_of(10), run_of(34), run_of(38)], SPLIT, by="tool_accuracy")

    assert (0.25, 0.85, 0.95) == found.rates
    # Two cases were lost, which may be chance; fourteen were not.
    assert (2, 1) == (found.best, found.kept)
    assert found.p > 0.05
    assert found == Selected.from_json(found.to_json())


def test_what_is_reported_is_of_the_other_cases_alone():
    reported = measured(run_of(35), SPLIT.report)["tool_accuracy"]

    assert (17, 20) == (reported.hits, reported.eligible)


def test_a_metric_that_no_case_is_about_cannot_choose():
    with pytest.raises(TrainingError, match="about abstention_accuracy"):
        select_epoch([run_of(10)], SPLIT, by="abstention_accuracy")


def test_among_equal_epochs_the_reported_figure_is_unbiased_and_the_highest_is_not():
    cell = simulated(8, 0.9)

    bias, _ = cell.reported
    assert abs(bias) < 0.5
    highest, error = cell.highest
    assert highest - 3 * error > 1.5
