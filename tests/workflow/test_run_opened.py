"""
What a prompt had begun of the answer: stored by a run, given for stored answers that do not say.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.cli.main import main

CALL = '<tool_call>\n{"name": "look", "arguments": {"q": "a"}}\n</tool_call>'
DRAFTED = f"Perhaps {CALL} will do.</think>\n\n{CALL}<|im_end|>"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    suite = {
        "format": 1,
        "name": "ask",
        "version": "1.0.0",
        "tools": [{"name": "look", "parameters": {"type": "object", "properties": {"q": {}}}}],
        "cases": [{"id": "c1", "prompt": "Look.", "expect": {"calls": [{"tool": "look"}]}}],
    }
    folder = tmp_path / "suites" / "ask"
    folder.mkdir(parents=True)
    (folder / "suite.yaml").write_text(json.dumps(suite))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(**more: str) -> str:
    Path("answers.jsonl").write_text(json.dumps({"case": "c1", "output": DRAFTED} | more) + "\n")
    return "answers.jsonl"


def status(run: str) -> Any:
    (case,) = json.loads((Path(run) / "run.json").read_text("utf-8"))["cases"]
    return case["status"]


def transcript(run: str) -> Any:
    return json.loads((Path(run) / "transcripts.jsonl").read_text("utf-8"))


def asked(*more: str) -> int:
    replay = ["run", "ask", "--checkpoint", "replay:answers.jsonl", "--dialect", "hermes"]
    return main([*replay, "--out", "run", "--quiet", *more])


def test_a_run_stores_what_its_prompts_have_begun(project: Path, tiny_model: Path):
    copy = project / "model"
    shutil.copytree(tiny_model, copy)
    template = copy / "chat_template.jinja"
    thinks = template.read_text("utf-8").replace(
        r"<|im_start|>assistant\n' if add", r"<|im_start|>assistant\n<think>\n' if add"
    )
    template.write_text(thinks, encoding="utf-8")

    for model, out in ((copy, "thinks"), (tiny_model, "plain")):
        options = harness.RunOptions(max_new_tokens=4)
        harness.run("ask", f"hf:{model}", out=Path(out), options=options)

    assert "<think>\n" == transcript("thinks")["opened"]
    assert "opened" not in transcript("plain")


def test_a_replay_honours_what_its_lines_say(project: Path):
    answers(opened="<think>\n")

    assert 0 == asked()
    assert "correct" == status("run")


def test_a_draft_in_thinking_is_a_second_call_where_nobody_says(project: Path):
    answers()

    assert 0 == asked()
    assert "incorrect" == status("run")


@pytest.mark.parametrize("source", ["answers.jsonl", "run"])
def test_it_can_be_given_for_answers_that_do_not_say(project: Path, source: str):
    answers()
    assert 0 == asked()

    command = ["score", source, "--suite", "ask", "--dialect", "hermes", "--out", "again"]
    assert 0 == main([*command, "--opened", "<think>\n"])
    assert "correct" == status("again")
    assert "<think>\n" == transcript("again")["opened"]
    assert "opened" not in transcript("run"), "what was stored is not altered"


def test_what_a_line_says_counts_for_more(project: Path):
    answers(opened="Well, ")

    assert 0 == asked("--opened", "<think>\n")
    assert "Well, " == transcript("run")["opened"]


def test_it_is_refused_where_the_template_says(
    project: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
):
    command = ["run", "ask", "--checkpoint", f"hf:{tiny_model}", "--out", "run", "--quiet"]

    assert 2 == main([*command, "--opened", "<think>"])
    assert "template says how they end" in " ".join(capsys.readouterr().err.split())
