"""
Whole fine-tunes of a tiny model: what is refused, and what comes out.
"""

import importlib
import json
import shutil
from pathlib import Path

import pytest

from harness.checkpoints.loading import load_model, load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import parse_reference
from harness.errors import StoreError, TemplateError, TrainingError, UsageError
from harness.finetuning import (
    EpochLoss,
    Finetuned,
    Recipe,
    finished,
    recipe_digest,
    tools_from_functions,
)
from harness.finetuning import sft_trainer as trainer
from harness.finetuning.encoding import encode_rows
from harness.finetuning.finetune import adapter_base, epoch_losses, finetune
from harness.finetuning.recipe import LEARNING_RATE, LORA_LEARNING_RATE
from harness.finetuning.result import WORK
from harness.finetuning.sft_trainer import (
    build_trainer,
    check_prepared,
    dataset,
    quiet,
    validation_loss,
)
from harness.messages import ToolCall

from .conftest import END, SEARCH, SUM, TRAIN, VALID, hermes, make_base, row

RECIPE = Recipe(epochs=2, batch_size=2, learning_rate=0.01, max_length=1024)

MIXED = (
    row("find a cat", ToolCall(name="search", arguments={"query": "1"}), SEARCH),
    row("add 2 to 3", ToolCall(name="sum", arguments={"terms": [2, 3]}), SUM),
)
"""Rows that share neither tools nor arguments."""


def train(base, out, recipe=RECIPE, **options):
    given = {"train": TRAIN, "valid": VALID, "progress": False, **options}
    return finetune(base=str(base), out=out, recipe=recipe, **given)


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same(one, other):
    import torch

    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    said = []
    out = tmp_path_factory.mktemp("trained") / "model"
    return train(base, out, notify=said.append), said


def test_the_result_is_a_folder_that_loads_with_its_template_and_stops(trained, base):
    result, _ = trained
    located = locate(parse_reference(str(result.folder)))
    model = load_model(located, dtype="float32", device="cpu")
    tokenizer = load_tokenizer(located)

    assert hermes() == tokenizer.chat_template
    assert [tokenizer.eos_token_id] == model.generation_config.eos_token_id
    assert not same(weights(base), weights(result.folder))
    assert not (result.folder / WORK).exists()
    assert [] == list(result.folder.rglob("*.bin")) + list(result.folder.rglob("*.pt"))


def test_weights_have_the_permissions_of_the_users_umask(trained, tmp_path):
    result, _ = trained
    (tmp_path / "plain").touch()
    usual = (tmp_path / "plain").stat().st_mode

    assert {usual} == {path.stat().st_mode for path in result.folder.rglob("*") if path.is_file()}


def test_losses_are_given_for_every_epoch_and_fall(trained):
    result, _ = trained

    assert [1, 2] == [loss.epoch for loss in result.losses]
    assert result.losses[0].train > result.losses[1].train
    assert result.losses[0].valid > result.losses[1].valid
    assert (2, 2) == (result.best_epoch, result.kept_epoch)


def test_the_loss_of_the_base_is_measured_first_and_stored(trained):
    result, said = trained
    document = json.loads((result.folder / "training.json").read_text(encoding="utf-8"))

    assert result.valid_before == document["valid_before"]
    assert result.valid_before > result.losses[0].valid
    assert f"validation loss before training: {result.valid_before:.4f}" in said
    card = (result.folder / "README.md").read_text(encoding="utf-8")
    assert f"| before | | {result.valid_before:.4f} |" in card


def test_the_loss_of_the_base_is_that_of_validating_it_and_moves_no_random_number(base, tmp_path):
    import torch

    built, *_ = prepared(base, tmp_path, TRAIN)
    state = torch.random.get_rng_state()

    before = validation_loss(built)

    assert torch.equal(state, torch.random.get_rng_state())
    assert pytest.approx(built.evaluate()["eval_loss"]) == before


def test_measuring_it_changes_no_weight(trained, base, tmp_path, monkeypatch):
    module = importlib.import_module("harness.finetuning.finetune")
    monkeypatch.setattr(module, "validation_loss", lambda _: 1.0)

    assert same(weights(trained[0].folder), weights(train(base, tmp_path / "out").folder))


