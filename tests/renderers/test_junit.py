from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from harness.errors import ExitCode
from harness.renderers.junit import render
from harness.reports.report import Report
from harness.scoring.results import CaseResult, TurnResult
from harness.testing.reports import (
    ERROR,
    MALFORMED,
    WRONG,
    case,
    gated,
    new_cases,
    old_cases,
    turn,
    view,
)


def parsed(report: Report) -> Element:
    return ElementTree.fromstring(render(report))


def testcase(root: Element, name: str) -> Element:
    return next(each for each in root.iter("testcase") if each.get("name") == name)


testcase.__test__ = False  # type: ignore[attr-defined]  # a helper, whatever its name says


def outcome(root: Element, name: str) -> Element:
    (found,) = testcase(root, name)
    return found


def test_wrong_behaviour_is_a_failure_with_its_evidence(run_report: Report):
    failure = outcome(parsed(run_report), "c00")

    assert "failure" == failure.tag
    assert "wrong_tool" == failure.get("type")
    assert "wrong_tool: expected search_kb" == failure.get("message")
    assert (failure.text or "").split("\n") == [
        "prompt: prompt of c00",
        "answer: answer to c00",
        'called: google(query="leave")',
        "wrong_tool: expected search_kb",
    ]


def test_infrastructure_is_an_error_and_quarantine_is_skipped(run_report: Report):
    root = parsed(run_report)

    assert "error" == outcome(root, "c10").tag
    assert "out of memory" == outcome(root, "c10").get("message")
    assert "skipped" == outcome(root, "asleep").tag
    assert 0 == len(testcase(root, "c20"))


def test_outcomes_are_counted(run_report: Report):
    root = parsed(run_report)

    for element in (root, root[0]):
        assert ["33", "11", "1", "1"] == [
            element.get(name) for name in ("tests", "failures", "errors", "skipped")
        ]


def test_a_comparison_is_of_the_new_run_and_the_gate(gate_report: Report):
    root = parsed(gate_report)

    assert 1 == len(root)
    assert "routing (candidate)" == root[0].get("name")
    assert "regressed" == outcome(root, "gate").get("type")
    assert gate_report.verdict is not None
    assert gate_report.verdict.reasons[0].text == outcome(root, "gate").get("message")


@pytest.mark.parametrize(
    ("word", "exits", "tag"),
    [
        ("regressed", ExitCode.REGRESSED, "failure"),
        ("not_comparable", ExitCode.UNDECIDED, "failure"),
        ("inconclusive", ExitCode.UNDECIDED, "failure"),
        ("inconclusive", ExitCode.PASS, "system-out"),
        ("pass", ExitCode.PASS, "system-out"),
    ],
)
def test_the_gate_fails_where_it_blocks(gate_report: Report, word: Any, exits: ExitCode, tag: str):
    assert gate_report.verdict is not None
    verdict = replace(gate_report.verdict, verdict=word, exit=exits)
    report = replace(gate_report, verdict=verdict)
    found = outcome(parsed(report), "gate")

    assert tag == found.tag
    assert word in (found.get("type") or found.text or "")


def test_with_a_gate_failures_are_the_gate_must_pass_and_newly_broken_cases():
    known = case("known", WRONG)
    report = gated(view("main", [*old_cases(), known]), view("new", [*new_cases(), known]))
    verdict = report.verdict
    assert verdict is not None
    failed = {each.get("name") for each in parsed(report).iter("testcase") if _has_failure(each)}

    assert {"gate", *verdict.broken, *verdict.must_pass_failed} == failed


