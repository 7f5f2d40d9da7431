"""
TRL's SFTTrainer, set up for one recipe and checked against what it should learn.
"""

import contextlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import MissingDependencyError, TrainingError
from harness.finetuning.encoding import Encoded, check_labels
from harness.finetuning.recipe import LOSS, Recipe
from harness.finetuning.shared_prefix import (
    IGNORED,
    can_share,
    collate_shared,
    shares_exactly,
    token_losses,
    worth_sharing,
)
from harness.scoring.metrics import METRICS
from harness.wording import duration

EVALUATED_TOGETHER = 32
"""Rows in a validation batch, which needs no gradients."""

CHECKPOINT_SECONDS = 60
"""Minimum time between two checkpoints. One holds weights and optimizer state, three times the
model's size: written after every short epoch of a small model, it would take longer than training
does."""


def check_installed(recipe: Recipe, *, tensorboard: bool) -> None:
    """
    Check that the optional packages of a fine-tune are there, before anything is loaded or shown.

    Raises:
        MissingDependencyError: naming the extra to install.
    """
    for wanted, what, package, extra in (
        (recipe.lora_rank is not None, "LoRA", "peft", "lora"),
        (tensorboard, "logging to TensorBoard", "tensorboard", "tensorboard"),
    ):
        if wanted and find_spec(package) is None:
            raise MissingDependencyError(
                f"{what} needs {package}, which is not installed: "
                f'pip install "toolcall-harness[{extra}]"'
            )