def ended(valid_before, *losses, keep="last"):
    epochs = tuple(
        EpochLoss(epoch=number, train=1.0, valid=valid)
        for number, valid in enumerate(losses, start=1)
    )
    kept = min(epochs, key=lambda loss: loss.valid).epoch if keep == "best" else len(epochs)
    return Finetuned(
        folder=Path("made"), digest="", losses=epochs, kept_epoch=kept, seconds=1.0,
        valid_before=valid_before,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            ended(1.6, 1.0, 0.5),
            "from 1.6000 to 0.5000 and not to a quarter: little was learned; raise --learning-rate",
        ),
        (ended(1.6, 1.0, 0.4), None),
        (ended(1.6, 0.3, 0.5), "keep the best epoch (1) with --keep best"),
        (ended(1.6, 0.3, 0.5, keep="best"), None),
        (ended(1.6, 1.7), "from 1.6000 to 1.7000"),
        (ended(None, 1.7), None),
    ],
)
def test_training_that_ends_where_it_began_is_warned_of(result, said):
    if said is None:
        assert result.warning is None
    else:
        assert said in result.warning


def test_a_warning_is_in_the_card_and_read_back(base, tmp_path):
    slow = Recipe(**{**RECIPE.to_json(), "learning_rate": 1e-6})

    result = train(base, tmp_path / "out", slow)

    assert "little was learned" in result.warning
    assert f"Warning: {result.warning}." in (result.folder / "README.md").read_text("utf-8")
    assert result == finished(result.folder)


def test_a_result_of_before_this_was_measured_is_read(trained, tmp_path):
    result, _ = trained
    document = json.loads((result.folder / "training.json").read_text(encoding="utf-8"))
    del document["valid_before"], document["data"]["split"], document["warning"]
    (tmp_path / "training.json").write_text(json.dumps(document), encoding="utf-8")

    found = finished(tmp_path)

    assert (None, None, None) == (found.valid_before, found.split, found.warning)


def test_one_formatted_example_is_shown(trained):
    _, said = trained

    assert '<tool_call>\n{"name": "search", "arguments": {"query": "a cat"}}' in said[0]


def test_the_card_says_base_data_seed_recipe_and_versions(trained, base):
    result, _ = trained
    card = (result.folder / "README.md").read_text(encoding="utf-8")
    document = json.loads((result.folder / "training.json").read_text(encoding="utf-8"))

    assert str(base) == document["base"]
    for said in (
        f"base: `{base}`",
        document["base_digests"]["weights"],
        f"training data: 4 rows, `{document['data']['train']}`",
        f"validation data: 2 rows, `{document['data']['valid']}`",
        "seed: 42",
        "| learning_rate | 0.01 |",
        f"transformers {document['environment']['packages']['transformers']}",
        f"| 2 | {result.losses[1].train:.4f} | {result.losses[1].valid:.4f} |",
        "find a cat",
    ):
        assert said in card
    assert card.startswith("---\nlibrary_name: transformers\n")


def test_the_loss_is_drawn(trained):
    result, _ = trained

    assert (result.folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_fine_tune_is_read_back(trained):
    result, _ = trained

    assert result == finished(result.folder)
    assert finished(result.folder.parent) is None


def test_a_damaged_one_is_an_error(tmp_path):
    (tmp_path / "training.json").write_text("{}", encoding="utf-8")

    with pytest.raises(StoreError, match=r"training\.json cannot be read"):
        finished(tmp_path)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(trained, base, tmp_path):
    result, _ = trained
    again = train(base, tmp_path / "again")
    other = train(base, tmp_path / "other", Recipe(**{**RECIPE.to_json(), "seed": 1}))

    assert same(weights(result.folder), weights(again.folder))
    assert result.digest == again.digest
    assert not same(weights(result.folder), weights(other.folder))
    assert result.digest != other.digest


class Killed(BaseException):
    """
    As an interrupt is: no library catches it.
    """


def kill_in_epoch(monkeypatch, epoch):
    from trl import SFTTrainer

    evaluate = SFTTrainer.evaluate

    def dying(self, *arguments, **options):
        if self.state.epoch > epoch - 1:
            raise Killed
        return evaluate(self, *arguments, **options)

    monkeypatch.setattr(SFTTrainer, "evaluate", dying)
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0)


