import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.errors import ExitCode
from harness.renderers.github import outputs, render
from harness.reports.report import Report
from harness.testing.texts import HOSTILE

COMMAND = re.compile(r"::(error|warning|notice) title=((?:(?!::)[^:,\n])*)::(.*)")


def commands(text: str) -> list[tuple[str, str, str]]:
    """
    Read annotations as the runner does: properties and message unescaped.
    """
    read = []
    for line in text.splitlines():
        found = COMMAND.fullmatch(line)
        assert found, line
        level, title, message = found.groups()
        for escape, char in (
            ("%3A", ":"),
            ("%2C", ","),
            ("%0D", "\r"),
            ("%0A", "\n"),
            ("%25", "%"),
        ):
            title, message = title.replace(escape, char), message.replace(escape, char)
        read.append((level, title, message))
    return read


def test_a_blocked_candidate_is_an_error_and_so_is_what_it_broke(gate_report: Report):
    first, *rest = commands(render(gate_report))

    assert gate_report.verdict is not None
    assert ("error", "harness gate: regressed", gate_report.verdict.reasons[0].text) == first
    assert {"error"} == {level for level, _, _ in rest}
    assert 9 == len(rest)
    assert "broken: c00 (correct → incorrect)" == rest[0][1]
    assert "asked: prompt of c00" in rest[0][2]


@pytest.mark.parametrize(
    ("word", "exits", "level"),
    [
        ("pass", ExitCode.PASS, "notice"),
        ("inconclusive", ExitCode.PASS, "warning"),
        ("inconclusive", ExitCode.UNDECIDED, "error"),
        ("not_comparable", ExitCode.UNDECIDED, "error"),
    ],
)
def test_the_level_says_whether_the_gate_blocks(
    word: str, exits: ExitCode, level: str, gate_report: Report
):
    assert gate_report.verdict is not None
    verdict = replace(gate_report.verdict, verdict=word, exit=exits)

    first, *rest = commands(render(replace(gate_report, verdict=verdict)))

    assert level == first[0]
    assert {"error" if level == "error" else "warning"} == {each[0] for each in rest}


def test_later_steps_can_ask_for_the_verdict(gate_report: Report):
    found = dict(line.split("=", 1) for line in outputs(gate_report).splitlines())

    assert gate_report.verdict is not None
    assert {
        "verdict": "regressed",
        "exit": "1",
        "reason": gate_report.verdict.reasons[0].text,
        "broken": "11",
        "fixed": "1",
        "accepted": "0",
    } == found


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_gives_no_command_and_no_output_of_its_own(
    text: str, hostile_reports: Callable[[str], list[Report]]
):
    for report in hostile_reports(text):
        assert len(commands(render(report))) <= 10
        names = [line.split("=", 1)[0] for line in outputs(report).splitlines()]
        known = {"verdict", "exit", "reason", "broken", "fixed", "accepted", "lost", "gained"}
        assert set(names) <= known
        assert len(names) == len(set(names))
