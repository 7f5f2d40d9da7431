"""
``harness explain``: one case in full.
"""

from pathlib import Path

import pytest

from harness.cli.main import main

from .conftest import answers, run


def test_explain_shows_what_was_sent_what_came_and_how_it_was_read(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    rows = answers()
    text = 'Sure! <tool_call>\n{"name": "outside", "arguments": {"q": "\\u001b[31m"}}\n</tool_call>'
    rows[3] = {"case": "c3", "output": text}
    run(project, "old", rows, "--dialect", "hermes")
    capsys.readouterr()
    assert main(["explain", "old", "c3"]) == 0
    said = capsys.readouterr().out

    assert said.startswith("c3: incorrect")
    for part in ("Ask inside about matter 3.", "read as hermes", "outside(", "wrong_tool", "Sure!"):
        assert part in said
    assert "\x1b" not in said
    assert main(["explain", "old", "c999"]) == 2
