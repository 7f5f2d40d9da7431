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
from harness.errors import UsageError
from harness.finetuning import (
    Finetuned,
    Recipe,
    check_installed,
    discard,
    finished,
    read_rows,
    recipe_digest,
    split_off,
)
from harness.finetuning import finetune as train_checkpoint
from harness.provenance import date_today
from harness.suites.files import load_suite
from harness.workflow.declarations import declarations_of
from harness.workflow.options import Progress
from harness.workflow.project import Project, open_project


def finetune(
    *,
    base: str,
    out: Path | None = None,
    cache: bool = False,
    project: Project | None = None,
    suite: str | None = None,
    train: Path | None = None,
    valid: Path | None = None,
    recipe: Recipe | None = None,
    resume: bool = False,
    reuse: bool = False,
    tensorboard: bool = False,
    push_to_hub: str | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> Finetuned:
    """
    Train *base* on chat rows: a suite's ``train.jsonl`` and ``valid.jsonl``, or the files given.

    The result is written to *out*; with *cache* to the user's cache, under the digest of base, rows
    and recipe, so that the same call trains only once. With a suite, rows without tools or system
    text are given the suite's, and no row may ask what the suite asks. With *reuse*, what is in
    *out* is returned if it is this very fine-tune, resumed if it is unfinished, and replaced if it
    is another. Without validation rows, a part of the training rows is split off, and *progress* is
    told so.

    Raises:
        UsageError: if it is not clear what to train on, or where the result goes.
        MissingDependencyError: if a package that the recipe needs is not installed.
        HarnessError: as `harness.finetuning.finetune`.
    """
    if cache == (out is not None):
        raise UsageError("say where the result goes: out=FOLDER, or cache=True")
    progress, recipe = progress or Progress(), recipe or Recipe()
    check_installed(recipe, tensorboard=tensorboard)
    arguments: dict[str, Any] = {
        "base": base,
        "recipe": recipe,
        "progress": progress.bar,
        "tensorboard": tensorboard,
        "push_to_hub": push_to_hub,
        "notify": progress.notify,
    }
    if suite is not None:
        folder = (project or open_project()).suite(suite)
        arguments |= _suite_rows(folder, train, valid, today or date_today())
    elif train is not None:
        arguments |= {"train": read_rows(train), "valid": valid and read_rows(valid)}
    else:
        raise UsageError("say what to train on: --suite SUITE, or --train FILE")
    if arguments["valid"] is None:
        kept, taken, split = split_off(arguments["train"], seed=recipe.seed)
        progress.notify(f"no validation rows given: {split}")
        arguments |= {"train": kept, "valid": taken, "split": split}
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


def _suite_rows(
    folder: Path, train: Path | None, valid: Path | None, today: date
) -> dict[str, Any]:
    """
    Return a suite's rows, or those of the files given, and what the suite will ask.
    """
    suite = load_suite(folder, today=today)
    defaults: dict[str, Any] = {
        "tools": suite.tools,
        "system": suite.system,
        "system_role": suite.system_role,
        "declare_tools": suite.declare_tools,
    }
    if valid is None and (folder / "valid.jsonl").is_file():
        valid = folder / "valid.jsonl"
    return {
        "train": read_rows(train or folder / "train.jsonl", **defaults),
        "valid": valid and read_rows(valid, **defaults),
        "heldout_prompts": {case.prompt for case in suite.cases},
        "asked": declarations_of(suite),
    }


def _train_once(arguments: Mapping[str, Any]) -> Finetuned:
    """
    Train in the user's cache, unless it holds this very fine-tune; resume what was interrupted.
    """
    base, notify = arguments["base"], arguments["notify"]
    train, valid, recipe = arguments["train"], arguments["valid"], arguments["recipe"]
    located = locate(parse_reference(base), progress=arguments["progress"], notify=notify)
    identity = recipe_digest(digests(located, load_tokenizer(located)), train, valid, recipe)
    out = cache_folder() / "finetuned" / identity.removeprefix("sha256:")
    out.parent.mkdir(parents=True, exist_ok=True)
    # One process trains; others that want the same wait for it.
    with FileLock(f"{out}.lock"):
        if finished(out) is None:
            notify(f"fine-tuning {base} on {len(train)} rows, to be kept in {out}")
        return train_checkpoint(out=out, resume=True, **arguments)
