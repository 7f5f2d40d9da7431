import json
from collections.abc import Callable

from harness.renderers.json import render
from harness.reports.report import Report
from harness.runs.record import decode


def test_a_verdict_is_the_verdict(gate_report: Report):
    data = json.loads(render(gate_report))

    assert gate_report.verdict is not None
    assert "regressed" == data["verdict"]
    assert 1 == data["exit"]
    assert list(gate_report.verdict.broken) == data["broken"]
    assert gate_report.verdict.metrics["accuracy"].delta == data["metrics"]["accuracy"]["delta"]


def test_a_comparison_has_the_same_words_but_no_verdict(
    comparison_report: Report, gate_report: Report
):
    compared, gated = json.loads(render(comparison_report)), json.loads(render(gate_report))

    assert "verdict" not in compared
    for key in ("broken", "fixed", "added", "removed", "changed", "quarantined", "differences"):
        assert gated[key] == compared[key]
    for key in ("old", "new", "delta", "pairs"):
        assert gated["metrics"]["accuracy"][key] == compared["metrics"]["accuracy"][key]


def test_one_run_is_its_record(run_report: Report):
    assert run_report.new.record == decode(render(run_report), "the report")


def test_side_by_side_has_each_runs_numbers(side_report: Report):
    data = json.loads(render(side_report))

    assert ["one", "two", "three"] == [run["name"] for run in data["runs"]]
    assert [run.record.metrics["accuracy"].value for run in side_report.runs] == [
        run["metrics"]["accuracy"]["value"] for run in data["runs"]
    ]
    assert "truncated" == data["runs"][2]["statuses"]["c00"]


def test_text_is_ascii_and_comes_back_whole(hostile_reports: Callable[[str], list[Report]]):
    text = "\x1b[31m\u202e\ud800"

    for report in hostile_reports(text):
        shown = render(report)

        assert shown.isascii()
        assert text in json.dumps(json.loads(shown), ensure_ascii=False).replace("\\u001b", "\x1b")