@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_killed_fine_tune_resumes_to_the_same_bits(base, tmp_path, monkeypatch, keep):
    recipe = Recipe(**{**RECIPE.to_json(), "epochs": 3, "keep": keep})
    whole = train(base, tmp_path / "whole", recipe)
    with monkeypatch.context() as patched:
        kill_in_epoch(patched, 3)
        with pytest.raises(Killed):
            train(base, tmp_path / "killed", recipe)
    with pytest.raises(UsageError, match="--resume"):
        train(base, tmp_path / "killed", recipe)
    said = []

    resumed = train(base, tmp_path / "killed", recipe, resume=True, notify=said.append)

    assert "continuing after checkpoint-4" in said
    assert same(weights(whole.folder), weights(resumed.folder))
    assert whole.losses == resumed.losses
    assert not (resumed.folder / WORK).exists()


def test_epochs_that_are_over_soon_write_no_checkpoints(base, tmp_path, monkeypatch):
    from trl import SFTTrainer

    written = []
    monkeypatch.setattr(SFTTrainer, "_save_checkpoint", lambda *_, **__: written.append(1))

    train(base, tmp_path / "out")
    assert [] == written
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0)
    train(base, tmp_path / "other")
    assert [1, 1] == written


def test_only_the_same_fine_tune_is_resumed(base, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        kill_in_epoch(patched, 2)
        with pytest.raises(Killed):
            train(base, tmp_path / "killed")

    with pytest.raises(UsageError, match="another base, other rows or another recipe"):
        train(base, tmp_path / "killed", train=TRAIN[:3], resume=True)


def test_one_stopped_before_its_first_checkpoint_begins_again(trained, base, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        kill_in_epoch(patched, 1)
        with pytest.raises(Killed):
            train(base, tmp_path / "killed")

    again = train(base, tmp_path / "killed")

    assert same(weights(trained[0].folder), weights(again.folder))


def test_a_finished_folder_is_given_back_to_resume_and_refused_to_others(trained, base):
    result, _ = trained

    assert result == train(base, result.folder, resume=True)
    with pytest.raises(UsageError, match="finished"):
        train(base, result.folder)


def test_a_folder_with_other_files_is_left_alone(base, tmp_path):
    (tmp_path / "thesis.tex").write_text("important", encoding="utf-8")

    with pytest.raises(UsageError, match="not an empty folder"):
        train(base, tmp_path)

    assert ["thesis.tex"] == [path.name for path in tmp_path.iterdir()]


def test_keep_best_gives_the_weights_of_the_lowest_validation_loss(base, tmp_path):
    """
    Rows of another kind than the validation rows, so that validation gets worse with time.
    """
    opposite = tuple(
        row(f"add {n} to 1", ToolCall(name="sum", arguments={"terms": [n, 1]}), SUM)
        for n in range(4)
    )
    settings = {**RECIPE.to_json(), "epochs": 6, "learning_rate": 0.2}
    best = train(base, tmp_path / "best", Recipe(**{**settings, "keep": "best"}), train=opposite)
    until = train(
        base,
        tmp_path / "until",
        Recipe(**{**settings, "epochs": best.best_epoch}),
        train=opposite,
    )

    assert best.best_epoch < 6
    assert best.best_epoch == best.kept_epoch
    assert same(weights(until.folder), weights(best.folder))


def test_rows_with_different_tools_and_arguments_reach_the_trainer_unharmed(base, tmp_path):
    """
    Plain Arrow columns would give each object the keys of all, with null for a value.
    """
    from datasets import Dataset

    tokenizer = load_tokenizer(locate(parse_reference(str(base))))
    encoded = encode_rows(tokenizer, MIXED, 1024)
    poisoned = Dataset.from_list([{"tools": list(one.tools)} for one in encoded])[0]["tools"]
    assert poisoned != encoded[0].tools, "datasets no longer poisons: the JSON columns can go"

    given = dataset(encoded, marked=True)

    assert [list(one.chat) for one in encoded] == list(given["messages"])
    assert [list(one.tools) for one in encoded] == list(given["tools"])
    train(base, tmp_path / "out", train=MIXED, valid=MIXED)


def prepared(base, work, rows):
    located = locate(parse_reference(str(base)))
    tokenizer = load_tokenizer(located)
    encoded = encode_rows(tokenizer, rows, 1024)
    model = load_model(located, dtype="float32", device="cpu")
    with quiet():
        built = build_trainer(
            model, tokenizer, encoded, encoded, RECIPE, work,
            bf16=False, progress=False, logs=None, notify=lambda _: None,
        )  # fmt: skip
    return built, tokenizer, encoded


def test_a_row_that_was_dropped_or_altered_on_the_way_is_refused(base, tmp_path):
    built, tokenizer, encoded = prepared(base, tmp_path, TRAIN)
    check_prepared(built, tokenizer, encoded, encoded)
    whole = built.train_dataset

    built.train_dataset = whole.select([0, 1, 2])
    with pytest.raises(TrainingError, match="1 of 4 rows were dropped"):
        check_prepared(built, tokenizer, encoded, encoded)
    built.train_dataset = whole.select([1, 0, 2, 3])
    with pytest.raises(TrainingError, match="altered on its way"):
        check_prepared(built, tokenizer, encoded, encoded)


def test_a_batch_that_learns_other_tokens_is_refused(base, tmp_path):
    built, tokenizer, encoded = prepared(base, tmp_path, TRAIN)
    collate = built.data_collator

    def wrong(rows):
        batch = collate(rows)
        return {**batch, "labels": batch["input_ids"].clone()}

    built.data_collator = wrong
    with pytest.raises(TrainingError, match="collated batch"):
        check_prepared(built, tokenizer, encoded, encoded)


def test_markers_that_leave_out_the_stop_token_are_refused(tmp_path):
    stop = "{{- '<|im_end|>' -}}\n{%- endgeneration -%}"
    assert stop in hermes()
    moved = hermes().replace(stop, "{%- endgeneration -%}\n{{- '<|im_end|>' -}}")
    base = make_base(tmp_path / "base", moved)

    with pytest.raises(TrainingError, match="never learn to stop"):
        train(base, tmp_path / "out")


def test_a_template_that_drops_tools_is_refused_before_anything_is_written(tmp_path):
    base = make_base(tmp_path / "base", hermes().replace("tool in tools", "tool in []"))

    with pytest.raises(TemplateError, match="tool declarations"):
        train(base, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_row_that_would_be_cut_is_refused_before_anything_is_written(base, tmp_path):
    with pytest.raises(TrainingError, match="longer than max_length 100"):
        train(base, tmp_path / "out", Recipe(max_length=100))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("prompt", ["FIND a cat ", "find the moon"], ids=["train", "valid"])
def test_a_prompt_of_the_suite_is_refused(base, tmp_path, prompt):
    with pytest.raises(TrainingError, match="a case of the suite"):
        train(base, tmp_path / "out", heldout_prompts=[prompt])


def test_a_template_without_markers_trains_the_same_weights(trained, tmp_path):
    """
    The rows are then tokenized here, as FunctionGemma's template needs.
    """
    plain = hermes().replace("{%- generation -%}\n", "").replace("{%- endgeneration -%}\n", "")
    base = make_base(tmp_path / "base", plain)

    result = train(base, tmp_path / "out")

    assert same(weights(trained[0].folder), weights(result.folder))


def test_what_ends_a_turn_becomes_a_stop_of_the_result(tmp_path):
    """
    As FunctionGemma ends its calls with another token than its text.
    """
    base = make_base(
        tmp_path / "base",
        hermes().replace(f"'{END}' -}}}}\n{{%- endgen", "'<pad>' -}}\n{%- endgen"),
    )

    result = train(base, tmp_path / "out")

    settings = json.loads((result.folder / "generation_config.json").read_text(encoding="utf-8"))
    assert [257, 258] == sorted(settings["eos_token_id"])


def test_an_adapter_loads_with_its_base(base, tmp_path):
    recipe = Recipe(**{**RECIPE.to_json(), "lora_rank": 2})
    result = train(base, tmp_path / "adapter", recipe)
    merged = train(base, tmp_path / "merged", Recipe(**{**recipe.to_json(), "merge": True}))

    located = locate(parse_reference(str(result.folder)))
    loaded = load_model(located, dtype="float32", device="cpu")

    assert (base, result.folder) == (located.folder, located.adapter)
    assert not (result.folder / "model.safetensors").exists()
    assert same(
        weights(merged.folder),
        {k: v for k, v in loaded.state_dict().items() if k in weights(merged.folder)},
    )
    assert not same(weights(base), weights(merged.folder))


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("hf:org/name@abc", ("org/name", "abc")),
        ("hf:org/name", ("org/name", None)),
        ("embedded:smollm2-135m", ("embedded:smollm2-135m", None)),
    ],
)
def test_an_adapter_names_its_base_as_it_will_be_found(reference, expected):
    from harness.checkpoints.locate import Located

    assert expected == adapter_base(
        Located(reference=parse_reference(reference), folder=Path("anywhere"))
    )


def test_python_functions_can_be_trained_on(base, tmp_path):
    def search(query: str) -> str:
        """
        Look it up.

        Args:
            query: What.
        """
        return query

    tools = tools_from_functions([search])
    rows = [row("find it", ToolCall(name="search", arguments={"query": "it"}), *tools)]

    assert 2 == len(train(base, tmp_path / "out", train=rows, valid=rows).losses)


def test_tensorboard_gets_the_losses(base, tmp_path):
    result = train(base, tmp_path / "out", tensorboard=True)

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(result.folder / "runs")).Reload()
    assert [loss.valid for loss in result.losses] == pytest.approx(
        [event.value for event in events.Scalars("eval/loss")]
    )


