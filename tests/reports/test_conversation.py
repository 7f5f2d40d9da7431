"""
How executed cases are shown: step by step, with what came back, and what came of them.
"""

import json
from pathlib import Path

import pytest

import harness
from harness.cli.main import main
from harness.reports.build import report_comparison
from harness.reports.conversation import spell_change
from harness.reports.explain import explain_case
from harness.reports.sections import sections
from harness.runs.store import StoredRun, load_run
from harness.scoring.results import Change
from harness.workflow.compare import compare
from tests import agents
from tests.workflow.test_run_executed import PHONE


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    agents.write_suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(agent: str) -> StoredRun:
    command = ["run", "kb", "--checkpoint", f"python:tests.agents:{agent}", "--out", agent]
    assert 0 == main([*command, "--quiet"])
    return load_run(Path(agent))


def test_explain_shows_every_step_and_what_each_tool_returned(project: Path):
    said = "\n".join(explain_case(ran("right"), "leave"))

    assert "user      How many days of leave do I have?" in said
    assert 'search(query="How many days of leave do I have?")' in said
    assert "documents leave (relevant)" in said
    assert "text      [leave] Leave\n            Full-time staff have 25 days of leave." in said
    assert "step 1: came" in said
    assert "ended with an answer without calls" in said
    assert "a relevant document was found: yes" in said


def test_explain_says_at_which_step_two_runs_part(project: Path):
    right, wrong = ran("right"), ran("wrong_query")
    said = "\n".join(explain_case(right, "leave", against=wrong))

    assert "step 0: the first character that differs" in said


def test_a_broken_case_shows_both_conversations_with_relevant_documents_marked(project: Path):
    text = harness.render(compare(ran("right"), ran("wrong_query")), "markdown")

    assert "old step 0" in text
    assert "got `leave (relevant)`" in text
    assert "new step 0" in text
    assert "got `parking`" in text
    assert "no_relevant_document" in text
    assert "Called, found, answered" in text


def test_a_page_has_the_steps_and_what_came_of_each_case(project: Path):
    page = harness.render(compare(ran("right"), ran("invents")), "html")

    data = page.partition('id="cases"')[2]
    assert "leave (relevant)" in data
    assert "ended with an answer without calls" in data
    assert "HR-77" in data


def test_junit_names_what_is_wrong_with_the_case_as_a_whole(project: Path):
    text = harness.render(ran("invents"), "junit")

    assert "unsupported_fact" in text


def test_changes_are_spelled_in_one_line():
    change = Change(table="t", row="1", kind="changed", column="on", old=False, new=True)
    new = Change(table="t", row="2", kind="added", column=None, old=None, new={"id": 2})

    assert "t 1: on false → true" == spell_change(change)
    assert 't 2 is new: {"id":2}' == spell_change(new)


def test_end_states_of_broken_cases_are_compared(project: Path):
    folder = project / "suites" / "phone"
    folder.mkdir()
    (folder / "suite.yaml").write_text(json.dumps(PHONE))
    runs = []
    for name, tool in (("old", "set.wifi"), ("new", "set.torch")):
        rows = [agents.call(tool, on=True), agents.say("Done.")]
        lines = [{"case": "wifi", "step": step, "message": row} for step, row in enumerate(rows)]
        Path(f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        command = ["run", "phone", "--checkpoint", f"replay:{name}.jsonl", "--out", f"run-{name}"]
        assert 0 == main([*command, "--quiet"])
        runs.append(load_run(Path(f"run-{name}")))

    report = report_comparison(compare(*runs))
    (table,) = [
        block
        for section in sections(report)
        if section.title == "End states of broken cases"
        for block in section.blocks
    ]
    rows = [[str(getattr(cell, "text", cell)) for cell in row] for row in table.rows]  # type: ignore[union-attr]
    assert [
        ["wifi", "settings torch on", "false", "unchanged", "true"],
        ["wifi", "settings wifi on", "false", "true", "unchanged"],
    ] == rows
