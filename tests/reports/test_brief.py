"""
The short form of a report: which reasons, metrics and cases it keeps, and what it leaves out.
"""

from dataclasses import replace

import pytest

from harness.gating.verdict import Reason
from harness.reports.blocks import Listing, Paragraph, Points, Section, Table, plain
from harness.reports.brief import brief, outcome
from harness.reports.report import Report
from harness.testing.reports import REPORTS


def with_reasons(*reasons: Reason) -> Report:
    report = REPORTS["gate"]()
    assert report.verdict is not None
    return replace(report, verdict=replace(report.verdict, reasons=reasons))


def head(report: Report) -> list[str]:
    """
    Return the verdict and the reasons under it.
    """
    first, second, *_ = brief(report)[0].blocks
    assert isinstance(first, Paragraph)
    points = second.texts if isinstance(second, Points) else ()
    return [plain(first.text), *map(plain, points)]


def section(report: Report, title: str) -> Section:
    return next(each for each in brief(report) if each.title.startswith(title))


def test_only_reasons_for_the_verdict_are_kept_and_the_others_counted():
    report = with_reasons(
        Reason(text="it fell", verdict="regressed"),
        Reason(text="within", verdict="pass"),
        Reason(text="it rose", verdict="regressed"),
        Reason(text="perhaps", verdict="inconclusive"),
    )

    assert ["regressed: it fell", "it rose"] == head(report)
    (rest,) = brief(report)[-1].blocks
    assert isinstance(rest, Paragraph)
    assert "2 further reasons" in plain(rest.text)


def test_what_would_block_by_itself_is_said_beside_what_decides():
    report = with_reasons(
        Reason(text="it fell", verdict="regressed"),
        Reason(text="it failed in both", verdict="still_failing"),
        Reason(text="other hardware", verdict="not_comparable"),
        Reason(text="perhaps", verdict="inconclusive"),
    )

    assert ["regressed: it fell", "it failed in both", "other hardware"] == head(report)


def test_a_reason_is_shortened_by_whole_clauses():
    long = "accuracy fell a lot; " + "; ".join(f"clause {n} {'x' * 60}" for n in range(6))

    (said, *_) = head(with_reasons(Reason(text=long, verdict="regressed")))

    assert said.startswith("regressed: accuracy fell a lot; clause 0 ")
    assert said.endswith("x; …")
    assert 300 > len(said)


def test_metrics_that_did_not_move_are_left_out_and_those_with_a_limit_come_first():
    report = REPORTS["gate"]()
    assert report.comparison is not None
    assert report.verdict is not None
    table = section(report, "Metrics that moved").blocks[0]
    assert isinstance(table, Table)

    moved = [
        name
        for name, paired in report.comparison.metrics.items()
        if paired.pairs and paired.old != paired.new
    ]
    assert len(moved) >= len(table.rows) > 0
    assert all(row[1] != row[2] or row[-1] not in ("pass", "") for row in table.rows)
    limits = [bool(row[4]) for row in table.rows]
    assert sorted(limits, reverse=True) == limits


def test_each_broken_case_has_one_line_with_its_first_fault():
    listing = section(REPORTS["gate"](), "Broken").blocks[0]

    assert isinstance(listing, Listing)
    assert all(not entry.fields for entry in listing.entries)
    assert "incorrect: wrong_tool: expected search_kb" in listing.entries[0].note


def test_a_case_that_must_pass_and_broke_is_listed_once_and_counted_in_both():
    report = REPORTS["gate"]()
    assert report.comparison is not None
    (failed,) = report.comparison.must_pass_failed
    broke = report.comparison.rates["accuracy"].broken

    must, broken = section(report, "Must pass"), section(report, "Broken")

    above, others = must.blocks[0], broken.blocks[0]
    assert isinstance(above, Listing)
    assert isinstance(others, Listing)
    assert "Must pass and did not (1)" == must.title
    assert f"Broken ({len(broke)}, 1 of them above)" == broken.title
    assert [failed] == [entry.name for entry in above.entries]
    assert {*broke} - {failed} == {entry.name for entry in others.entries}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gate", "regressed"),
        ("ranked", "best: two"),
        ("side by side", "3 runs"),
        ("empty", "accuracy –"),
        ("empty gate", "not comparable"),
    ],
)
def test_the_outcome_is_a_few_words(name: str, expected: str):
    assert expected == outcome(REPORTS[name]())


@pytest.mark.parametrize("name", list(REPORTS))
def test_every_report_has_a_short_form(name: str):
    assert brief(REPORTS[name]())
