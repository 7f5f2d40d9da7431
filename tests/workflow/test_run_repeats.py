"""
``--repeats K`` makes one piece of evidence of K answers to a case; running again replaces nothing.
"""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main

COUNT = 120

Wrong = Callable[[int], Collection[int]]
"""Repeat -> the numbers of the cases answered wrongly in it."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "suites" / "ask"
    folder.mkdir(parents=True)
    tool = {"description": "A tool.", "parameters": {"type": "object", "properties": {}}}
    tools = [
        {"type": "function", "function": {"name": name, **tool}} for name in ("inside", "outside")
    ]
    rows = [
        {
            "id": f"c{number}",
            "prompt": f"Ask about {number}.",
            "expect": {"calls": [{"tool": "inside"}]},
        }
        for number in range(COUNT)
    ]
    suite = {"format": 1, "name": "ask", "version": "1.0.0", "tools": tools, "cases": rows}
    (folder / "suite.yaml").write_text(json.dumps(suite))
    (tmp_path / "gate.toml").write_text('[limits]\naccuracy = "-3pp"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str, repeats: int, wrong: Wrong) -> int:
    rows = []
    for repeat in range(repeats):
        for number in range(COUNT):
            tool = "outside" if number in wrong(repeat) else "inside"
            call = {"type": "function", "function": {"name": tool, "arguments": "{}"}}
            message = {"role": "assistant", "tool_calls": [call]}
            rows.append({"case": f"c{number}", "repeat": repeat, "message": message})
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reference = f"replay:{name}.jsonl"
    asked = ["run", "ask", "--checkpoint", reference, "--repeats", str(repeats)]
    return main([*asked, "--out", name, "--quiet"])


def verdict(
    capsys: pytest.CaptureFixture[str], repeats: int, old: Wrong, new: Wrong
) -> tuple[str, dict[str, Any]]:
    assert run(f"old{repeats}", repeats, old) == 0
    assert main(["baseline", "save", f"old{repeats}", "--name", "shipped", "--replace"]) == 0
    assert run(f"new{repeats}", repeats, new) == 0
    capsys.readouterr()
    main(["gate", f"new{repeats}", "--baseline", "shipped", "--json", "-"])
    found = json.loads(capsys.readouterr().out)
    return found["verdict"], found["metrics"]["accuracy"]


def five_of(repeat: int) -> Collection[int]:
    """
    In each repeat five other cases are answered wrongly, as a sampling checkpoint may.
    """
    return range(10 * repeat, 10 * repeat + 5)


def one_of(repeat: int) -> Collection[int]:
    return (100 + repeat,)


def test_three_repeats_find_the_loss_that_one_cannot_tell_from_chance(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    """
    5 broken and 1 fixed of 120, in each repeat. Once: (1 + 6 / 2) / 2^6 = 4 / 64. Three times,
    15 and 3 of 18 units: (1 + 18 + 153 + 816 / 2) / 2^18.
    """
    once, single = verdict(capsys, 1, one_of, five_of)
    thrice, pooled = verdict(capsys, 3, one_of, five_of)

    assert ("inconclusive", 4 / 64) == (once, single["p"])
    assert ("regressed", 580 / 2**18) == (thrice, pooled["p"])
    # The loss of a repeat is the same, and so is the estimate.
    assert single["delta"] == pytest.approx(pooled["delta"])
    assert (120, 360) == (single["pairs"], pooled["pairs"])


def test_answers_to_one_case_are_one_unit(project: Path, capsys: pytest.CaptureFixture[str]):
    """
    The same 5 cases broken in each of three repeats prove no more than once: nothing new was asked.
    """
    once, single = verdict(capsys, 1, lambda _: (100,), lambda _: range(5))
    thrice, pooled = verdict(capsys, 3, lambda _: (100,), lambda _: range(5))

    assert ("inconclusive", "inconclusive") == (once, thrice)
    assert single["p"] == pooled["p"]
    assert single["bound"] == pytest.approx(pooled["bound"], abs=0.001)


def test_a_case_that_breaks_once_and_is_fixed_once_is_not_evidence(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    _, pooled = verdict(
        capsys, 2, lambda repeat: (10,) if repeat else (), lambda repeat: () if repeat else (10,)
    )

    assert 0.5 == pooled["p"]
    assert 0.0 == pooled["delta"]


@pytest.mark.parametrize("repeats", [1, 3])
def test_running_again_replaces_nothing_and_says_the_way_out(
    project: Path, capsys: pytest.CaptureFixture[str], repeats: int
):
    """
    A run that came out badly cannot be run again until it comes out well.
    """
    assert run("new", 1, five_of) == 0
    before = {path.name: path.read_bytes() for path in Path("new").iterdir()}
    capsys.readouterr()

    assert run("new", repeats, lambda _: ()) == 2
    error = capsys.readouterr().err
    assert "new already holds a run; no run is replaced" in error
    assert "--out" in error
    assert "--repeats" in error
    assert before == {path.name: path.read_bytes() for path in Path("new").iterdir()}


def test_resuming_a_complete_run_replaces_nothing_either(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("new", 1, five_of) == 0
    before = {path.name: path.read_bytes() for path in Path("new").iterdir()}
    again = ["run", "ask", "--checkpoint", "replay:new.jsonl", "--out", "new", "--resume"]

    assert main(again) == 0
    assert "complete already" in capsys.readouterr().err
    assert main([*again, "--seed", "3"]) == 2
    assert "made with another generation" in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in Path("new").iterdir()}


def test_right_in_all_repeats_is_gated_by_its_own_limit(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    """
    The old checkpoint misses the same 15 cases in each of 3 repeats, the new one 15 others in each:
    accuracy is the same, and 45 cases instead of 15 are not right in all.
    """
    Path("gate.toml").write_text('[limits]\naccuracy = "-3pp"\npass_hat_k = "-3pp"\n')
    assert run("old", 3, lambda _: range(15)) == 0
    assert run("new", 3, lambda repeat: range(15 * repeat, 15 * repeat + 15)) == 0
    assert main(["baseline", "save", "old", "--name", "shipped", "--reason", "a test"]) == 0
    capsys.readouterr()

    forms = {name: Path(f"gated.{name}") for name in ("markdown", "html", "junit", "json")}
    written = [part for name, path in forms.items() for part in (f"--{name}", str(path))]
    assert main(["gate", "new", "--baseline", "shipped", *written]) == 1
    terminal = capsys.readouterr().out
    found = json.loads(forms["json"].read_text())

    assert 0.0 == found["metrics"]["accuracy"]["delta"]
    assert "regressed" == found["metrics"]["pass_hat_k"]["verdict"]
    metric = found["metrics"]["pass_hat_k"]
    assert (105 / 120, 75 / 120, 120) == (metric["old"], metric["new"], metric["pairs"])
    assert metric["p"] == pytest.approx(0.5**30 / 2)
    texts = [terminal, *(path.read_text() for path in forms.values())]
    assert [True] * 5 == ["all repeats" in text or "pass_hat_k" in text for text in texts]


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_pass_hat_k_is_shown_for_every_k_beside_accuracy(
    project: Path, capsys: pytest.CaptureFixture[str], form: str
):
    assert run("new", 3, five_of) == 0
    capsys.readouterr()
    assert main(["report", "new", *(() if form == "terminal" else (f"--{form}", "shown"))]) == 0
    shown = capsys.readouterr().out if form == "terminal" else Path("shown").read_text()

    assert "accuracy" in shown
    assert "pass^k" in shown
    assert ["95.8%", "91.7%", "87.5%"] == [
        value for value in ("95.8%", "91.7%", "87.5%") if value in shown
    ]
