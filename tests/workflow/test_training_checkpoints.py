"""
Every saved checkpoint of a training, judged in order and never twice.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness
from harness.errors import CheckpointError, UsageError
from harness.workflow.options import RunOptions
from harness.workflow.training_checkpoints import Judging, judge_checkpoints, watch_checkpoints

from ..saved import Training

SUITE = "routing"


def judge(of: Training, **more):
    return judge_checkpoints(of.folder, SUITE, out=Path("judged"), **more)


def accuracy(found) -> list[tuple[str, float]]:
    return [(each.name, each.run.record.metrics["accuracy"].value) for each in found.judged]


def test_checkpoints_are_judged_by_their_steps_each_drafted_by_the_one_before(
    training: Training, monkeypatch: pytest.MonkeyPatch
):
    drafts: list[str | None] = []

    def ask(*said, options: RunOptions, **more):
        drafts.append(options.draft)
        return harness.run(*said, options=options, **more)

    monkeypatch.setattr("harness.workflow.training_checkpoints.run", ask)
    for step, wrong in ((10, range(20)), (2, range(40)), (100, range(4))):
        training.save(step, wrong=wrong)

    found = judge(training)

    assert [("checkpoint-2", 0.0), ("checkpoint-10", 0.5), ("checkpoint-100", 0.9)] == accuracy(
        found
    )
    assert ["checkpoint-2", "checkpoint-10", "checkpoint-100"] == training.opened
    assert [None, *(str(each.run.folder) for each in found.judged[:-1])] == drafts


def test_a_second_call_asks_nothing_and_new_weights_are_asked(training: Training):
    for step in (1, 2):
        training.save(step, wrong=range(step))
    first = judge(training)
    training.opened.clear()

    again = judge(training)
    assert [] == training.opened
    assert accuracy(first) == accuracy(again)
    assert [False, False] == [each.asked for each in again.judged]

    shutil.rmtree(training.folder / "checkpoint-2")
    training.save(2, wrong=range(9)).joinpath("model.safetensors").unlink()
    shutil.copy(
        training.folder / "checkpoint-1" / "model.safetensors",
        training.folder / "checkpoint-2" / "model.safetensors",
    )
    judge(training)
    assert ["checkpoint-2"] == training.opened


def test_a_broken_checkpoint_is_named_and_skipped(training: Training):
    training.save(1)
    cut = training.save(2) / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-2])
    (training.save(3) / "config.json").unlink()
    training.save(4)

    found = judge(training)

    assert ["checkpoint-1", "checkpoint-4"] == [each.name for each in found.judged]
    assert {"checkpoint-2", "checkpoint-3"} == found.skipped.keys()
    assert "cut off or damaged" in found.skipped["checkpoint-2"]
    assert "no config.json" in found.skipped["checkpoint-3"]
    assert "checkpoint-2" not in training.opened


def test_it_is_an_error_if_none_can_be_judged_or_none_is_there(training: Training):
    with pytest.raises(UsageError, match="holds no checkpoint-N"):
        judge(training)
    (training.save(1) / "model.safetensors").write_bytes(b"")
    training.save(2).joinpath("model.safetensors").unlink()

    with pytest.raises(CheckpointError, match=r"checkpoint-1 \(and 1 other\).*cut off"):
        judge(training)


def test_what_is_wrong_for_all_is_said_once(training: Training):
    training.save(1)

    with pytest.raises(UsageError, match="no case 'nowhere'"):
        judge(training, options=RunOptions(cases=("nowhere",)))


def test_the_earliest_as_good_as_the_best_and_the_first_that_passes_are_named(training: Training):
    baseline = training.save(9)
    harness.run(SUITE, str(baseline), out=Path("shipped"))
    shutil.rmtree(baseline)
    training.save(1, wrong=range(30))
    training.save(2, twice=(20, 21, 22))
    training.save(3, wrong=(0,))
    training.save(4, losses=[(1, 0.5), (2, 0.3), (3, 0.1), (4, 0.2)])

    found = judge(training, baseline="shipped")

    assert ["regressed", "regressed", "inconclusive", "pass"] == [
        each.verdict.verdict for each in found.judged
    ]
    assert "checkpoint-2" == found.best.name, "3 of 40 are not told from 0"
    assert "checkpoint-4" == found.highest.name
    assert "checkpoint-4" == found.passing.name
    assert "checkpoint-3" == found.least_loss.name
    assert 0 == found.exit
    assert "checkpoint-1" == judge(training, by="second_call_rate").best.name


def test_where_none_passes_the_exit_is_that_of_the_best(training: Training):
    baseline = training.save(9)
    harness.run(SUITE, str(baseline), out=Path("shipped"))
    shutil.rmtree(baseline)
    training.save(1, wrong=range(30))
    training.save(2, wrong=range(20))

    found = judge(training, baseline="shipped")

    assert found.passing is None
    assert 1 == found.exit


def test_a_running_training_is_followed_to_its_last_checkpoint(training: Training):
    """
    A folder whose state is not written yet is not judged, and no folder twice.
    """
    half = training.save(1, last=3) / "trainer_state.json"
    whole = half.read_text()
    half.unlink()

    def later() -> Iterator[None]:
        (training.folder / "checkpoint-1" / "growing").write_text("x")
        yield
        half.write_text(whole)
        yield
        training.save(2, last=3)
        training.save(3, wrong=range(4), last=3)
        yield

    steps = later()
    judging = Judging.of(SUITE, out=Path("judged"))
    seen = [
        [each.name for each in found.judged]
        for found in watch_checkpoints(training.folder, judging, sleep=lambda _: next(steps))
    ]

    names = ["checkpoint-1", "checkpoint-2", "checkpoint-3"]
    assert [names[:1], names[:2], names] == seen
    assert names == training.opened
