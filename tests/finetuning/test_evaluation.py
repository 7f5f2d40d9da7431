"""
A suite asked while trainers of transformers and TRL train a tiny model.
"""

import json
from pathlib import Path

import pytest

from harness.errors import StoreError, UsageError
from harness.finetuning import ToolCallEvaluation
from harness.finetuning import evaluation as module
from harness.finetuning.evaluation import LIST
from harness.finetuning.live import live_backend, weights_digest
from harness.runs.store import load_run
from harness.suites.files import load_suite
from harness.workflow.run import run

from .conftest import SEARCH

# TRL turns it on under its old name.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")

ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"find {word}"},
            {"role": "assistant", "content": f"<tool_call>{word}"},
        ]
    }
    for word in ("a cat", "the sun", "red", "trams")
]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suites") / "find"
    folder.mkdir()
    expect = {"calls": [{"tool": "search"}]}
    document = {
        "format": 1,
        "name": "find",
        "version": "1.0.0",
        "tools": [SEARCH.schema],
        "generation": {"max_new_tokens": 6},
        "cases": [
            {"id": f"case-{n}", "prompt": f"find {word}", "expect": expect}
            for n, word in enumerate(("the harbour", "a dog", "the moon", "Oslo"))
        ],
    }
    (folder / "suite.yaml").write_text(json.dumps(document))
    return folder


