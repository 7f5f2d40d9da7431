"""
Chat rows of whole executed conversations, and the leak check.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.finetuning.rows import read_rows
from harness.suites.files import load_suite
from tests import agents

TRAINING: list[dict[str, Any]] = [
    {
        "id": "space",
        "prompt": "Is there somewhere to put my car, and for how much?",
        "relevant": {"parking": 1},
        "answer": 30,
    },
    {"id": "leak", "prompt": "How many days of leave do I have now?", "relevant": {}, "answer": 3},
    {"id": "wrong", "prompt": "Where is the garage?", "relevant": {"parking": 1}, "answer": 77},
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    agents.write_suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(*cases: Any) -> int:
    Path("cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    return main(["suite", "rows", "kb", "--cases", "cases.jsonl", "--out", "train.jsonl"])


def test_a_row_is_the_whole_conversation_with_what_the_tool_returned(project: Path):
    assert 0 == rows(TRAINING[0])

    (row,) = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines()]
    asked, called, told, answered = row["messages"]
    assert ("user", TRAINING[0]["prompt"]) == (asked["role"], asked["content"])
    assert "search" == called["tool_calls"][0]["function"]["name"]
    assert "A parking space costs 30 euros a month." in told["content"]
    assert "A parking space costs 30 euros a month." == answered["content"]


def test_every_answer_of_such_a_row_is_learned(project: Path):
    assert 0 == rows(TRAINING[0])

    tools = load_suite(project / "suites" / "kb").tools
    (row,) = read_rows(Path("train.jsonl"), tools=tools)
    learned = [index for index, each in enumerate(row.messages) if each.role == "assistant"]
    assert [1, 3] == [index for index in learned if index not in row.history]


def test_leaks_and_cases_that_cannot_be_played_make_no_row(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    assert 1 == rows(*TRAINING)

    said = capsys.readouterr().out
    assert "leak: leak asks nearly what case leave of the suite asks" in said
    assert "left out: wrong: wrong_answer" in said
    assert 1 == len(Path("train.jsonl").read_text().splitlines())


def test_a_suite_that_is_not_executed_makes_none(project: Path, capsys: pytest.CaptureFixture[str]):
    head = json.loads(Path("suites/kb/suite.yaml").read_text())
    del head["environment"]
    head["cases"] = [{"id": "x", "prompt": "x", "expect": {"abstain": True}}]
    Path("suites/kb/suite.yaml").write_text(json.dumps(head))

    assert 2 == rows({"id": "y", "prompt": "y", "expect": {"abstain": True}})
    assert "is not executed" in capsys.readouterr().err
