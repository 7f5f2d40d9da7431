"""
Every copy of a suite shows a model the very prompts that the suite shows, to the token.

Chat templates print declarations and calls with their keys in the order they have. A model that was
trained on ``{"name": ..., "description": ...}`` answers otherwise when the two change places.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoints.chat_template import chat_template, conversation, render
from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import parse_reference
from harness.cli.demo import SUITE, TAG, demo_suite
from harness.cli.main import main
from harness.finetuning import read_rows
from harness.finetuning.encoding import encode_rows
from harness.finetuning.shared_prefix import IGNORED
from harness.runs.runner import request
from harness.suites.copies import load_suite_copy
from harness.suites.files import load_suite
from harness.suites.release import release
from harness.suites.suite import Suite
from harness.transcript import Key
from harness.workflow.project import open_project

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Search.",
            "parameters": {
                "type": "object",
                "required": ["query"],
                "properties": {
                    "query": {"type": "string", "description": "What."},
                    "after": {"description": "When.", "type": "string"},
                },
            },
        },
    },
    {"type": "function", "function": {"description": "Add.", "name": "add"}},
]
CALL = {
    "type": "function",
    "function": {"name": "search", "arguments": {"query": "pears", "after": "noon"}},
}
HISTORY = [
    {"role": "user", "content": "Find pears."},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "name": "search", "content": "None."},
]
CASES = [
    {"id": "plain", "prompt": "Find figs.", "expect": {"abstain": True}, "tags": [TAG]},
    {"id": "history", "messages": HISTORY, "expect": {"abstain": True}, "tags": [TAG]},
    {
        "id": "own-tools",
        "prompt": "Add.",
        "tools": [TOOLS[1], TOOLS[0]],
        "expect": {"abstain": True},
        "tags": [TAG],
    },
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    suite = {
        "version": "1.0.0",
        "name": SUITE,
        "format": 1,
        "system": "Call.",
        "tools": TOOLS,
        "cases": CASES,
    }
    folder = tmp_path / "suites" / SUITE
    folder.mkdir(parents=True)
    (folder / "suite.yaml").write_text(json.dumps(suite))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prompts(suite: Suite, tokenizer: Any) -> dict[str, list[int]]:
    found = {}
    for case in suite.cases:
        asked = request(suite, case, Key(case.id))
        rows = conversation(asked.messages, chat_template(tokenizer))
        found[case.id] = render(tokenizer, rows, [tool.schema for tool in asked.tools])
    return found


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return load_tokenizer(locate(parse_reference(str(tiny_model))))


def answers(project: Path) -> Path:
    lines = [json.dumps({"case": case["id"], "output": "No.<|im_end|>"}) for case in CASES]
    (project / "answers.jsonl").write_text("\n".join(lines) + "\n")
    return project / "answers.jsonl"


def of_demo(project: Path) -> Suite:
    return load_suite(demo_suite(open_project(project), project / "demo"))


def of_run(project: Path) -> Suite:
    command = ["run", SUITE, "--checkpoint", f"replay:{answers(project)}", "--out", "made"]
    assert 0 == main([*command, "--dialect", "hermes", "--quiet"])
    return load_suite_copy(project / "made" / "suite.json")


def of_score(project: Path) -> Suite:
    of_run(project)
    assert 0 == main(["score", "made", "--suite", SUITE, "--out", "again", "--quiet"])
    return load_suite_copy(project / "again" / "suite.json")


def of_baseline(project: Path) -> Suite:
    of_run(project)
    assert 0 == main(["baseline", "save", "made", "--name", "shipped"])
    return load_suite_copy(project / "baselines" / SUITE / "shipped" / "suite.json")


def of_release(project: Path) -> Suite:
    copy = project / "copy" / SUITE
    shutil.copytree(project / "suites" / SUITE, copy)
    release(copy, part="minor")
    return load_suite(copy)


@pytest.mark.parametrize("copied", [of_demo, of_run, of_score, of_baseline, of_release])
def test_a_copy_of_a_suite_shows_the_same_prompts(
    copied: Callable[[Path], Suite], project: Path, tokenizer: Any
):
    shown = prompts(load_suite(project / "suites" / SUITE), tokenizer)

    assert shown == prompts(copied(project), tokenizer)


def test_an_imported_suite_shows_the_declarations_of_its_rows(project: Path, tokenizer: Any):
    said = {"role": "assistant", "content": "No."}
    row = {"messages": [{"role": "system", "content": "Call."}, *HISTORY, said], "tools": TOOLS}
    other = {**row, "tools": TOOLS[::-1]}
    same = {"type": "function", "function": dict(reversed(TOOLS[1]["function"].items()))}
    turned = {**row, "tools": [TOOLS[0], same]}
    (project / "rows.jsonl").write_text(
        "".join(json.dumps(each) + "\n" for each in (row, other, turned))
    )
    assert 0 == main(["suite", "import", "chat-jsonl", "rows.jsonl", "--out", "made"])

    imported = load_suite(project / "made")

    for case, source in zip(imported.cases, (row, other, turned), strict=True):
        expected = render(tokenizer, source["messages"][:-1], source["tools"])
        (*_, last) = range(len(case.turns))
        asked = request(imported, case, Key(case.id, 0, last))
        rows = conversation(asked.messages, chat_template(tokenizer))
        assert expected == render(tokenizer, rows, [tool.schema for tool in asked.tools])


def test_a_training_row_and_its_question_share_their_tokens_up_to_the_answer(
    project: Path, tokenizer: Any
):
    suite = load_suite(project / "suites" / SUITE)
    row = {
        "messages": [
            {"role": "user", "content": "Find figs."},
            {"role": "assistant", **{"tool_calls": [CALL]}},
        ]
    }
    (project / "train.jsonl").write_text(json.dumps(row) + "\n")
    rows = read_rows(project / "train.jsonl", tools=suite.cases[0].tools, system=suite.system)

    (encoded,) = encode_rows(tokenizer, rows, 4096)

    shown = [label == IGNORED for label in encoded.labels].index(False)
    assert prompts(suite, tokenizer)["plain"] == list(encoded.ids[:shown])