def _has_failure(case: Element) -> bool:
    return case.find("failure") is not None


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (case("c", WRONG), "known failure: malformed, and incorrect in main"),
        (case("c", ERROR), "malformed; main has no answer to compare with"),
        (
            case("c", quarantined=True),
            "malformed; quarantined in main, so there is no comparison",
        ),
        (
            case("c", WRONG, quarantined=True),
            "malformed; quarantined in main, so there is no comparison",
        ),
        (
            case("c", digest="sha256:other"),
            "malformed; the case was changed since main, so there is no comparison",
        ),
        (case("d"), "malformed; the case is not in main, so there is no comparison"),
    ],
)
def test_with_a_gate_what_did_not_break_is_skipped_with_its_reason_and_evidence(
    before: CaseResult, reason: str
):
    others = [case(f"ok{number}") for number in range(30)]
    report = gated(view("main", [before, *others]), view("new", [case("c", MALFORMED), *others]))
    skipped = outcome(parsed(report), "c")

    assert "skipped" == skipped.tag
    assert reason == skipped.get("message")
    assert "malformed_call: no JSON" in (skipped.text or "")


def test_with_a_gate_a_case_that_must_pass_fails_however_long_it_has_failed():
    cases = [case("c", WRONG, must_pass=True), case("ok")]
    report = gated(view("main", cases), view("new", cases))

    assert "failure" == outcome(parsed(report), "c").tag


def test_what_broke_since_the_anchor_is_a_failure(anchored_report: Report):
    assert anchored_report.verdict is not None
    assert () == anchored_report.verdict.broken
    assert "failure" == outcome(parsed(anchored_report), "c00").tag


def test_a_repeat_that_varies_and_is_not_worse_is_skipped():
    def repeats(*turns: TurnResult) -> list[CaseResult]:
        return [case("c", each, repeat=place) for place, each in enumerate(turns)]

    report = gated(view("main", repeats(turn(), WRONG)), view("new", repeats(WRONG, turn())))

    assert "incorrect; correct in main, but not worse over its repeats" == outcome(
        parsed(report), "c"
    ).get("message")


def test_without_a_gate_each_wrong_case_is_a_failure(run_report: Report, comparison_report: Report):
    for report in (run_report, comparison_report):
        wrong = {
            each.id
            for each in report.new.record.cases
            if each.status not in ("correct", "error") and not each.quarantined
        }
        failed = {
            each.get("name") for each in parsed(report).iter("testcase") if _has_failure(each)
        }

        assert wrong == failed


def test_without_a_verdict_there_is_no_gate(comparison_report: Report):
    names = [each.get("name") for each in parsed(comparison_report).iter("testcase")]

    assert "gate" not in names


def test_each_run_side_by_side_is_a_suite(side_report: Report):
    assert ["routing (one)", "routing (two)", "routing (three)"] == [
        suite.get("name") for suite in parsed(side_report)
    ]


def test_a_repeat_is_in_the_name(run_report: Report):
    run = run_report.new
    again = replace(run.record.cases[0], repeat=2)
    record = replace(run.record, cases=(again,))

    root = parsed(replace(run_report, runs=(replace(run, record=record),)))

    assert ["c00[repeat 2]"] == [each.get("name") for each in root.iter("testcase")]


def test_each_turn_is_told_apart(run_report: Report):
    run = run_report.new
    good, bad = run.record.cases[20].turns[0], run.record.cases[0].turns[0]
    both = replace(run.record.cases[0], turns=(good, bad))
    report = replace(run_report, runs=(replace(run, record=replace(run.record, cases=(both,))),))

    body = outcome(parsed(report), "c00").text or ""

    assert "turn 1: correct" in body
    assert body.index("turn 2: incorrect") < body.index("wrong_tool")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b\x1b[31m", "a\\x00b\\x1b[31m"),
        ("]]><x>&amp;", "]]><x>&amp;"),
        ("\ud800\ufffe", "\\ud800\\ufffe"),
        ("one\ntwo\r\nthree", "one\ntwo\nthree"),
    ],
)
def test_foreign_text_comes_back_whole_from_the_xml(
    text: str, shown: str, hostile_reports: Callable[[str], list[Report]]
):
    for report in hostile_reports(text):
        bodies = [each.text or "" for each in parsed(report).iter("failure")]

        assert any(f"answer: {shown}" in body for body in bodies)
