"""
``harness suite check`` of executed suites: agents are run, and documents nobody marked are found.
"""

import json
from datetime import date
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.workflow.audit import audit
from tests import agents

TODAY = date(2026, 1, 1)


def test_what_agents_pass_is_printed_and_cases_that_nothing_passes_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    talk = {"id": "talk", "prompt": "Thanks!", "expect": {"abstain": True}}
    folder = agents.write_suite(tmp_path, [*agents.CASES, talk])

    assert 0 == main(["suite", "check", str(folder)])

    shown = capsys.readouterr().out
    rows = [row.split() for row in shown.splitlines()]
    assert ["oracle", "3", "3"] in rows
    assert ["nothing", "1", "3"] in rows
    assert ["first-tool", "2", "3"] in rows
    assert ["repeating", "0", "3"] in rows
    assert "passed by doing nothing: talk" in shown


def test_a_case_whose_reference_fails_is_a_finding_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = agents.write_suite(tmp_path, [agents.CASES[0], {**agents.CASES[1], "answer": 5}])
    text = json.loads((folder / "suite.yaml").read_text())
    rows = text.pop("cases")
    (folder / "suite.yaml").write_text(json.dumps({**text, "cases": "cases.jsonl"}))
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert 1 == main(["suite", "check", str(folder)])
    assert "cases.jsonl:2: unreachable: case 'lunch'" in capsys.readouterr().out


def test_a_document_that_holds_the_answer_and_is_not_marked_is_found(tmp_path: Path):
    other = {"id": "handbook", "text": "By the handbook, full-time staff have 25 days of leave."}
    unlike = {"id": "tax", "text": "Send forms within 25 days."}
    folder = agents.write_suite(tmp_path, corpus=[*agents.CORPUS, other, unlike])

    found = audit(folder, TODAY)

    assert found is not None
    assert [("unmarked_document", "case 'leave': handbook")] == [
        (each.code, each.message.partition(" holds")[0]) for each in found.findings
    ]


def test_a_suite_that_is_not_executed_is_not_played(tmp_path: Path):
    folder = agents.write_suite(tmp_path, [{"id": "x", "prompt": "x", "expect": {"abstain": True}}])
    head = json.loads((folder / "suite.yaml").read_text())
    del head["environment"]
    (folder / "suite.yaml").write_text(json.dumps(head))

    assert audit(folder, TODAY) is None
