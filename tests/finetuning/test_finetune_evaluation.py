"""
Whole fine-tunes of a tiny model, with a suite asked after each epoch.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import TrainingError, UsageError
from harness.finetuning import EvaluationPlan, Recipe, finished, recipe_digest
from harness.finetuning import sft_trainer as trainer
from harness.finetuning.curves import training_panels
from harness.runs.store import load_run
from harness.suites.files import load_suite
from harness.workflow.run import run

from .conftest import SEARCH, TRAIN, VALID, row
from .test_finetune import RECIPE, Killed, kill_in_epoch, same, train, weights


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """
    Four cases in two groups, of which the tiny model gets none right.
    """
    folder = tmp_path_factory.mktemp("suites") / "find"
    folder.mkdir()
    document = {
        "format": 1,
        "name": "find",
        "version": "1.0.0",
        "tools": [SEARCH.schema],
        "generation": {"max_new_tokens": 4},
        "cases": [
            {
                "id": f"case-{number}",
                "group": f"group-{number % 2}",
                "prompt": f"find {what}",
                "expect": {"calls": [{"tool": "search"}]},
            }
            for number, what in enumerate(("the harbour", "a fox", "the stars", "blue"))
        ],
    }
    (folder / "suite.yaml").write_text(json.dumps(document))
    return EvaluationPlan(suite=load_suite(folder))


@pytest.fixture(scope="module")
def evaluated(base, plan, tmp_path_factory):
    said = []
    out = tmp_path_factory.mktemp("evaluated") / "model"
    return train(base, out, evaluation=plan, notify=said.append), said


def test_a_suite_that_is_asked_while_training_changes_no_bit(evaluated, base, tmp_path):
    plain = train(base, tmp_path / "plain")

    assert same(weights(plain.folder), weights(evaluated[0].folder))
    assert plain.digest == evaluated[0].digest


def test_what_it_measures_is_kept_with_the_weights_and_their_card(evaluated):
    result, said = evaluated

    assert [1, 2] == [each.epoch for each in result.evaluated]
    assert evaluated[0] == finished(result.folder)
    run = load_run(result.folder / "evaluations" / "epoch-02").record
    assert run.metrics == result.evaluated[1].metrics
    card = (result.folder / "README.md").read_text(encoding="utf-8")
    assert "| 2 (kept) | 0.0% (0.0% to 49.0%) |" in card
    assert "4 cases after each evaluation" in card
    assert any(line.startswith("epoch-02: right tool 0.0% (0 of 4)") for line in said)
    assert 4 == len(training_panels(result)), "loss, right, wrong and length"


def test_the_last_evaluation_is_of_the_weights_that_are_saved(evaluated, plan, tmp_path):
    result, _ = evaluated
    suite = Path(json.loads(plan.suite.text)["name"])
    stored = load_run(result.folder / "evaluations" / "epoch-02")
    (tmp_path / suite).mkdir()
    (tmp_path / suite / "suite.yaml").write_text(plan.suite.text)

    again = run(str(tmp_path / suite), str(result.folder), out=tmp_path / "run")

    assert list(again.transcripts()) == list(stored.transcripts())


def test_among_epochs_of_equal_accuracy_the_first_is_kept(base, plan, tmp_path):
    settings = {"batch_size": 2, "learning_rate": 0.01, "max_length": 1024}
    recipe = Recipe(epochs=3, keep="best", by="tool_accuracy", **settings)
    chosen = train(base, tmp_path / "chosen", recipe, evaluation=plan)

    first = train(base, tmp_path / "first", Recipe(epochs=1, **settings))

    assert 1 == chosen.kept_epoch
    assert same(weights(first.folder), weights(chosen.folder))
    assert (3, 2, 2) == (
        len(chosen.selected.rates),
        len(chosen.selected.halves.select),
        len(chosen.selected.halves.report),
    )
    assert {2} == {each.metrics["accuracy"].eligible for each in chosen.evaluated}
    card = (chosen.folder / "README.md").read_text(encoding="utf-8")
    assert "3 evaluations were looked at" in card
    assert "of the 2 other cases, which chose nothing" in card


def test_an_adapter_of_an_earlier_epoch_is_kept(base, plan, tmp_path):
    from safetensors.torch import load_file

    settings = {"batch_size": 2, "learning_rate": 0.01, "max_length": 1024, "lora_rank": 4}
    recipe = Recipe(epochs=2, keep="best", by="tool_accuracy", **settings)
    chosen = train(base, tmp_path / "chosen", recipe, evaluation=plan)

    first = train(base, tmp_path / "first", Recipe(epochs=1, **settings))

    one, other = (load_file(each.folder / "adapter_model.safetensors") for each in (first, chosen))
    assert 1 == chosen.kept_epoch
    assert same(one, other)


def test_what_chooses_an_epoch_is_part_of_what_a_fine_tune_is(plan):
    def digest(by, **changes):
        recipe = Recipe(keep="best", by=by)
        return recipe_digest({}, TRAIN, VALID, recipe, replace(plan, **changes))

    assert recipe_digest({}, TRAIN, VALID, Recipe(keep="best")) == digest("loss")
    assert digest("loss") != digest("loss", every=2)
    assert digest("loss") == digest("loss", limit=2)
    assert digest("tool_accuracy") != digest("accuracy")
    assert digest("tool_accuracy") != digest("tool_accuracy", limit=2)


def test_no_epoch_is_chosen_by_a_suite_that_is_not_asked(base, tmp_path):
    with pytest.raises(UsageError, match="evaluate a suite"):
        train(base, tmp_path / "out", Recipe(keep="best", by="tool_accuracy"))


def test_a_row_that_asks_what_is_evaluated_is_refused(base, plan, tmp_path):
    rows = (*TRAIN, row("Find the  harbour", TRAIN[0].messages[-1].tool_calls[0], SEARCH))

    with pytest.raises(TrainingError, match="its prompt is a case of the suite"):
        train(base, tmp_path / "out", train=rows, evaluation=plan)


def test_losses_and_metrics_are_taken_every_so_many_steps(base, plan, tmp_path):
    result = train(base, tmp_path / "out", evaluation=replace(plan, every=3))

    assert [1.5, 2] == [loss.epoch for loss in result.losses]
    assert ["step-000003", "step-000004"] == [Path(each.run).name for each in result.evaluated]


@pytest.mark.parametrize("by", ["loss", "tool_accuracy"])
def test_a_killed_fine_tune_resumes_with_its_evaluations(base, plan, tmp_path, monkeypatch, by):
    settings = {**RECIPE.to_json(), "epochs": 3, "by": by, "keep": "last"}
    recipe = Recipe(**{**settings, "keep": "last" if by == "loss" else "best"})
    whole = train(base, tmp_path / "whole", recipe, evaluation=plan)
    with monkeypatch.context() as patched:
        kill_in_epoch(patched, 3)
        with pytest.raises(Killed):
            train(base, tmp_path / "killed", recipe, evaluation=plan)

    resumed = train(base, tmp_path / "killed", recipe, evaluation=plan, resume=True)

    assert [1, 2, 3] == [each.epoch for each in resumed.evaluated]
    assert whole.evaluated == resumed.evaluated
    assert same(weights(whole.folder), weights(resumed.folder))


def test_one_that_left_no_checkpoint_is_evaluated_anew(base, plan, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        kill_in_epoch(patched, 2)
        patched.setattr(trainer, "CHECKPOINT_SECONDS", 60)
        with pytest.raises(Killed):
            train(base, tmp_path / "out", evaluation=plan)

    again = train(base, tmp_path / "out", evaluation=plan)

    assert ["epoch-01", "epoch-02"] == [Path(each.run).name for each in again.evaluated]
