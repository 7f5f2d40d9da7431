"""
The arms of a suite of documents.
"""

import json
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.scoring.arms import armed_cases
from harness.suites.files import load_suite
from harness.suites.suite import Suite
from tests import agents


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    none = {"id": "none", "prompt": "Who won?", "relevant": {}, "answer": "unknown"}
    return load_suite(agents.write_suite(tmp_path, [*agents.CASES, none]))


def test_the_real_arm_is_the_suite_as_it_is(suite: Suite):
    assert suite.cases == armed_cases(suite, suite.cases, None)
    assert suite.cases == armed_cases(suite, suite.cases, "real")


def test_closed_book_has_neither_tools_nor_documents(suite: Suite):
    case = armed_cases(suite, suite.cases, "closed-book")[0]

    assert ((), suite.cases[0].digest) == (case.tools, case.digest)
    assert suite.cases[0].turns[0].messages == case.turns[0].messages
    assert case.outcome is not None
    assert (None, True) == (case.outcome.relevant, case.outcome.answer is not None)


def test_golden_puts_the_relevant_documents_before_the_question(suite: Suite):
    first, _, none = armed_cases(suite, suite.cases, "golden")

    document = "[leave] Leave\nFull-time staff have 25 days of leave."
    said = f"{document}\n\nHow many days of leave do I have?"
    assert said == first.turns[0].messages[-1].content
    assert "No document matches.\n\nWho won?" == none.turns[0].messages[-1].content


def test_other_arms_are_for_suites_that_search_documents(suite: Suite, tmp_path: Path):
    with pytest.raises(UsageError, match="unknown arm"):
        armed_cases(suite, suite.cases, "silver")
    head = json.loads((tmp_path / "suites" / "kb" / "suite.yaml").read_text())
    del head["environment"]
    head["cases"] = [{"id": "x", "prompt": "x", "expect": {"abstain": True}}]
    (tmp_path / "suite.yaml").write_text(json.dumps(head))
    plain = load_suite(tmp_path)
    with pytest.raises(UsageError, match="searches no documents"):
        armed_cases(plain, plain.cases, "golden")