@pytest.fixture
def loaded(base: Path):
    """
    The tiny model with dropout, which draws random numbers, and its tokenizer.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return (
        AutoModelForCausalLM.from_pretrained(base, attention_dropout=0.2),
        AutoTokenizer.from_pretrained(base),
    )


def sft(loaded, out: Path, callbacks=(), **settings):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = loaded
    given = {
        "num_train_epochs": 2,
        "per_device_train_batch_size": 2,
        "learning_rate": 0.01,
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "seed": 5,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "disable_tqdm": True,
        **settings,
    }
    return SFTTrainer(
        model=model,
        args=SFTConfig(output_dir=str(out), **given),
        train_dataset=Dataset.from_list(ROWS),
        eval_dataset=Dataset.from_list(ROWS[:2]),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )


def evaluation(suite: Path, out: Path, **more):
    return ToolCallEvaluation(suite, out=out, notify=lambda _: None, **more)


def test_it_is_a_callback_of_transformers_and_of_its_own_class(suite, tmp_path):
    from transformers import TrainerCallback

    made = evaluation(suite, tmp_path)

    assert isinstance(made, TrainerCallback)
    assert isinstance(made, ToolCallEvaluation)
    assert "ToolCallEvaluation" == type(made).__name__


def test_each_epoch_is_stored_as_a_run_and_its_metrics_are_the_trainers(suite, loaded, tmp_path):
    asked = evaluation(suite, tmp_path / "runs")
    trainer = sft(loaded, tmp_path / "out", [asked])

    trainer.train()

    assert ["epoch-01", "epoch-02"] == [each.run for each, _ in asked.evaluations]
    assert [2, 4] == [each.step for each, _ in asked.evaluations]
    stored = load_run(tmp_path / "runs" / "epoch-02").record
    logged = [entry for entry in trainer.state.log_history if "eval_no_call_rate" in entry]
    assert [2, 4] == [entry["step"] for entry in logged]
    assert stored.metrics["no_call_rate"].value == logged[1]["eval_no_call_rate"]
    assert "eval_abstention_accuracy" not in logged[1], "no case is about it"


def test_weights_are_the_same_to_the_bit_with_and_without_it(suite, loaded, base, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(base, attention_dropout=0.2)
    sft((plain, loaded[1]), tmp_path / "plain").train()

    sft(loaded, tmp_path / "asked", [evaluation(suite, tmp_path / "runs")]).train()

    pairs = zip(plain.named_parameters(), loaded[0].named_parameters(), strict=True)
    assert [] == [name for (name, one), (_, other) in pairs if not torch.equal(one, other)]


def test_asking_leaves_model_and_random_states_as_they_were(loaded):
    import random

    import numpy as np
    import torch

    model, tokenizer = loaded
    model.train()
    model.lm_head.eval()
    model.model.layers[0].eval()
    settings, modes = model.generation_config, [each.training for each in model.modules()]
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    with live_backend(model, tokenizer, reference="live", weights="sha256:0", declares_tools=True):
        assert not any(each.training for each in model.modules())
        random.random(), np.random.rand(), torch.rand(1)

    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert before == after
    assert settings is model.generation_config
    assert modes == [each.training for each in model.modules()]


def test_answers_are_those_of_the_checkpoint_that_is_saved(suite, loaded, tmp_path):
    asked = evaluation(suite, tmp_path / "runs")
    trainer = sft(loaded, tmp_path / "out", [asked], num_train_epochs=1)
    trainer.train()
    trainer.save_model(str(tmp_path / "model"))

    saved = run(str(suite), str(tmp_path / "model"), out=tmp_path / "saved")

    live = load_run(tmp_path / "runs" / "epoch-01")
    assert list(saved.transcripts()) == list(live.transcripts())
    assert saved.record.metrics == live.record.metrics


def test_the_answers_of_the_evaluation_before_are_drafts(suite, loaded, tmp_path, monkeypatch):
    seen = []
    ask = module.ask
    monkeypatch.setattr(module, "ask", lambda q, *rest: (seen.append(q.drafts), ask(q, *rest)))

    sft(loaded, tmp_path / "out", [evaluation(suite, tmp_path / "runs")]).train()

    first = {each.key: each.output for each in load_run(tmp_path / "runs/epoch-01").transcripts()}
    assert [{}, first] == seen


def test_the_best_model_is_chosen_by_its_metrics(suite, loaded, tmp_path):
    asked = evaluation(suite, tmp_path / "runs")
    trainer = sft(
        loaded, tmp_path / "out", [asked], save_strategy="epoch", load_best_model_at_end=True,
        metric_for_best_model="eval_output_tokens_p50", greater_is_better=False,
    )  # fmt: skip

    trainer.train()

    lengths = [each.record.metrics["output_tokens_p50"].value for _, each in asked.evaluations]
    assert min(lengths) == trainer.state.best_metric


def test_a_metric_is_not_chosen_by_the_wrong_way_round(suite, loaded, tmp_path):
    trainer = sft(
        loaded, tmp_path / "out", [evaluation(suite, tmp_path / "runs")],
        metric_for_best_model="second_call_rate",
    )  # fmt: skip

    with pytest.raises(UsageError, match="set greater_is_better=False"):
        trainer.train()


def stopping():
    from transformers import EarlyStoppingCallback

    return EarlyStoppingCallback(early_stopping_patience=1)


BEST = {"metric_for_best_model": "tool_accuracy", "greater_is_better": True}


def test_early_stopping_sees_its_metrics(suite, loaded, tmp_path):
    asked = evaluation(suite, tmp_path / "runs")
    settings = {"save_strategy": "epoch", "load_best_model_at_end": True, "num_train_epochs": 5}
    trainer = sft(loaded, tmp_path / "out", [asked, stopping()], **settings, **BEST)

    trainer.train()

    # No epoch finds a tool, so the second is no better than the first.
    assert 2 == len(asked.evaluations)


def test_behind_early_stopping_it_is_an_error_that_says_so(suite, loaded, tmp_path):
    asked = evaluation(suite, tmp_path / "runs")
    settings = {"save_strategy": "epoch", "load_best_model_at_end": True}
    trainer = sft(loaded, tmp_path / "out", [stopping(), asked], **settings, **BEST)

    with pytest.raises(UsageError, match="comes after EarlyStoppingCallback"):
        trainer.train()


def test_a_trainer_that_never_evaluates_is_an_error(suite, loaded, tmp_path):
    asked = evaluation(suite, tmp_path / "runs")

    with pytest.raises(UsageError, match="never evaluates"):
        sft(loaded, tmp_path / "out", [asked], eval_strategy="no").train()


def test_by_steps_runs_are_named_by_steps(suite, loaded, tmp_path):
    asked = evaluation(suite, tmp_path / "runs")

    sft(loaded, tmp_path / "out", [asked], eval_strategy="steps", eval_steps=3).train()

    named = [(each.run, each.epoch) for each, _ in asked.evaluations]
    assert [("step-000003", 1.5), ("step-000004", 2.0)] == named


def test_the_same_weights_are_asked_once(suite, loaded, tmp_path, monkeypatch):
    asked = evaluation(suite, tmp_path / "runs")
    trainer = sft(loaded, tmp_path / "out", [asked])
    trainer.train()
    monkeypatch.setattr(module, "ask", lambda *_, **__: pytest.fail("asked again"))

    again = trainer.evaluate()

    assert (
        again["eval_no_call_rate"] == asked.evaluations[-1][1].record.metrics["no_call_rate"].value
    )


def test_a_folder_with_the_evaluations_of_another_training_is_refused(suite, loaded, tmp_path):
    sft(loaded, tmp_path / "out", [evaluation(suite, tmp_path / "runs")]).train()

    with pytest.raises(StoreError, match="evaluations of another training"):
        sft(loaded, tmp_path / "out", [evaluation(suite, tmp_path / "runs")]).train()


def test_a_training_that_is_resumed_goes_on_with_its_evaluations(suite, loaded, base, tmp_path):
    from transformers import AutoModelForCausalLM

    settings = {"save_strategy": "epoch", "num_train_epochs": 3}
    first = evaluation(suite, tmp_path / "runs")
    sft(loaded, tmp_path / "out", [first], **settings).train()
    model = AutoModelForCausalLM.from_pretrained(base, attention_dropout=0.2)
    again = evaluation(suite, tmp_path / "runs")

    trainer = sft((model, loaded[1]), tmp_path / "out", [again], **settings)
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))

    assert first.evaluations == again.evaluations
    lines = (tmp_path / "runs" / LIST).read_text("utf-8").splitlines()
    assert [2, 4, 6] == [json.loads(line)["step"] for line in lines]


def test_an_adapter_is_asked_with_its_base(suite, loaded, tmp_path):
    from peft import LoraConfig, get_peft_model

    model, tokenizer = loaded
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    asked = evaluation(suite, tmp_path / "runs")
    trainer = sft((adapted, tokenizer), tmp_path / "out", [asked], num_train_epochs=1)
    trainer.train()
    trained = weights_digest(trainer.model)
    trainer.model.merge_and_unload().save_pretrained(tmp_path / "merged")
    tokenizer.save_pretrained(tmp_path / "merged")

    ((_, live),) = asked.evaluations
    assert live.record.checkpoint.weights is None
    assert trained == live.record.checkpoint.adapter
    merged = run(str(suite), str(tmp_path / "merged"), out=tmp_path / "saved")
    assert list(merged.transcripts()) == list(live.transcripts())


def test_a_sample_is_asked_of_a_large_suite(suite, loaded, tmp_path):
    asked = evaluation(suite, tmp_path / "runs", limit=2, seed=3)
    sft(loaded, tmp_path / "out", [asked], num_train_epochs=1).train()

    ((_, live),) = asked.evaluations
    assert 2 == len(live.record.cases)
    assert not live.record.selection.complete
    assert (2, 3) == (live.record.selection.sample.size, live.record.selection.sample.seed)


def test_a_metric_that_the_trainer_has_already_is_an_error(suite, loaded, tmp_path):
    from transformers import TrainerCallback

    class Measures(TrainerCallback):
        def on_evaluate(self, args, state, control, metrics=None, **_):
            metrics["eval_accuracy"] = 1.0

    asked = evaluation(suite, tmp_path / "runs")

    with pytest.raises(UsageError, match="eval_accuracy is measured by the trainer"):
        sft(loaded, tmp_path / "out", [Measures(), asked]).train()


def test_tensorboard_gets_the_metrics_beside_the_loss(suite, loaded, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    asked = evaluation(suite, tmp_path / "runs")
    board = TensorBoardCallback(SummaryWriter(str(tmp_path / "logs")))

    sft(loaded, tmp_path / "out", [asked, board]).train()

    found = EventAccumulator(str(tmp_path / "logs")).Reload()
    values = [each.value for each in found.Scalars("eval/no_call_rate")]
    assert [each.record.metrics["no_call_rate"].value for _, each in asked.evaluations] == values
    assert "eval/loss" in found.Tags()["scalars"]


def test_a_line_is_said_for_each_evaluation(suite, loaded, tmp_path):
    said = []
    asked = ToolCallEvaluation(load_suite(suite), out=tmp_path / "runs", notify=said.append)

    sft(loaded, tmp_path / "out", [asked]).train()

    assert [
        "epoch-01: right tool 0.0% (0 of 4), second calls 0.0% (0 of 4)",
        "epoch-02: right tool 0.0% (0 of 4), second calls 0.0% (0 of 4)",
    ] == said


def by_transformers(model, tokenizer, arguments, callback):
    from datasets import Dataset
    from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

    rows = Dataset.from_list([dict(tokenizer(f"find {word}")) for word in ("a cat", "red")])
    return Trainer(
        model=model,
        args=TrainingArguments(**arguments),
        train_dataset=rows,
        eval_dataset=rows,
        processing_class=tokenizer,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        callbacks=[callback],
    )


def by_preference(model, tokenizer, arguments, callback):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    row = {"prompt": "find a cat", "chosen": "<tool_call>", "rejected": "no"}
    rows = Dataset.from_list([row, {**row, "prompt": "find red"}])
    return DPOTrainer(
        model=model,
        args=DPOConfig(**arguments, bf16=False),
        train_dataset=rows,
        eval_dataset=rows,
        processing_class=tokenizer,
        callbacks=[callback],
    )


def by_reward(model, tokenizer, arguments, callback):
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    rows = Dataset.from_list([{"prompt": "find a cat"}, {"prompt": "find red"}])
    return GRPOTrainer(
        model=model,
        args=GRPOConfig(**arguments, bf16=False, num_generations=2, max_completion_length=4),
        reward_funcs=lambda completions, **_: [float(len(each)) for each in completions],
        train_dataset=rows,
        eval_dataset=rows,
        processing_class=tokenizer,
        callbacks=[callback],
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("trainer", [by_transformers, by_preference, by_reward])
def test_any_trainer_asks_on_each_of_its_evaluations(suite, loaded, tmp_path, trainer):
    asked = evaluation(suite, tmp_path / "runs")
    arguments = {
        "output_dir": str(tmp_path / "out"),
        "num_train_epochs": 2,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 2,
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
    }

    made = trainer(*loaded, arguments, asked)
    made.train()

    assert ["epoch-01", "epoch-02"] == [each.run for each, _ in asked.evaluations]
    logged = [entry for entry in made.state.log_history if "eval_no_call_rate" in entry]
    assert [each.step for each, _ in asked.evaluations] == [entry["step"] for entry in logged]