def build_trainer(
    model: Any,
    tokenizer: Any,
    train_rows: Sequence[Encoded],
    validation_rows: Sequence[Encoded],
    recipe: Recipe,
    work: Path,
    *,
    bf16: bool,
    progress: bool,
    logs: Path | None,
    notify: Callable[[str], None],
    evaluation: Any | None = None,
    every: int | None = None,
) -> Any:
    """
    Return a trainer for *train_rows* that validates on *validation_rows* and keeps its checkpoints
    in *work*.

    With *logs*, it writes TensorBoard files there. It validates after each epoch, or *every* so
    many steps; *evaluation* is the callback that asks a suite then. Without a GPU, the rows of a
    batch share their common prefix, if the model's losses stay the same.
    """
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer
    from trl.chat_template_utils import has_generation_markers

    on_cpu = model.device.type == "cpu"
    # The template's markers put the loss on every answer: if some are history, we set it ourselves.
    marked = has_generation_markers(tokenizer.chat_template) and not any(
        row.history for row in (*train_rows, *validation_rows)
    )
    # By a metric, an epoch is chosen when all have been looked at.
    best = recipe.keep == "best" and recipe.by == LOSS
    sharing = False

    class Trainer(SFTTrainer):  # type: ignore[misc]
        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, Any],
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            if not sharing:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            losses = token_losses(model, inputs)
            return losses.sum() / (
                losses.numel() if num_items_in_batch is None else num_items_in_batch
            )

    trainer = Trainer(
        model=model,
        args=SFTConfig(
            output_dir=str(work),
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            per_device_eval_batch_size=max(recipe.batch_size, EVALUATED_TOGETHER),
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="constant",
            optim="adamw_torch_fused",
            max_length=recipe.max_length,
            packing=False,
            assistant_only_loss=marked,
            completion_only_loss=not marked,
            seed=recipe.seed,
            bf16=bf16,
            use_cpu=on_cpu,
            # TRL turns it on; it saves memory that models of this size do not need, and costs time.
            **{_checkpointing(SFTConfig): False},
            eval_strategy="epoch" if every is None else "steps",
            eval_steps=every,
            save_strategy="steps" if best and every is not None else "epoch",
            save_steps=every or 500,
            save_total_limit=1,
            load_best_model_at_end=best,
            metric_for_best_model="eval_loss",
            greater_is_better=False,
            logging_steps=1,
            # Otherwise a NaN loss would be logged as the mean of those before it.
            logging_nan_inf_filter=False,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=dataset(train_rows, marked=marked),
        eval_dataset=dataset(validation_rows, marked=marked),
        processing_class=tokenizer,
        peft_config=None if recipe.lora_rank is None else adapter_config(recipe),
        callbacks=_callbacks(recipe, work, evaluation, progress, logs, notify),
    )
    trainer.remove_callback(PrinterCallback)
    if on_cpu and can_share(trainer.model) and not trainer.aux_loss_enabled:
        count = min(recipe.batch_size, len(train_rows))
        first = trainer.train_dataset.select(range(count)).to_list()
        if shares_exactly(trainer.model, first):
            padded = trainer.data_collator
            trainer.data_collator = lambda rows: (
                collate_shared(rows) if worth_sharing(rows) else padded(rows)
            )
            sharing = True
        else:
            notify("this model cannot share the common prefix of rows; every row is computed whole")
    return trainer


def _checkpointing(config: Any) -> str:
    # transformers 5.23 renamed it and warns about the old name.
    new = "activation_checkpointing"
    return new if new in config.__dataclass_fields__ else "gradient_checkpointing"


def dataset(rows: Sequence[Encoded], *, marked: bool) -> Any:
    """
    Return *rows* as TRL takes them: chat rows, or tokenized if the template does not mark the
    assistant's turns.

    Messages and tools are JSON columns. In plain Arrow columns every object would get the keys of
    all others, with null values, and the model would be taught those.
    """
    from datasets import Dataset, Features, Json

    if marked:
        return Dataset.from_list(
            [{"messages": list(row.chat), "tools": list(row.tools)} for row in rows],
            features=Features({"messages": Json(), "tools": Json()}),
        )
    return Dataset.from_list(
        [
            {
                "input_ids": list(row.ids),
                "completion_mask": [int(label != IGNORED) for label in row.labels],
            }
            for row in rows
        ]
    )


def check_prepared(
    trainer: Any, tokenizer: Any, train_rows: Sequence[Encoded], validation_rows: Sequence[Encoded]
) -> None:
    """
    Refuse to train on anything but *train_rows*: check the prepared rows and a collated batch.

    Raises:
        TrainingError: naming a row that was dropped, cut or altered, or whose loss is on tokens
            other than the assistant's.
    """
    for rows, prepared in (
        (train_rows, trainer.train_dataset),
        (validation_rows, trainer.eval_dataset),
    ):
        if len(prepared) != len(rows):
            raise TrainingError(
                f"{len(rows) - len(prepared)} of {len(rows)} rows were dropped on their way to the "
                f"trainer; the first row is {rows[0].source}"
            )
        for row, given in zip(rows, prepared, strict=True):
            check_labels(tokenizer, row, given["input_ids"], given["labels"])
    count = min(trainer.args.per_device_train_batch_size, len(train_rows))
    batch = trainer.data_collator(trainer.train_dataset.select(range(count)).to_list())
    kept = batch["labels"] != IGNORED
    expected = [label for row in train_rows[:count] for label in row.labels if label != IGNORED]
    if not (batch["labels"][kept].tolist() == batch["input_ids"][kept].tolist() == expected):
        raise TrainingError("a collated batch learns other tokens than its rows do; report this")


def validation_loss(trainer: Any) -> float:
    """
    Return the validation loss of the trainer's model as it is, and leave all else as it was.
    """
    import torch

    # Reading batches draws a random number, which would be missing from the training.
    with torch.random.fork_rng():
        done = trainer.evaluation_loop(
            trainer.get_eval_dataloader(), description="", prediction_loss_only=True
        )
    return float(done.metrics["eval_loss"])


def adapter_config(recipe: Recipe) -> Any:
    """
    Return PEFT's configuration of the recipe's LoRA adapter.
    """
    from peft import LoraConfig

    return LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _callbacks(
    recipe: Recipe,
    work: Path,
    evaluation: Any | None,
    progress: bool,
    logs: Path | None,
    notify: Callable[[str], None],
) -> list[Any]:
    from transformers import TrainerCallback

    class Sparing(TrainerCallback):  # type: ignore[misc]
        """
        Skips the checkpoint of an epoch that ends soon after the last checkpoint.
        """

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.saved = time.monotonic()

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if time.monotonic() - self.saved < CHECKPOINT_SECONDS:
                control.should_save = False

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.saved = time.monotonic()

    class Weights(TrainerCallback):  # type: ignore[misc]
        """
        Keeps the trained weights of everything that is evaluated, one of which will be chosen.
        """

        def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            save_weights(given["model"], work, state.global_step)

    class Bar(TrainerCallback):  # type: ignore[misc]
        """
        One bar over all steps, with the loss and the time left.
        """

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            from tqdm import tqdm

            self.bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="training",
                unit="step",
                file=sys.stderr,
                dynamic_ncols=True,
            )
            self.shown: dict[str, str] = {}

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.bar.update(state.global_step - self.bar.n)

        def on_log(
            self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
        ) -> None:
            for key, name, form in (
                ("loss", "loss", ".4f"),
                ("eval_loss", "validation", ".4f"),
                ("eval_tool_accuracy", METRICS["tool_accuracy"].title, ".1%"),
                ("eval_second_call_rate", METRICS["second_call_rate"].title, ".1%"),
            ):
                if logs and key in logs:
                    self.shown[name] = format(float(logs[key]), form)
            self.bar.set_postfix(self.shown)

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.bar.close()

    class Lines(TrainerCallback):  # type: ignore[misc]
        """
        One line per epoch, where there is no terminal for a bar.
        """

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.began, self.first = time.monotonic(), state.global_step

        def on_log(
            self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
        ) -> None:
            if logs and "eval_loss" in logs:
                left = ""
                if steps := state.max_steps - state.global_step:
                    each = (time.monotonic() - self.began) / max(1, state.global_step - self.first)
                    left = f", about {duration(each * steps)} left"
                notify(
                    f"epoch {round(state.epoch, 2):g} of {recipe.epochs}: "
                    f"validation loss {float(logs['eval_loss']):.4f}{left}"
                )

    callbacks: list[Any] = []
    if logs is not None:
        callbacks.append(_tensorboard(logs))
    callbacks.append(Bar() if progress else Lines())
    if evaluation is not None:
        callbacks.append(evaluation)
    if recipe.by != LOSS:
        callbacks.append(Weights())
    elif recipe.keep == "last":
        # The best epoch's weights are read from its checkpoint, so each epoch needs one.
        callbacks.append(Sparing())
    return callbacks


