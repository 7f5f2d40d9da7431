"""
Margins of the called tool, as a comparison shows them.
"""

from dataclasses import replace

from harness.comparison.compare import compare
from harness.reports.changes import margins
from harness.scoring.results import CaseResult

from ..builders import answer, attempt, calls, case, judge, record


def sure(identity: str, margin: float) -> CaseResult:
    return judge(case(calls("A"), id=identity), answer(attempt("A")), margin=margin)


def test_the_least_sure_come_first_under_the_median_of_all():
    old = record(*(sure(name, 4.0) for name in "abc"))
    new = record(sure("a", 5.0), sure("b", 0.25), sure("c", 3.0))

    table = margins(compare(old, new))

    assert [
        ("4.00", "3.00", "-1.00"),
        ("4.00", "0.25", "-3.75"),
        ("4.00", "3.00", "-1.00"),
    ] == [row[1:] for row in table.rows]
    assert "median of 3 answers" == table.rows[0][0]


def test_where_nothing_became_less_sure_nothing_is_said():
    same = record(sure("a", 4.0))

    assert () == margins(compare(same, replace(same))).rows
    assert () == margins(compare(record(), record())).rows