def test_the_result_is_pushed_to_a_private_repository(base, tmp_path, monkeypatch):
    import huggingface_hub

    done = []

    class Hub:
        def create_repo(self, repository, **options):
            done.append((repository, options["private"]))

        def upload_folder(self, *, repo_id, folder_path, **_):
            done.append((repo_id, (Path(folder_path) / "training.json").exists()))

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    train(base, tmp_path / "out", push_to_hub="org/tuned")

    assert [("org/tuned", True), ("org/tuned", True)] == done


def test_nothing_is_printed_without_progress(base, tmp_path, capfd):
    train(base, tmp_path / "out")

    assert ("", "") == tuple(capfd.readouterr())


def test_the_bar_shows_steps_and_losses(base, tmp_path, capfd):
    train(base, tmp_path / "out", progress=True)

    shown = capfd.readouterr().err
    assert "4/4" in shown
    assert "loss=" in shown
    assert "validation=" in shown


def test_the_digest_names_base_rows_and_recipe():
    known = recipe_digest({"weights": "a"}, TRAIN, VALID, RECIPE)

    assert known == recipe_digest({"weights": "a"}, TRAIN, VALID, Recipe(**RECIPE.to_json()))
    assert known != recipe_digest({"weights": "b"}, TRAIN, VALID, RECIPE)
    assert known != recipe_digest({"weights": "a"}, TRAIN[:3], VALID, RECIPE)
    assert known != recipe_digest({"weights": "a"}, TRAIN, VALID[:1], RECIPE)
    assert known != recipe_digest({"weights": "a"}, TRAIN, VALID, Recipe())


