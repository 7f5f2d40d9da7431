"""
The checkpoint of a pytest session: when it is open, and when it gives way to another.
"""

import json
from pathlib import Path

import pytest

from harness.cli.main import main

from .. import noisy
from ..builders import question, write_suite

pytest_plugins = ["pytester"]

CASES = [f"c{number}" for number in range(120)]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A suite with a baseline, and a candidate that the gate decides about again at batch size 1.
    """
    noisy.install(monkeypatch)
    write_suite(pytester.path, map(question, CASES))
    Path("old.json").write_text(json.dumps({"weights": "old"}))
    Path("new.json").write_text(json.dumps({"weights": "new", "wrong_batched": CASES[:8]}))
    assert 0 == main(["run", "ask", "--checkpoint", "noisy:old.json", "--out", "old"])
    assert 0 == main(["baseline", "save", "old", "--name", "shipped"])
    noisy.opened_together.clear()
    return pytester.path


def test_a_gate_that_opens_checkpoints_closes_the_one_under_test_first(
    project: Path, pytester: pytest.Pytester
):
    """
    Two models may not fit into a device's memory. What is asked later opens it again.
    """
    write_suite(project, map(question, CASES[:9]), name="later")
    result = pytester.inline_run(
        *("--checkpoint", "noisy:new.json", "--harness-baseline", "shipped", "-k", "ask or c8")
    )

    result.assertoutcome(passed=114, failed=8)
    assert ["new", "old", "new", "new"] == [name for [name] in noisy.opened_together]
    assert [] == noisy.opened


def test_a_checkpoint_that_tests_hold_stays_open(project: Path, pytester: pytest.Pytester):
    pytester.makepyfile(
        test_a="def test_before(checkpoint): checkpoint.describe()",
        test_z="""
            from tests import noisy

            def test_after(checkpoint):
                assert "new" in noisy.opened
        """,
    )
    pytester.inline_run(
        *("test_a.py", "suites/ask", "test_z.py"),
        *("--checkpoint", "noisy:new.json", "--harness-baseline", "shipped", "-k", "gate or test"),
    ).assertoutcome(passed=3)

    assert [["new"], ["new", "old"], ["new", "new"]] == noisy.opened_together
    assert [] == noisy.opened
