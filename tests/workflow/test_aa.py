"""
A checkpoint run against itself: what is varied, what is found, what is kept.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.errors import StoreError, UsageError
from harness.runs.store import load_run
from harness.workflow.aa import SelfTest, run_self_test
from harness.workflow.options import RunOptions

from .. import noisy
from ..builders import question, write_suite

COUNT = 60
NAMES = [f"c{number}" for number in range(COUNT)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    noisy.install(monkeypatch)
    write_suite(tmp_path, map(question, NAMES))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def tried(root: Path, options: RunOptions | None = None, **behaviour: Any) -> SelfTest:
    (root / "model.json").write_text(json.dumps({"weights": "w", **behaviour}))
    return run_self_test("ask", "noisy:model.json", out=root / "aa", options=options)


def flips(found: SelfTest) -> dict[str, tuple[str, ...]]:
    return {noise.kind: noise.flipped for noise in found.noises}


def test_a_deterministic_checkpoint_has_no_noise_and_raises_no_alarm(project: Path):
    found = tried(project, wrong=NAMES[:9])

    assert {"repeat": (), "order": (), "batch": ()} == flips(found)
    assert {0} == {noise.text.differing for noise in found.noises}
    # Each of four runs against the first, both ways round.
    assert 8 == len(found.gates)
    assert {"pass"} == {each.verdict for each in found.gates}
    assert all(each.discordance == 0 for each in found.sensitivities[:1])


def test_noise_is_told_apart_by_what_was_changed(project: Path):
    found = tried(
        project,
        wrong_batched=["c1", "c2"],
        wrong_beside={"c6": "c5"},
        wrong_again=["c9"],
    )

    assert ("c9",) == flips(found)["repeat"]
    # In eights and in fives c6 has c5 beside it, alone and shuffled it has not.
    assert ("c1", "c2", "c6") == flips(found)["batch"]
    assert ("c6", "c9") == flips(found)["order"]


def test_the_gate_is_tried_both_ways_and_its_alarms_are_counted(project: Path):
    found = tried(project, wrong_batched=NAMES[:12])
    alarms = [each for each in found.gates if each.verdict == "regressed"]

    assert [("batch-1", "first")] == [(each.old, each.new) for each in alarms]
    assert 1 == found.to_json()["false_alarms"]


def test_every_run_is_kept_as_a_run_of_its_own(project: Path):
    found = tried(project)
    names = ["batch-1", "batch-5", "first", "order-1", "repeat-1"]

    assert {*names, "noise.json"} == {path.name for path in found.folder.iterdir()}
    backends = {name: load_run(found.folder / name).record.backend for name in names}
    assert {"auto"} == {backends[name].batch for name in ("first", "order-1", "repeat-1")}
    assert (1, 5) == (backends["batch-1"].batch, backends["batch-5"].batch)
    assert 1 == backends["order-1"].order
    assert backends["first"].order is None
    assert found.to_json() == json.loads((found.folder / "noise.json").read_text())


@pytest.mark.parametrize(
    ("last", "said"),
    [(COUNT, "every case is an error"), (0, "no case was scored both in")],
)
def test_where_nothing_could_be_measured_the_command_says_so_and_fails(
    project: Path, capsys: pytest.CaptureFixture[str], last: int, said: str
):
    """
    The exit code 0 would say that there is no noise.
    """
    (project / "broken.py").write_text(
        "calls = []\n"
        "def answer(messages, tools):\n"
        "    calls.append(1)\n"
        f"    if {last} or len(calls) > {COUNT}:\n"
        "        raise OSError('no route')\n"
        "    return {'content': 'x'}\n"
    )
    # Imported anew for each of the two.
    sys.modules.pop("broken", None)

    assert main(["aa", "ask", "--checkpoint", "python:broken:answer", "--out", "aa"]) == 2

    assert f"nothing was measured: {said}" in capsys.readouterr().err


def test_repeats_say_how_many_runs_of_a_kind_there_are(project: Path):
    found = tried(project, RunOptions(repeats=2))

    assert {"repeat": 2, "order": 2, "batch": 2} == {
        noise.kind: len(noise.runs) for noise in found.noises
    }
    first, second = (load_run(found.folder / f"order-{number}") for number in (1, 2))
    assert first.record.backend.order != second.record.backend.order
    keys = [[line.key for line in run.transcripts()] for run in (first, second)]
    assert keys[0] == keys[1]


def test_the_batch_sizes_tried_are_others_than_the_first(project: Path):
    found = tried(project, RunOptions(batch_size=1))
    runs = {noise.kind: noise.runs for noise in found.noises}

    assert ("batch-5", "batch-auto") == runs["batch"]


def test_sampling_varies_the_seed(project: Path):
    sampled = {"do_sample": True, "temperature": 0.7, "seed": 3}
    write_suite(project, map(question, NAMES), generation=sampled)
    found = tried(project, RunOptions(repeats=2), wrong_seeds={"4": ["c1"], "5": ["c1", "c2"]})

    assert ("c1", "c2") == flips(found)["seed"]
    assert () == flips(found)["repeat"]
    assert 5 == load_run(found.folder / "seed-5").record.generation.seed
    # Different seeds are what is tried here: no obstacle to a gate.
    assert "not_comparable" not in {each.verdict for each in found.gates}


def test_a_function_is_tried_in_other_orders_but_not_in_batches(project: Path):
    (project / "stateful.py").write_text(
        "said = []\n"
        "def answer(messages, tools):\n"
        '    """Right unless the case before was c3."""\n'
        "    about = messages[-1]['content'].removeprefix('Ask about ').rstrip('.')\n"
        "    tool = 'outside' if said[-1:] == ['c3'] else 'inside'\n"
        "    said.append(about)\n"
        '    call = {"name": tool, "arguments": {"q": about}}\n'
        '    return {"role": "assistant", "tool_calls": [{"type": "function", "function": call}]}\n'
    )
    found = run_self_test("ask", "python:stateful:answer", out=project / "aa")

    assert {"repeat", "order"} == set(flips(found))
    assert () == flips(found)["repeat"]
    assert "c4" in flips(found)["order"]
    assert 2 == len(flips(found)["order"])
    assert ("other batch sizes: python answers one at a time",) == found.notes


def test_a_replay_is_refused(project: Path):
    (project / "a.jsonl").write_text(
        "".join(json.dumps({"case": name, "output": "x"}) + "\n" for name in NAMES)
    )
    with pytest.raises(UsageError, match="answers alike whatever is changed"):
        run_self_test("ask", "replay:a.jsonl", options=RunOptions(dialect="hermes"))
    assert not (project / "reports").exists()


def test_a_folder_that_holds_something_is_left_alone(project: Path):
    (project / "aa").mkdir()
    (project / "aa" / "note").write_text("mine")

    with pytest.raises(StoreError, match="not an empty folder"):
        tried(project)
    assert [] == noisy.asked


def test_the_command_prints_the_noise_and_what_a_gate_sees(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    (project / "model.json").write_text(
        json.dumps({"weights": "w", "wrong_batched": ["c1", "c2", "c3"]})
    )
    arguments = ["aa", "ask", "--checkpoint", "noisy:model.json", "--quiet"]
    assert main([*arguments, "--out", "one", "--json", "aa.json"]) == 0
    out, err = capsys.readouterr()
    text = " ".join(out.split())

    assert "" == err
    assert "noisy:model.json against itself on ask 1.0.0: 60 scored cases" in text
    assert "batch size 2 120 3 (2.5%)" in text
    assert "flipped: c1, c2, c3" in text
    assert "none of 8 gates of the checkpoint against itself was a false alarm" in text
    assert "cases to see a drop of 3 points" in text
    assert json.loads((project / "aa.json").read_text()) == json.loads(
        (project / "one" / "noise.json").read_text()
    )
    assert main([*arguments, "--out", "two", "--limit", "20", "--json", "-"]) == 0
    assert 20 == json.loads(capsys.readouterr().out)["cases"]


def test_a_model_is_tried_at_every_batch_size(project: Path, tiny_model: Path):
    """
    In float32 on a CPU greedy answers do not depend on the batch.
    """
    found = run_self_test(
        "ask",
        str(tiny_model),
        out=project / "aa",
        options=RunOptions(device="cpu", max_new_tokens=4, limit=12),
    )

    assert {"repeat": 0, "order": 0, "batch": 0} == {
        noise.kind: noise.text.differing for noise in found.noises
    }
    assert {12, 24} == {noise.text.pairs for noise in found.noises}
