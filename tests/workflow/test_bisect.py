"""
Between which two checkpoints something broke, and how few are asked for that.
"""

import shutil
from pathlib import Path

import pytest

import harness
from harness.errors import UsageError
from harness.workflow.bisect import bisect_checkpoints
from harness.workflow.training_checkpoints import judge_checkpoints

from ..saved import Training

SUITE = "routing"


def bisect(of: Training, what: str, **more):
    return bisect_checkpoints(of.folder, SUITE, what, out=Path("judged"), **more)


def sixteen(of: Training, broken_from: int) -> None:
    for step in range(1, 17):
        of.save(step, wrong=(7,) if step >= broken_from else ())


@pytest.mark.parametrize("broken_from", [2, 9, 16])
def test_a_case_is_asked_of_about_the_logarithm_of_the_checkpoints(
    training: Training, broken_from: int
):
    sixteen(training, broken_from)

    found = bisect(training, "c7")

    assert (f"checkpoint-{broken_from - 1}", f"checkpoint-{broken_from}") == (found.good, found.bad)
    assert found.asked <= 2 + 4
    assert found.asked == len(training.opened) == len(found.looked)
    assert all(each.said == "incorrect: wrong_tool" for each in found.looked if each.broken)


def test_what_was_judged_before_is_not_asked_for_one_case(training: Training):
    sixteen(training, 5)
    judge_checkpoints(training.folder, SUITE, out=Path("judged"))
    training.opened.clear()

    found = bisect(training, "c7")

    assert ("checkpoint-4", "checkpoint-5", 0) == (found.good, found.bad, found.asked)
    assert [] == training.opened


def test_what_is_not_broken_at_the_end_or_is_from_the_beginning_takes_few_looks(
    training: Training,
):
    sixteen(training, 1)

    assert (None, "checkpoint-1", 1) == _found(bisect(training, "c7"))
    assert ("checkpoint-1", None, 2) == _found(bisect(training, "c8"))


def _found(of) -> tuple[str | None, str | None, int]:
    return of.good, of.bad, of.asked


def test_a_metric_is_held_against_the_first_checkpoint_or_the_baseline(training: Training):
    for step in range(1, 9):
        training.save(step, twice=range(6) if step >= 4 else ())
    shutil.copytree(training.folder / "checkpoint-8", "shipped-model")
    harness.run(SUITE, "shipped-model", out=Path("shipped"))

    alone = bisect(training, "second_call_rate")
    against = bisect(training, "second_call_rate", baseline="shipped")

    assert ("checkpoint-3", "checkpoint-4") == (alone.good, alone.bad)
    assert ("shipped", None) == (against.good, against.bad)


def test_a_case_broken_first_is_known_to_be_good_in_the_baseline(training: Training):
    good = training.save(99)
    harness.run(SUITE, str(good), out=Path("shipped"))
    shutil.rmtree(good)
    for step in (1, 2):
        training.save(step, wrong=(7,))

    found = bisect(training, "c7", baseline="shipped")

    assert ("shipped", "checkpoint-1") == (found.good, found.bad)


def test_what_cannot_be_read_is_passed_over(training: Training):
    sixteen(training, 9)
    for step in (1, 8, 16):
        (training.folder / f"checkpoint-{step}" / "model.safetensors").write_bytes(b"cut")

    found = bisect(training, "c7")

    assert ("checkpoint-7", "checkpoint-9") == (found.good, found.bad)
    assert {"checkpoint-1", "checkpoint-16"} <= {each.split(":")[0] for each in found.skipped}


def test_neither_a_case_nor_a_metric_is_refused(training: Training):
    training.save(1)

    with pytest.raises(UsageError, match="neither a case of suite routing nor a metric"):
        bisect(training, "accurracy")
