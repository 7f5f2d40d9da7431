"""
A project with one suite, and runs made by replaying answers.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main

from ..builders import question, write_suite

COUNT = 120


def answers(wrong: int = 0, second: int = 0, errors: int = 0) -> list[dict[str, Any]]:
    """
    Answers to every case: the first *wrong* by the wrong tool, the last *second* called twice.
    """
    rows = []
    for number in range(COUNT):
        calls = [("outside" if number < wrong else "inside", {"q": f"{number}"})]
        if number >= COUNT - second:
            calls.append(("outside", {"q": "again"}))
        message = {
            "role": "assistant",
            "tool_calls": [
                {"type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
                for name, given in calls
            ],
        }
        rows.append({"case": f"c{number}", "message": message})
        if number < errors:
            rows[-1] = {"case": f"c{number}", "error": "HTTP 503"}
    return rows


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_suite(
        tmp_path,
        [
            question(
                f"c{number}",
                q=f"{number}",
                prompt=f"Ask inside about matter {number}.",
                tags=["even" if number % 2 == 0 else "odd"],
            )
            for number in range(COUNT)
        ],
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(project: Path, name: str, rows: list[dict[str, Any]], *more: str) -> int:
    (project / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reference = f"replay:{name}.jsonl"
    return main(["run", "ask", "--checkpoint", reference, "--out", name, "--quiet", *more])


def save(name: str) -> None:
    assert main(["baseline", "save", name, "--name", "shipped", "--reason", "a test"]) == 0


def verdict(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["gate", *arguments, "--baseline", "shipped", "--json", "-"])
    return code, json.loads(capsys.readouterr().out)
