"""
What the demo may touch. The demo itself is run by ``tox -e e2e``.
"""

import json
import re
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from harness.cli import demo
from harness.cli.demo import SUITE, demo_suite, discard_demo
from harness.cli.main import main
from harness.errors import BackendError, StoreError
from harness.gating.verdict import Verdict
from harness.suites.files import load_suite
from harness.testing.reports import REPORTS
from harness.workflow.options import RunOptions
from harness.workflow.project import open_project

TREE = Path(__file__).parents[2]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_fresh_demo_discards_the_last_one_and_nothing_else(tmp_path: Path):
    """
    ``--out`` may be any folder: what the demo did not make is not its to remove.
    """
    kept = {"thesis.txt", "base/notes.txt", "baselines/own/shipped/run.json"}
    made = {"base/run.json", "candidate/transcripts.jsonl", "model/training.json", "report.md"}
    made |= {"candidate-batch-1/run.json", "tool-routing-demo/shipped-batch-1-2/suite.json"}
    for name in kept | made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    discard_demo(tmp_path)

    assert kept == files(tmp_path)


def test_a_model_folder_that_is_not_a_fine_tune_is_left_alone(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_text("x")

    with pytest.raises(StoreError, match="no fine-tune"):
        discard_demo(tmp_path)
    assert {"model/weights.bin"} == files(tmp_path)


def test_there_may_be_nothing_to_discard_demo(tmp_path: Path):
    discard_demo(tmp_path / "nowhere")

    assert not (tmp_path / "nowhere").exists()


def test_the_demo_asks_the_tagged_cases_as_a_suite_of_their_own(tmp_path: Path):
    """
    A run that was asked only a part of its suite could not pass.
    """
    tools = [{"type": "function", "function": {"name": "go", "description": "Go."}}]
    cases = [
        {"id": f"c{n}", "prompt": f"Say {n}.", "expect": {"abstain": True}, "tags": tags}
        for n, tags in enumerate([["demo"], ["other"], ["other", "demo"]])
    ]
    suite = {"format": 1, "name": SUITE, "version": "1.0.0", "tools": tools, "cases": cases}
    (tmp_path / "suites" / SUITE).mkdir(parents=True)
    (tmp_path / "suites" / SUITE / "suite.yaml").write_text(json.dumps(suite))
    asked = load_suite(demo_suite(open_project(tmp_path), tmp_path / "demo"))

    assert ("tool-routing-demo", ["c0", "c2"]) == (asked.name, [case.id for case in asked.cases])


def test_the_first_verdict_is_of_stored_runs_of_the_same_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """
    It comes before anything is asked or loaded; then the stored answers become drafts.
    """
    asked: list[RunOptions] = []

    def run(*_: object, options: RunOptions, **__: object) -> NoReturn:
        asked.append(options)
        raise BackendError("no more of it here")

    monkeypatch.setattr("harness.workflow.run.run", run)

    assert 2 == main(["demo", "--root", str(TREE), "--out", str(tmp_path)])

    out, said = capsys.readouterr()
    assert "pass: accuracy rose from 0.0% to 76.9% on 247 common cases" in out
    assert said.index("stored in") < said.index("that verdict took") < said.index("2/6")
    assert [str(TREE / "baselines" / SUITE / "smollm2-135m")] == [each.draft for each in asked]


def test_without_the_stored_runs_the_demo_begins_with_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    asked: list[RunOptions] = []

    def run(*_: object, options: RunOptions, **__: object) -> NoReturn:
        asked.append(options)
        raise BackendError("no more of it here")

    monkeypatch.setattr("harness.workflow.run.run", run)
    shutil.copytree(TREE / "suites" / SUITE, tmp_path / "suites" / SUITE)

    assert 2 == main(["demo", "--root", str(tmp_path)])

    out, said = capsys.readouterr()
    assert "" == out
    assert "1/6" not in said
    assert [None] == [each.draft for each in asked]


def test_a_damaged_stored_run_is_said_and_not_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(TREE / "suites" / SUITE, tmp_path / "suites" / SUITE)
    stored = tmp_path / "baselines" / SUITE / "smollm2-135m"
    shutil.copytree(TREE / "baselines" / SUITE / "smollm2-135m", stored)
    (stored / "run.json").write_text("{", "utf-8")

    assert 2 == main(["demo", "--root", str(tmp_path)])

    assert "run.json" in capsys.readouterr().err


@pytest.mark.parametrize("flag", [[], ["-v"]])
def test_the_demo_ends_with_its_verdict(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flag: list[str],
):
    """
    Its steps are those of other commands and take minutes; here only what is said at the end.
    """
    gated = REPORTS["gate"]().verdict
    asked = {}

    def steps(_: object, **settings: object) -> Verdict | None:
        asked.update(settings)
        return gated

    monkeypatch.setattr(demo, "run_demo", steps)

    assert 1 == main(["demo", "--root", str(tmp_path), *flag])

    assert re.fullmatch(r"regressed after 0\.\d s, exit 1\n", capsys.readouterr().out)
    assert bool(flag) is asked["verbose"]