def test_a_training_that_diverges_is_an_error_that_names_the_epoch():
    nan = float("nan")
    history = [
        {"loss": 2.0},
        {"eval_loss": 1.0, "epoch": 1.0},
        {"loss": nan},
        {"eval_loss": nan, "epoch": 2.0},
    ]

    with pytest.raises(TrainingError, match="epoch 2"):
        epoch_losses(history)


def test_an_epochs_training_loss_is_the_mean_of_its_steps():
    first = {"eval_loss": 1.0, "epoch": 0.9999999}
    history = [{"loss": 2.0}, {"loss": 4.0}, first, {"train_loss": 9.0}]

    assert (EpochLoss(epoch=1, train=3.0, valid=1.0),) == epoch_losses(history)


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({}, LEARNING_RATE),
        ({"lora_rank": 4}, LORA_LEARNING_RATE),
        ({"lora_rank": 4, "learning_rate": 2e-5}, 2e-5),
        ({"learning_rate": 2e-5}, 2e-5),
    ],
)
def test_an_adapter_has_a_learning_rate_of_its_own_unless_one_is_given(settings, rate):
    recipe = Recipe(**settings)

    assert rate == recipe.learning_rate == recipe.to_json()["learning_rate"]
    assert LORA_LEARNING_RATE >= 10 * LEARNING_RATE


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": 0}, "epochs"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"keep": "first"}, "best, last"),
        ({"lora_rank": 0}, "lora_rank"),
        ({"merge": True}, "lora_rank"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(settings, said):
    with pytest.raises(UsageError, match=said):
        Recipe(**settings)


def test_a_checkpoint_cut_short_is_not_resumed_from(base, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        kill_in_epoch(patched, 2)
        with pytest.raises(Killed):
            train(base, tmp_path / "out")
    [checkpoint] = (tmp_path / "out" / WORK).glob("checkpoint-*")
    shutil.copytree(checkpoint, checkpoint.with_name("checkpoint-9"))
    (checkpoint.with_name("checkpoint-9") / "trainer_state.json").unlink()
    said = []

    train(base, tmp_path / "out", resume=True, notify=said.append)

    assert "continuing after checkpoint-2" in said
