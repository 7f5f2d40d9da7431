"""
``harness finetune --rows`` and ``--sweep`` as a user runs them, with a tiny model.
"""

import json
from pathlib import Path

import pytest

from harness.cli.main import main

from ..builders import question, write_suite


@pytest.fixture
def words(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    write_suite(tmp_path, [question("c1"), question("c2")], name="ask")
    rows = [row(number) for number in range(5)]
    (tmp_path / "suites" / "ask" / "train.jsonl").write_text("".join(rows[:4]))
    (tmp_path / "suites" / "ask" / "valid.jsonl").write_text(rows[4])
    monkeypatch.chdir(tmp_path)
    words = f"finetune --suite ask --base {tiny_model} --out made --epochs 1 --max-length 2048"
    return words.split()


def row(number: int) -> str:
    function = {"name": "inside", "arguments": {"q": f"{number}"}}
    said = {"role": "assistant", "tool_calls": [{"type": "function", "function": function}]}
    return json.dumps({"messages": [{"role": "user", "content": f"Row {number}."}, said]}) + "\n"


def test_each_number_of_rows_is_trained_judged_and_never_again(
    words: list[str], capsys: pytest.CaptureFixture[str]
):
    ask = [*words, "--rows", "2,4", "--html", "rows.html", "--json", "-", "--quiet"]

    assert 0 == main(ask)
    first = json.loads(capsys.readouterr().out)
    weights = [Path(f"made/rows-{n}/model.safetensors").stat().st_mtime_ns for n in (2, 4)]
    asked = [Path(each["run"], "run.json").stat().st_mtime_ns for each in first["fine_tunes"]]
    assert 0 == main(ask)
    again = json.loads(capsys.readouterr().out)

    assert first == again
    assert {2, 4} == {each["rows"] for each in first["fine_tunes"]}
    assert 2 == first["enough_rows"], "neither is right once"
    assert weights == [Path(f"made/rows-{n}/model.safetensors").stat().st_mtime_ns for n in (2, 4)]
    assert asked == [
        Path(each["run"], "run.json").stat().st_mtime_ns for each in again["fine_tunes"]
    ]
    assert "training rows" in Path("rows.html").read_text("utf-8")
    data = json.loads(Path("made/rows-2/training.json").read_text("utf-8"))["data"]
    assert (2, 1) == (data["train_rows"], data["valid_rows"])


def test_a_sweep_says_which_cannot_be_told_apart(
    words: list[str], capsys: pytest.CaptureFixture[str]
):
    Path("sweep.toml").write_text("learning_rate = [1e-4, 1e-3]\n")

    assert 0 == main([*words, "--sweep", "sweep.toml"])

    said = capsys.readouterr().out
    assert "no clear best: learning_rate=0.0001 is not told apart from learning_rate=0.001" in said
    assert "p 1" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--rows", "2,9"], "there are 4 rows to train on, not 9"),
        (["--rows", "2"], "nothing to compare"),
        (["--rows", "2,4", "--sweep", "x.toml"], "give --rows, or --sweep with rows"),
        (["--rows", "2,4", "--resume"], "drop --push-to-hub and --resume"),
        (["--html", "x.html"], "for the results of --rows or --sweep"),
        (["--rows", "2,x"], "not a whole number"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: list[str], more: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert 2 == main([*words, *more])
    assert said in capsys.readouterr().err
    assert not Path("made").exists()
