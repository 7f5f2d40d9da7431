"""
The README's way to the first verdict, followed to the letter, with functions as models.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli.main import main

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
SECTION = README.partition("\n## Ten minutes to the first verdict\n")[2].partition("\n## ")[0]
COMMANDS = [
    shlex.split(command)
    for block in re.findall(r"```console\n(.*?)```", SECTION, re.DOTALL)
    for line in block.splitlines()
    for command in line.split(" && ")
]

MODELS = """
def silent(messages, tools):
    return {"content": "Hello."}


def routed(messages, tools):
    asked = messages[-1]["content"]
    if "A-1043" not in asked:
        return silent(messages, tools)
    call = {"name": "track_order", "arguments": {"order_id": "A-1043"}}
    return {"tool_calls": [{"type": "function", "function": call}]}


def reworded(messages, tools):
    said = routed(messages, tools)
    return said if "tool_calls" in said else {"content": "Good day."}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first_verdict_models.py").write_text(MODELS)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    yield tmp_path
    sys.modules.pop("first_verdict_models", None)


def follow(shipped: str, candidate: str) -> list[int]:
    """
    Run the commands with functions in the place of the checkpoints; return the exit codes.
    """
    stand_ins = {
        "embedded:smollm2-135m": f"python:first_verdict_models:{shipped}",
        "./candidate": f"python:first_verdict_models:{candidate}",
    }
    codes = []
    for program, *words in COMMANDS:
        if program == "cd":
            os.chdir(*words)
        else:
            assert "harness" == program
            codes.append(main([stand_ins.get(word, word) for word in words]))
    return codes


def test_the_section_leads_from_nothing_to_a_gate():
    said = [" ".join(words[:2]) for words in COMMANDS]

    assert ["harness init", "cd evals"] == said[:2]
    assert "harness gate" == said[-1]


def test_a_better_candidate_gets_its_verdict(folder: Path, capsys: pytest.CaptureFixture[str]):
    *before, last = follow("silent", "routed")

    assert {0} == set(before)
    assert last in (0, 3), "a few rows pass or are inconclusive, and are not an error"
    said = capsys.readouterr().out
    assert "may the new checkpoint replace the old one?" in said
    assert re.search(
        r"accuracy rose from \d+\.\d% to \d+\.\d% on \d+ common cases: none broke", said
    )


def test_a_worse_candidate_does_not_pass(folder: Path, capsys: pytest.CaptureFixture[str]):
    *before, last = follow("routed", "silent")

    assert {0} == set(before)
    assert 1 == last, "the sheet has a case that must pass"
    assert "regressed" in capsys.readouterr().out


def test_equally_good_checkpoints_on_a_few_rows_are_inconclusive_and_the_section_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    *_, last = follow("routed", "reworded")

    assert 3 == last
    assert "inconclusive" in capsys.readouterr().out
    assert "*inconclusive*, exit code 3" in " ".join(SECTION.split())
