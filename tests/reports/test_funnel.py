"""
Where executed cases are lost.
"""

from dataclasses import replace

from harness.reports.funnel import Passage, funnel, passages
from harness.reports.report import RunView
from harness.scoring.results import CaseResult
from tests import builders

ALL = builders.executed("all", relevant=1, found=True, answered=True)
LOST = builders.executed("lost", relevant=1, found=False, answered=False)
SILENT = builders.executed("silent", relevant=1, called=False, found=False, answered=True)
MISREAD = builders.executed("misread", relevant=1, found=True, answered=False)
NONE = builders.executed("none", relevant=0, answered=True)


def view(*cases: CaseResult) -> RunView:
    return RunView(name="run", record=builders.record(*cases))


def test_each_stage_is_of_what_the_stage_before_left():
    found = passages(builders.record(ALL, LOST, SILENT, MISREAD, NONE))

    assert (
        Passage(name="called", came=4, passed=3),
        Passage(name="found", came=3, passed=2),
        Passage(name="answered", came=2, passed=1),
    ) == found


def test_a_suite_without_documents_has_no_funnel():
    assert () == passages(builders.record(NONE))
    assert () == funnel((view(NONE),), ("",)).rows


def test_two_runs_show_what_each_stage_lost_and_won():
    old = [ALL, LOST, SILENT, MISREAD]
    new = [
        replace(MISREAD, id="all", digest=ALL.digest),
        replace(ALL, id="lost", digest=LOST.digest),
    ]
    new += [SILENT, MISREAD]

    rows = funnel((view(*old), view(*new)), ("old", "new")).rows

    assert [("called", "0", "0"), ("found", "0", "1"), ("answered", "1", "1")] == [
        (row[0], row[-2], row[-1]) for row in rows
    ]
    assert ("3/4", "75.0%") == rows[0][1:3]