def save_weights(model: Any, work: Path, step: int) -> None:
    """
    Write the parameters of *model* that are trained, as they are after *step*.
    """
    from safetensors.torch import save_file

    file = _weights_file(work, step)
    file.parent.mkdir(parents=True, exist_ok=True)
    trained = {name: each.detach() for name, each in model.named_parameters() if each.requires_grad}
    save_file({name: each.contiguous() for name, each in trained.items()}, file)


def load_weights(model: Any, work: Path, step: int) -> None:
    """
    Give *model* the parameters that it had after *step*.
    """
    import torch
    from safetensors.torch import load_file

    stored = load_file(_weights_file(work, step))
    with torch.no_grad():
        for name, each in model.named_parameters():
            if each.requires_grad:
                each.copy_(stored[name])


def _weights_file(work: Path, step: int) -> Path:
    return work / "weights" / f"{step}.safetensors"


def _tensorboard(logs: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    return TensorBoardCallback(SummaryWriter(str(logs)))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """
    Silence the progress bars and logs of datasets, transformers and TRL inside the block.

    Those of their warnings that matter here are checked before training, as errors.
    """
    import datasets
    from transformers.utils import logging

    bars = datasets.are_progress_bars_disabled(), not logging.is_progress_bar_enabled()
    verbosity = logging.get_verbosity()
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            # TRL and PEFT still read it under the old name; it is never turned on here.
            warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if not bars[0]:
            datasets.enable_progress_bars()
        if not bars[1]:
            logging.enable_progress_bar()
