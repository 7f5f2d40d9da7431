from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from harness.errors import ExitCode
from harness.renderers.junit import render
from harness.reports.report import Report


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
