"""
``harness finetune`` as a user runs it, and what it makes as ``harness run`` takes it.
"""

import json
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.runs.store import load_run

from .conftest import SEARCH


def row(query: str) -> str:
    call = {"type": "function", "function": {"name": "search", "arguments": {"query": query}}}
    user = {"role": "user", "content": f"find {query}"}
    return json.dumps({"messages": [user, {"role": "assistant", "tool_calls": [call]}]}) + "\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    suite = tmp_path / "suites" / "find"
    suite.mkdir(parents=True)
    expect = {"calls": [{"tool": "search", "arguments": {"query": {"type": "string"}}}]}
    document = {
        "format": 1,
        "name": "find",
        "version": "1.0.0",
        "system": "Call.",
        "system_role": "developer",
        "tools": [SEARCH.schema],
        "generation": {"max_new_tokens": 8},
        "cases": [{"id": "one", "prompt": "find the harbour", "expect": expect}],
    }
    (suite / "suite.yaml").write_text(json.dumps(document))
    (suite / "train.jsonl").write_text("".join(map(row, ("a cat", "the sun", "red", "trams"))))
    (suite / "valid.jsonl").write_text("".join(map(row, ("a dog", "the moon"))))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(base: Path, *more: str) -> int:
    command = ["finetune", "--suite", "find", "--base", str(base), "--out", "made"]
    return main([*command, "--epochs", "2", *more])


def test_a_candidate_is_trained_told_of_and_run(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    assert 0 == train(base, "--max-length", "2048", "--seed", "3", "--keep", "best")
    said = capsys.readouterr()

    assert "validation loss" in said.out
    assert "checkpoint: made" in said.out
    assert "one of 4 training examples" in said.err
    assert "epoch 2 of 2" in said.err
    assert "\r" not in said.err, "a bar where there is no terminal"
    recipe = json.loads((project / "made" / "training.json").read_text("utf-8"))["recipe"]
    assert (2, 3, "best") == (recipe["epochs"], recipe["seed"], recipe["keep"])
    assert (project / "made" / "loss.png").read_bytes().startswith(b"\x89PNG")

    assert 0 == main(["run", "find", "--checkpoint", "made", "--out", "run", "--quiet"])
    assert "hermes" == load_run(project / "run").record.checkpoint.dialect


def test_a_training_prompt_that_is_asked_later_is_refused(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    rows = project / "suites" / "find" / "train.jsonl"
    rows.write_text(rows.read_text() + row("the harbour"))

    assert 2 == train(base, "--max-length", "2048")
    assert "train.jsonl:5" in capsys.readouterr().err
    assert not (project / "made" / "model.safetensors").exists()


def test_a_row_that_would_be_cut_is_refused(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    assert 2 == train(base, "--max-length", "64")
    assert "train.jsonl:1" in capsys.readouterr().err
