"""
The suites of this repository: clean, large enough, and answered alike by a second reader.

``second-reading.jsonl`` of a suite holds answers given from system text, prompts and tools
only. Where they differed from the expectations, one of the two was corrected or the case was
dropped, so every answer there is right.
"""

import json
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from harness.suites.files import find_suites, load_suite
from harness.suites.lint.check import check
from harness.workflow.audit import audit
from harness.workflow.options import RunOptions
from harness.workflow.run import run

from .. import executed_results, suite_results

TREE = Path(__file__).parents[2]
SUITES = find_suites(TREE / "suites")
SECOND = "second-reading.jsonl"
DAY = date(2026, 11, 25)
EXPECTED = {
    "abstention",
    "after-result",
    "device-actions",
    "languages",
    "parallel-calls",
    "phone-state",
    "rag-kb",
    "tool-confusion",
    "tool-routing",
}

every_suite = pytest.mark.parametrize("folder", SUITES, ids=lambda path: path.name)


def test_the_nine_suites_are_there():
    assert EXPECTED == {folder.name for folder in SUITES}


@every_suite
def test_it_is_released_clean_and_large_enough(folder: Path):
    suite = load_suite(folder, today=DAY)

    assert [] == check(folder, DAY)
    assert suite.released
    assert len(suite.cases) >= (240 if folder.name == "tool-routing" else 150)
    assert all(case.group and case.tags for case in suite.cases)


@every_suite
def test_a_second_reader_gives_answers_that_are_right(folder: Path, tmp_path: Path):
    replay = f"replay:{folder / SECOND}"
    found = run(str(folder), replay, out=tmp_path / "run", options=RunOptions())
    wrong = {
        case.id: [finding.code for turn in case.turns for finding in turn.findings]
        for case in found.record.cases
        if case.status != "correct"
    }

    assert {} == wrong


@every_suite
def test_its_readme_counts_the_cases_there_are(folder: Path):
    cases = [json.loads(line) for line in (folder / "cases.jsonl").read_text().splitlines()]
    readme = (folder / "README.md").read_text()

    assert str(len(cases)) in readme
    for tag, count in Counter(tag for case in cases for tag in case["tags"]).items():
        assert tag in readme, tag
        assert count >= 15, tag


def test_echoing_what_the_search_returns_answers_nothing_of_rag_kb():
    found = audit(TREE / "suites" / "rag-kb", DAY)

    assert found is not None
    assert () == found.passed["first-tool"]
    assert found.cases == len(found.passed["oracle"])


def test_the_demo_has_120_cases_of_its_own():
    suite = load_suite(TREE / "suites" / "tool-routing", today=DAY)

    assert 120 == sum("demo" in case.tags for case in suite.cases)


def test_the_page_of_results_is_made_of_the_stored_baselines():
    assert (TREE / "docs" / "suite-results.md").read_text("utf-8") == suite_results.page()


def test_the_page_of_the_executed_suites_is_made_of_the_stored_baselines():
    page = (TREE / "docs" / "executed-results.md").read_text("utf-8")

    assert executed_results.page() == page
