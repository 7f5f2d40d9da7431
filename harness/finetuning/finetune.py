"""
One fine-tune: check what would be trained, train with TRL's SFTTrainer, save the result.
"""

import json
import math
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.checkpoints.chat_template import chat_template
from harness.checkpoints.digests import digests
from harness.checkpoints.loading import load_model, load_tokenizer
from harness.checkpoints.locate import Located, locate
from harness.checkpoints.reference import parse_reference
from harness.errors import TrainingError, UsageError, boundary
from harness.files import usual_mode
from harness.finetuning.card import training_document, write_card
from harness.finetuning.declarations import Declaration, shown_otherwise, trained_with
from harness.finetuning.encoding import Encoded, check_template, encode_rows
from harness.finetuning.evaluation import ToolCallEvaluation
from harness.finetuning.recipe import LOSS, EvaluationPlan, Recipe, recipe_digest
from harness.finetuning.result import (
    EVALUATIONS,
    TRAINING,
    WORK,
    EpochLoss,
    EpochMetrics,
    Finetuned,
    best_epoch,
    finished,
)
from harness.finetuning.rows import Row, check_leakage, rows_digest
from harness.finetuning.selection import halves, measured, select_epoch
from harness.finetuning.sft_trainer import (
    build_trainer,
    check_prepared,
    load_weights,
    quiet,
    validation_loss,
)
from harness.finetuning.split import Split
from harness.provenance import environment

PLAN = "plan.json"


