"""
Columns count what counting case by case would, also those of cases that are still on disk.
"""

from dataclasses import replace
from math import isnan

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring.breakdowns import confusion
from harness.scoring.columns import Columns
from harness.scoring.metrics import PERCENTILES, RATES, Counts
from harness.scoring.results import CaseResult

from ..runs.test_record import CASES

RESULTS = st.lists(CASES, max_size=6)
# More than are taken at a time, of few kinds.
MANY = st.lists(CASES, min_size=1, max_size=3).map(lambda few: (few * 50)[:83])


@settings(deadline=None, max_examples=100)
@given(RESULTS)
def test_a_rate_counts_ways_to_be_judged_as_it_would_count_cases(results: list[CaseResult]):
    columns = Columns(results)

    for rate in RATES.values():
        if rate.repeated:
            continue  # tests/scoring/test_metrics.py
        items = [
            item
            for case in results
            if case.scored
            for item in rate.per.of(case)
            if rate.population(item)
        ]
        expected = Counts(hits=sum(map(rate.hit, items)), eligible=len(items))
        assert expected == rate.measure(columns), rate.name


@settings(deadline=None, max_examples=100)
@given(RESULTS)
def test_a_percentile_is_that_of_all_answers(results: list[CaseResult]):
    columns = Columns(results)

    for percentile in PERCENTILES.values():
        items = [item for case in results for item in percentile.per.of(case)]
        values = [percentile.value(item) for item in items]
        column = [None if isnan(value) else value for value in percentile.column(columns)]
        assert values == column, percentile.name
        scored = [
            value
            for case in results
            if case.scored
            for item in percentile.per.of(case)
            if (value := percentile.value(item)) is not None
        ]
        assert percentile.of(scored) == percentile.measure(columns), percentile.name


@settings(deadline=None, max_examples=50)
@given(RESULTS | MANY)
def test_what_is_asked_by_case_is_answered_by_case(results: list[CaseResult]):
    columns = Columns(results)

    assert [(case.id, case.repeat) for case in results] == list(columns.keys)
    assert [case.scored for case in results] == columns.scored.tolist()
    assert [case.status == "correct" for case in results] == columns.correct.tolist()
    assert [case.group for case in results] == columns.groups.objects().tolist()
    assert [case.tags for case in results] == [
        columns.tags.values[code] for code in columns.tags.codes
    ]
    for identity in {case.id for case in results}:
        places = columns.places[identity]
        assert [case for case in results if case.id == identity] == [results[k] for k in places]


@settings(deadline=None, max_examples=50)
@given(RESULTS)
def test_the_confusion_matrix_counts_each_pair(results: list[CaseResult]):
    paired = [
        replace(
            case, turns=tuple(replace(turn, pairs=(("A", turn.status),)) for turn in case.turns)
        )
        for case in results
    ]
    expected: dict[str, int] = {}
    for case in paired:
        for turn in case.turns if case.scored else ():
            expected[turn.status] = expected.get(turn.status, 0) + 1

    assert ({"A": expected} if expected else {}) == confusion(paired)
