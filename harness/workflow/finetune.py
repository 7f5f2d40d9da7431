"""
A checkpoint trained on a suite's rows or on files.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.checkpoints.cache import cache_folder
from harness.checkpoints.digests import digests
from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import parse_reference
from harness.errors import MissingDependencyError, UsageError
from harness.finetuning import (
    EvaluationPlan,
    Finetuned,
    Recipe,
    check_installed,
    discard,
    finished,
    recipe_digest,
)
from harness.finetuning.check import CheckedRows, check_rows
from harness.finetuning.finetune import finetune as train_checkpoint
from harness.provenance import date_today
from harness.suites.files import load_suite
from harness.workflow.options import Progress
from harness.workflow.project import Project, open_project
from harness.workflow.training_data import training_data


def finetune(
    *,
    base: str,
    out: Path | None = None,
    cache: bool = False,
    project: Project | None = None,
    suite: str | None = None,
    train: Path | str | None = None,
    valid: Path | str | None = None,
    valid_share: float | None = None,
    rows: int | None = None,
    recipe: Recipe | None = None,
    resume: bool = False,
    reuse: bool = False,
    tensorboard: bool | None = None,
    push_to_hub: str | None = None,
    evaluate: str | None = None,
    every: int | None = None,
    evaluate_limit: int | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> Finetuned:
    """
    Train *base* on chat rows: a suite's ``train.jsonl`` and ``valid.jsonl``, or the files given.

    The result is written to *out*; with *cache* to the user's cache, under the digest of base, rows
    and recipe, so that the same call trains only once. With a suite, rows without tools or system
    text are given the suite's, and no row may ask what the suite asks. All training rows are
    learned, or so many as *rows* says, drawn by the recipe's seed, of each tool its share. With
    *reuse*, what is in *out* is returned if it is this very fine-tune, resumed if it is unfinished,
    and replaced if it is another. Without validation rows, a part of the training rows is split
    off, and *progress* is told so.

    *evaluate* names a suite that is asked while the model is trained, after each epoch or *every*
    so many steps; *evaluate_limit* asks a sample of its cases. Logs for TensorBoard are written
    where it is installed, unless *tensorboard* says otherwise.

    Raises:
        UsageError: if it is not clear what to train on, or where the result goes.
        MissingDependencyError: if a package that the recipe needs is not installed.
        HarnessError: as `harness.finetuning.finetune.finetune`.
    """
    if cache == (out is not None):
        raise UsageError("say where the result goes: out=FOLDER, or cache=True")
    progress, recipe = progress or Progress(), recipe or Recipe()
    if evaluate is None and (every, evaluate_limit) != (None, None):
        raise UsageError("every and a limit are of a suite that is asked while training: evaluate")
    project = project or open_project()
    tensorboard = _tensorboard(tensorboard, recipe, progress)
    plan = None
    if evaluate is not None:
        suite_asked = load_suite(project.suite(evaluate), today=today or date_today())
        plan = EvaluationPlan(suite=suite_asked, every=every, limit=evaluate_limit)
    arguments: dict[str, Any] = {
        "base": base,
        "recipe": recipe,
        "progress": progress.bar,
        "tensorboard": tensorboard,
        "push_to_hub": push_to_hub,
        "evaluation": plan,
        "notify": progress.notify,
    }
    data = training_data(
        project=project,
        suite=suite,
        train=train,
        valid=valid,
        valid_share=valid_share,
        seed=recipe.seed,
        today=today,
        notify=progress.notify,
    ).limited(rows, recipe.seed)
    arguments |= {
        "train": data.train,
        "valid": data.valid,
        "split": data.split,
        "heldout_prompts": data.heldout_prompts,
        "asked": data.asked,
    }
    if out is None:
        return _train_once(arguments)
    if not reuse:
        return train_checkpoint(out=out, resume=resume, **arguments)
    try:
        return train_checkpoint(out=out, resume=True, **arguments)
    except UsageError:
        # What is there is a fine-tune of something else, or nothing of ours at all.
        discard(out)
        return train_checkpoint(out=out, **arguments)


def check_training_rows(
    *,
    base: str,
    project: Project | None = None,
    suite: str | None = None,
    train: Path | str | None = None,
    valid: Path | str | None = None,
    valid_share: float | None = None,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> CheckedRows:
    """
    Return what `finetune` would train *base* on, and all that is wrong with it; train nothing.

    Raises:
        UsageError: if it is not clear what to train on.
        HarnessError: if a suite, file or base cannot be read.
    """
    progress, recipe = progress or Progress(), recipe or Recipe()
    data = training_data(
        project=project, suite=suite, train=train, valid=valid, seed=recipe.seed, today=today
    )
    located = locate(parse_reference(base), progress=progress.bar, notify=progress.notify)
    return check_rows(
        load_tokenizer(located),
        train=data.train,
        valid=data.valid,
        recipe=recipe,
        heldout_prompts=data.heldout_prompts,
        asked=data.asked,
        expected=data.expected,
        split=data.split,
    )


def _tensorboard(wanted: bool | None, recipe: Recipe, progress: Progress) -> bool:
    """
    Return whether to log for TensorBoard: as it is *wanted*, else where it is installed.

    Raises:
        MissingDependencyError: if a package that is wanted is not installed.
    """
    check_installed(recipe, tensorboard=bool(wanted))
    if wanted is not None:
        return wanted
    try:
        check_installed(recipe, tensorboard=True)
    except MissingDependencyError as exc:
        progress.notify(f"no log for TensorBoard: {exc}")
        return False
    return True


def _train_once(arguments: Mapping[str, Any]) -> Finetuned:
    """
    Train in the user's cache, unless it holds this very fine-tune; resume what was interrupted.
    """
    base, notify = arguments["base"], arguments["notify"]
    train, valid, recipe = arguments["train"], arguments["valid"], arguments["recipe"]
    located = locate(parse_reference(base), progress=arguments["progress"], notify=notify)
    made_of = digests(located, load_tokenizer(located))
    identity = recipe_digest(made_of, train, valid, recipe, arguments["evaluation"])
    out = cache_folder() / "finetuned" / identity.removeprefix("sha256:")
    out.parent.mkdir(parents=True, exist_ok=True)
    # One process trains; others that want the same wait for it.
    with FileLock(f"{out}.lock"):
        if finished(out) is None:
            notify(f"fine-tuning {base} on {len(train)} rows, to be kept in {out}")
        return train_checkpoint(out=out, resume=True, **arguments)
