"""
A run that is killed at any moment and resumed gives the same run.json, but for times.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., subprocess.Popen[str]]

BACKEND = '''
import hashlib, json, time
from pathlib import Path

def answer(messages, tools):
    """Answer slowly and always alike: right for most prompts, wrong or broken for some."""
    prompt = messages[-1]["content"]
    time.sleep(0.01)
    while Path("hold").exists() and " 0," not in prompt:
        time.sleep(0.01)
    fate = hashlib.sha256(prompt.encode()).digest()[0] % 5
    name = "note" if fate else "forget"
    call = json.dumps({"name": name, "arguments": {"text": prompt}})
    return "<tool_call>\\n" + call + ("\\n</tool_call><|im_end|>" if fate != 1 else "")

answer.dialect = "hermes"
'''
SUITE = {
    "format": 1,
    "name": "notes",
    "version": "1.0.0",
    "tools": [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": f"{name} a text",
                "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
            },
        }
        for name in ("note", "forget")
    ],
    "cases": [
        {
            "id": f"case-{number}",
            "prompt": f"Note the number {number}, please.",
            "expect": {"calls": [{"tool": "note", "arguments": {"text": {"type": "string"}}}]},
        }
        for number in range(60)
    ],
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "slowly.py").write_text(BACKEND)
    folder = tmp_path / "suites" / "notes"
    folder.mkdir(parents=True)
    (folder / "suite.yaml").write_text(json.dumps(SUITE))
    return tmp_path


@pytest.fixture
def start(project: Path) -> Iterator[Start]:
    """
    Start a run in *project*; what still runs when the test is over is killed.
    """
    with ExitStack() as started:

        def start(out: str, *more: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "harness", "run", "notes", "--quiet", "--out", out]
            run = started.enter_context(
                subprocess.Popen(
                    [*command, "--checkpoint", "python:slowly:answer", *more],
                    cwd=project,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            started.callback(run.kill)
            return run

        yield start


def begun(start: Start, project: Path, out: str) -> subprocess.Popen[str]:
    """
    Start a run and wait for its first answer. The second is not made before `released`, so that the
    run is not over before a test has seen it, however slow the machine is.
    """
    (project / "hold").touch()
    run = start(out)
    transcripts = project / out / "transcripts.jsonl"
    while run.poll() is None and not (transcripts.exists() and transcripts.stat().st_size):
        time.sleep(0.005)
    return run


def released(project: Path) -> None:
    """
    Let runs in *project* make all their answers.
    """
    (project / "hold").unlink()


def without_times(path: Path) -> dict[str, Any]:
    record = json.loads(path.read_text("utf-8"))
    # Of the file with its times.
    del record["digests"]["run"]
    return {key: value for key, value in record.items() if key not in ("started", "finished")}


def test_a_run_killed_again_and_again_ends_like_one_that_was_not(start: Start, project: Path):
    whole = start("whole")
    assert 0 == whole.wait(), whole.stderr.read() if whole.stderr else ""

    moments = random.Random(7)
    kills = 0
    for _ in range(12):
        run = start("killed", "--resume")
        lines = project / "killed" / "transcripts.jsonl"
        # Wait until it answers, then kill it somewhere in the middle of its work.
        seen = lines.stat().st_size if lines.exists() else 0
        while run.poll() is None and not (lines.exists() and lines.stat().st_size > seen):
            time.sleep(0.005)
        time.sleep(moments.random() * 0.15)
        if run.poll() is None:
            run.send_signal(signal.SIGKILL)
            kills += 1
        run.wait()
        if (project / "killed" / "run.json").exists():
            break
    assert kills >= 2
    if not (project / "killed" / "run.json").exists():
        last = start("killed", "--resume")
        assert 0 == last.wait(), last.stderr.read() if last.stderr else ""

    assert without_times(project / "whole" / "run.json") == without_times(
        project / "killed" / "run.json"
    )


def test_a_finished_run_is_never_overwritten(start: Start, project: Path):
    assert 0 == start("once").wait()
    before = (project / "once" / "run.json").read_bytes()
    again = start("once")

    assert 2 == again.wait()
    assert again.stderr is not None
    assert "already holds a run" in again.stderr.read()
    assert before == (project / "once" / "run.json").read_bytes()


def test_another_checkpoint_cannot_continue_a_run(start: Start, project: Path):
    run = begun(start, project, "mixed")
    transcripts = project / "mixed" / "transcripts.jsonl"
    run.send_signal(signal.SIGKILL)
    run.wait()
    kept = transcripts.read_bytes()
    (project / "slowly.py").write_text(BACKEND.replace('"hermes"', '"functiongemma"'))
    other = start("mixed", "--resume")

    assert 2 == other.wait()
    assert other.stderr is not None
    assert "checkpoint" in other.stderr.read()
    assert kept == transcripts.read_bytes()


def test_a_run_that_is_still_alive_is_not_resumed_by_another(start: Start, project: Path):
    run = begun(start, project, "alive")
    other = start("alive", "--resume")

    assert 2 == other.wait()
    assert other.stderr is not None
    assert "another process is writing to this run" in other.stderr.read()
    released(project)
    assert 0 == run.wait()
    assert 60 == len((project / "alive" / "transcripts.jsonl").read_text("utf-8").splitlines())


def test_a_run_begun_without_the_clock_is_not_continued_by_it(start: Start, project: Path):
    run = begun(start, project, "timed")
    run.send_signal(signal.SIGKILL)
    run.wait()
    released(project)
    other = start("timed", "--resume", "--latency")

    assert 2 == other.wait()
    assert other.stderr is not None
    assert "started with another latency" in other.stderr.read()
    assert 0 == start("timed", "--resume").wait()
