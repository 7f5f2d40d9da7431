import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.comparison.compare import compare
from harness.renderers.markdown import LIMIT, render
from harness.reports.report import Report, RunView
from harness.scoring.results import CaseResult

SPAN = re.compile(r"(?<!`)(`+)(?!`)(?:[^\n]*?[^`\n])?\1(?!`)")
OURS = re.compile(r"</?details>|</?summary>|\*\*|^#{3,4} |\\(?=\|)", re.MULTILINE)


def many(run: RunView, case: CaseResult) -> RunView:
    """
    Return the run with 2,000 cases like *case*.
    """
    cases = tuple(replace(case, id=f"case{number:04}") for number in range(2000))
    prompts = {each.id: "p" * 290 for each in cases}
    return replace(run, record=replace(run.record, cases=cases), prompts=prompts)


def test_the_verdict_comes_first_and_details_are_folded(gate_report: Report):
    lines = render(gate_report).split("\n")

    assert "### the gate" == lines[0]
    assert lines[2].startswith("**regressed: ")
    assert "#### Metrics" in lines
    assert "<details><summary>Broken (11)</summary>" in lines
    assert lines.index("#### Metrics") < lines.index("<details><summary>Broken (11)</summary>")


def test_folds_are_opened_and_closed_with_blank_lines_inside(report: Report):
    text = render(report)

    assert text.count("<details>") == text.count("\n\n</details>")
    assert text.count("</summary>") == text.count("</summary>\n\n")


def test_every_table_row_has_as_many_cells_as_its_header(report: Report):
    for table in re.findall(r"(?:^\|.*\|\n)+", render(report), re.MULTILINE):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert 1 == len(counts), table


@pytest.mark.parametrize(
    "text",
    [
        "</details><b>x</b>",
        "`a``b```",
        "``",
        "a|b\\|c",
        "[x](http://evil.example) @everyone #1",
        "# head",
        "* item",
        "<!--",
        "&lt;",
        "~~~",
    ],
)
def test_foreign_text_is_in_code_spans_only(
    text: str, hostile_reports: Callable[[str], list[Report]]
):
    """
    What is left without code spans and our own marks is letters and plain punctuation.
    """
    for report in hostile_reports(text):
        left = OURS.sub("", SPAN.sub("", render(report)))

        assert "" == re.sub(r"[\w\s.,;:%()'\"+/=|–—→…\\⏎-]", "", left, flags=re.ASCII)


def test_a_big_report_is_cut_by_whole_rows_and_says_so(gate_report: Report):
    old, new = (
        many(run, next(case for case in run.record.cases if case.id == "c00"))
        for run in gate_report.runs
    )
    comparison = compare(old.record, new.record)
    report = Report(title="big", runs=(old, new), comparison=comparison)

    text = render(report)

    assert LIMIT * 0.95 < len(text) <= LIMIT
    shown = text.count("- **`case")
    assert f"… and {2000 - shown:,} more cases not shown here." in text
    assert "| accuracy | 2,000 |" in text
    assert text.count("<details>") == text.count("</details>")
    for line in text.split("\n"):
        assert line.count("`") % 2 == 0


def test_everything_fits_where_there_is_room(gate_report: Report):
    assert "not shown here" not in render(gate_report)


def test_a_small_limit_is_kept(gate_report: Report):
    text = render(gate_report, limit=4000)

    assert len(text) <= 4000
    assert "not shown here" in text