def finetune(
    *,
    base: str,
    train: Sequence[Row],
    valid: Sequence[Row],
    out: Path,
    recipe: Recipe,
    heldout_prompts: Collection[str] = (),
    asked: Sequence[Declaration] = (),
    split: Split | None = None,
    resume: bool = False,
    progress: bool = True,
    tensorboard: bool = False,
    push_to_hub: str | None = None,
    evaluation: EvaluationPlan | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> Finetuned:
    """
    Train *base* on *train* and write the result to the folder *out*, which any backend loads.

    On a CPU the same arguments give the same weights, bit for bit, resumed or not. *resume*
    continues a stopped fine-tune from its last checkpoint (made after an epoch, at most once a
    minute), and returns the result of a finished one. *tensorboard* logs to ``out/runs``;
    *push_to_hub* names a private hub repository for the result. *asked* are the declarations of
    tools with which the result will be asked: *notify* is called about one that no row shows.
    *split* is how *valid* was chosen, for the record. By *evaluation*, a suite is asked while the
    model is trained, which changes no bit of it; its runs go to ``out/evaluations``.

    Raises:
        TrainingError: if a row's prompt is in *heldout_prompts*, a row would be cut, dropped or
            altered, or the loss would be on anything but the assistant's turns and their stop
            token; also if training fails.
        TemplateError: if the chat template drops tools, calls, results or system text.
        CheckpointError: if the base cannot be loaded.
        UsageError: if *out* is in use, *resume* finds a fine-tune of something else, or an epoch is
            to be chosen by what no suite is asked for.
    """
    if not train or not valid:
        raise UsageError("a fine-tune needs training rows and validation rows; one set is empty")
    if recipe.by != LOSS and evaluation is None:
        raise UsageError(f"by {recipe.by} chooses an epoch by a suite's cases: evaluate a suite")
    asked_while = () if evaluation is None else evaluation.suite.cases
    check_leakage([*train, *valid], {*heldout_prompts, *(case.prompt for case in asked_while)})
    located = locate(parse_reference(base), progress=progress, notify=notify)
    if located.adapter is not None and recipe.lora_rank is not None and not recipe.merge:
        raise UsageError(
            f"{base} is an adapter already; an adapter on it must be merged: use merge"
        )
    tokenizer = load_tokenizer(located)
    base_digests = digests(located, tokenizer)
    identity = recipe_digest(base_digests, train, valid, recipe, evaluation)
    done = _claim(out, identity, resume=resume)
    if done is not None:
        notify(f"{out} already holds this fine-tune")
        if evaluation is not None and not done.evaluated:
            notify(
                "it was trained without a suite being asked; train it into another folder for that"
            )
        if push_to_hub is not None:
            push(out, push_to_hub, notify)
        return done

    check_template(tokenizer, [*train, *valid])
    # If a template has variants, the one that renders tools is trained and kept.
    tokenizer.chat_template = chat_template(tokenizer)
    train_rows = encode_rows(tokenizer, train, recipe.max_length, notify)
    validation_rows = encode_rows(tokenizer, valid, recipe.max_length, notify)
    declared = trained_with(tokenizer, train)
    if how := shown_otherwise(declared, tokenizer, asked):
        notify(f"when the suite is asked, {how}")
    example = train_rows[0].text
    notify(f"one of {len(train_rows)} training examples, as the model sees it:\n{example}")

    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    (work / PLAN).write_text(json.dumps({"digest": identity}) + "\n", encoding="utf-8")
    asking = _asking(evaluation, recipe, out, progress=progress, notify=notify)
    split_cases = None
    if asking is not None and recipe.by != LOSS:
        split_cases = halves(asking.cases, seed=recipe.seed)
    started = time.perf_counter()
    with quiet(), boundary(TrainingError, f"training {base} failed"):
        trainer, precision, valid_before = _trained(
            located, tokenizer, train_rows, validation_rows, recipe, out,
            progress=progress, tensorboard=tensorboard, notify=notify,
            asking=asking, every=None if evaluation is None else evaluation.every,
        )  # fmt: skip
    losses = epoch_losses(trainer.state.log_history)
    runs = () if asking is None else asking.evaluations
    selected, kept = None, best_epoch(losses) if recipe.keep == "best" else losses[-1].epoch
    if split_cases is not None:
        selected = select_epoch([run.record for _, run in runs], split_cases, by=recipe.by)
        chosen, _ = runs[selected.kept]
        kept = as_epoch(chosen.epoch)
        load_weights(trainer.model, work, chosen.step)
    result = Finetuned(
        folder=out,
        digest=identity,
        valid_before=valid_before,
        split=split,
        losses=losses,
        evaluated=tuple(
            EpochMetrics(
                epoch=as_epoch(each.epoch),
                step=each.step,
                run=f"{EVALUATIONS}/{each.run}",
                metrics=measured(run.record, None if split_cases is None else split_cases.report),
            )
            for each, run in runs
        ),
        selected=selected,
        kept_epoch=kept,
        seconds=round(time.perf_counter() - started, 1),
    )
    document = training_document(
        result,
        base=base,
        base_digests=base_digests,
        data={
            "train": rows_digest(train),
            "train_rows": len(train),
            "valid": rows_digest(valid),
            "valid_rows": len(valid),
            "split": split and split.to_json(),
        },
        recipe=recipe,
        evaluation=evaluation,
        precision=precision,
        declarations=declared,
        environment=environment(Path.cwd()).to_json(),
    )
    with quiet(), boundary(TrainingError, f"the result cannot be written to {out}"):
        _save(trainer, tokenizer, located, [*train_rows, *validation_rows], recipe, work / "result")
        write_card(work / "result", result, document, example)
        _publish(work / "result", out)
    if push_to_hub is not None:
        push(out, push_to_hub, notify)
    return result


def _claim(out: Path, identity: str, *, resume: bool) -> Finetuned | None:
    """
    Check that *out* may be written to; return its result if it holds this same fine-tune, finished.
    """
    done = finished(out)
    if done is not None:
        if resume and done.digest == identity:
            return done
        raise UsageError(f"{out} holds a finished fine-tune; choose another folder or delete it")
    plan = out / WORK / PLAN
    if plan.is_file():
        # Without a checkpoint nothing is lost by starting over.
        if _last_checkpoint(plan.parent) is None:
            return None
        if not resume:
            raise UsageError(
                f"{out} holds a fine-tune that was stopped; continue it with --resume, or delete it"
            )
        with boundary(UsageError, f"{plan} cannot be read; delete {out} and train again"):
            same = json.loads(plan.read_text(encoding="utf-8"))["digest"] == identity
        if not same:
            raise UsageError(
                f"{out} holds a stopped fine-tune of another base, other rows or another recipe; "
                "resume with those, or choose another folder"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; choose another one")
    return None


def _asking(
    plan: EvaluationPlan | None,
    recipe: Recipe,
    out: Path,
    *,
    progress: bool,
    notify: Callable[[str], None],
) -> ToolCallEvaluation | None:
    """
    Return the callback that asks the suite of *plan*, its runs of an attempt that left no
    checkpoint removed.
    """
    if plan is None:
        return None
    folder = out / EVALUATIONS
    if folder.exists() and _last_checkpoint(out / WORK) is None:
        shutil.rmtree(folder)
    return ToolCallEvaluation(
        plan.suite,
        out=folder,
        limit=plan.limit,
        seed=recipe.seed,
        # The bar shows what a line would say.
        notify=(lambda _: None) if progress else notify,
    )


def _trained(
    located: Located,
    tokenizer: Any,
    train_rows: Sequence[Encoded],
    validation_rows: Sequence[Encoded],
    recipe: Recipe,
    out: Path,
    *,
    progress: bool,
    tensorboard: bool,
    notify: Callable[[str], None],
    asking: ToolCallEvaluation | None,
    every: int | None,
) -> tuple[Any, str, float]:
    import torch
    from transformers import set_seed

    cuda = torch.cuda.is_available()
    half = cuda and torch.cuda.is_bf16_supported()
    # Before the model: a LoRA adapter begins with random numbers.
    set_seed(recipe.seed)
    # In float32 even if the arithmetic is bf16: bf16 weights would lose steps of this size.
    model = load_model(located, dtype="float32", device="cuda" if cuda else "cpu")
    trainer = build_trainer(
        model, tokenizer, train_rows, validation_rows, recipe, out / WORK,
        bf16=half, progress=progress, logs=out / "runs" if tensorboard else None, notify=notify,
        evaluation=asking, every=every,
    )  # fmt: skip
    if asking is not None:
        # What will end the result's answers ends those that are evaluated.
        _set_stops(trainer, tokenizer, [*train_rows, *validation_rows])
    check_prepared(trainer, tokenizer, train_rows, validation_rows)
    # Before a checkpoint is loaded, so that a resumed fine-tune knows it too.
    valid_before = validation_loss(trainer)
    notify(f"validation loss before training: {valid_before:.4f}")
    checkpoint = _last_checkpoint(out / WORK)
    if checkpoint is not None:
        notify(f"continuing after {checkpoint.name}")
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    precision = "float32 weights, bfloat16 arithmetic" if half else "float32"
    return trainer, precision, valid_before


def _last_checkpoint(work: Path) -> Path | None:
    # The trainer writes the state last; a checkpoint without it is incomplete.
    whole = [path.parent for path in work.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def epoch_losses(history: Sequence[Mapping[str, Any]]) -> tuple[EpochLoss, ...]:
    """
    Return each epoch's mean training loss and its validation loss, from a trainer's log.

    Raises:
        TrainingError: if a loss is not a finite number: training has diverged.
    """
    losses: list[EpochLoss] = []
    steps: list[float] = []
    for entry in history:
        if "loss" in entry:
            steps.append(float(entry["loss"]))
        elif "eval_loss" in entry:
            losses.append(
                EpochLoss(
                    epoch=as_epoch(entry["epoch"]),
                    train=sum(steps) / len(steps),
                    valid=float(entry["eval_loss"]),
                )
            )
            steps = []
    for loss in losses:
        if not (math.isfinite(loss.train) and math.isfinite(loss.valid)):
            raise TrainingError(
                f"training diverged: the loss is not finite in epoch {loss.epoch}; lower the "
                "learning rate, or look for a row that is unlike the others"
            )
    return tuple(losses)


def as_epoch(epoch: float) -> float:
    """
    Return a trainer's epoch: a whole number where it is one but for rounding, else to a hundredth.
    """
    return round(epoch) if abs(epoch - round(epoch)) < 1e-6 else round(epoch, 2)


def _save(
    trainer: Any,
    tokenizer: Any,
    located: Located,
    rows: Sequence[Encoded],
    recipe: Recipe,
    folder: Path,
) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if recipe.merge:
        model = model.merge_and_unload()
    own = _own(model)
    own.generation_config = _generation_config(own, tokenizer, rows)
    if own is not model:
        name, revision = adapter_base(located)
        for config in model.peft_config.values():
            config.base_model_name_or_path, config.revision = name, revision
        # For users who load the folder with PEFT themselves: which tokens end a turn.
        own.generation_config.save_pretrained(folder)
        model.save_pretrained(folder, save_embedding_layers=False)
    else:
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _own(model: Any) -> Any:
    """
    Return the model itself, without the adapter that is being trained.
    """
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _set_stops(trainer: Any, tokenizer: Any, rows: Sequence[Encoded]) -> None:
    own = _own(trainer.accelerator.unwrap_model(trainer.model))
    own.generation_config = _generation_config(own, tokenizer, rows)


def _generation_config(model: Any, tokenizer: Any, rows: Sequence[Encoded]) -> Any:
    """
    Return the model's generation settings, with every token that ends a turn as a stop token.
    """
    config = model.generation_config
    known = config.eos_token_id
    stops = [] if known is None else [known] if isinstance(known, int) else list(known)
    ends = sorted({end for row in rows for end in row.ends})
    for stop in (tokenizer.eos_token_id, *ends):
        if stop is not None and stop not in stops:
            stops.append(stop)
    config.eos_token_id = stops
    return config


def adapter_base(located: Located) -> tuple[str, str | None]:
    """
    Record an adapter's base so that it can be found from anywhere: its name and hub revision.
    """
    reference = located.reference
    if reference.scheme == "hf":
        folder = Path(reference.target).expanduser()
        if folder.is_dir():
            return str(folder.resolve()), None
        name, _, revision = reference.target.partition("@")
        return name, revision or None
    if reference.scheme == "gguf":
        return str(replace(reference, target=str(Path(reference.target).resolve()))), None
    return str(reference), None


def _publish(result: Path, out: Path) -> None:
    # training.json last: its presence means that the folder is complete.
    for path in sorted(result.iterdir(), key=lambda path: path.name == TRAINING):
        if path.is_file():
            # safetensors makes files that only the owner can read.
            path.chmod(usual_mode())
        path.replace(out / path.name)
    shutil.rmtree(out / WORK)


def push(folder: Path, repository: str, notify: Callable[[str], None]) -> None:
    """
    Upload a trained folder to a private hub repository, which is created if needed.

    Raises:
        TrainingError: if it cannot be uploaded; the folder is kept.
    """
    with boundary(TrainingError, f"{folder} is done, but cannot be pushed to {repository}"):
        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=str(folder), ignore_patterns=[f"{WORK}/**"]
        )
    notify(f"pushed to https://huggingface.co/{repository}")
