"""
A checkpoint trained on a suite's rows or on files.
"""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.finetuning import Declaration, Finetuned, Recipe, discard, read_rows
from harness.finetuning import finetune as train_checkpoint
from harness.provenance import date_today
from harness.suites.files import load_suite
from harness.workflow.declarations import declarations_of
from harness.workflow.project import Project, open_project


def finetune(
    *,
    base: str,
    out: Path,
    project: Project | None = None,
    suite: str | None = None,
    train: Path | None = None,
    valid: Path | None = None,
    recipe: Recipe | None = None,
    resume: bool = False,
    reuse: bool = False,
    tensorboard: bool = False,
    push_to_hub: str | None = None,
    progress: bool = False,
    notify: Callable[[str], None] = lambda _: None,
    today: date | None = None,
) -> Finetuned:
    """
    Train *base* on chat rows: a suite's ``train.jsonl`` and ``valid.jsonl``, or the files given.

    With a suite, rows without tools or system text are given the suite's, and no row may ask what
    the suite asks. With *reuse*, what is in *out* is returned if it is this very fine-tune,
    resumed if it is unfinished, and replaced if it is another.

    Raises:
        UsageError: if it is not clear what to train on.
    """
    if suite is None and (train is None or valid is None):
        raise UsageError("say what to train on: --suite SUITE, or --train FILE and --valid FILE")
    defaults: dict[str, Any] = {}
    heldout: set[str] = set()
    asked: Sequence[Declaration] = ()
    if suite is not None:
        folder = (project or open_project()).suite(suite)
        whole = load_suite(folder, today=today or date_today())
        heldout = {case.prompt for case in whole.cases}
        asked = declarations_of(whole)
        train, valid = train or folder / "train.jsonl", valid or folder / "valid.jsonl"
        defaults = {
            "tools": whole.tools,
            "system": whole.system,
            "system_role": whole.system_role,
            "declare_tools": whole.declare_tools,
        }
    assert train is not None
    assert valid is not None
    arguments: dict[str, Any] = {
        "base": base,
        "train": read_rows(train, **defaults),
        "valid": read_rows(valid, **defaults),
        "out": out,
        "recipe": recipe or Recipe(),
        "heldout_prompts": heldout,
        "asked": asked,
        "progress": progress,
        "tensorboard": tensorboard,
        "push_to_hub": push_to_hub,
        "notify": notify,
    }
    if not reuse:
        return train_checkpoint(resume=resume, **arguments)
    try:
        return train_checkpoint(resume=True, **arguments)
    except UsageError:
        # What is there is a fine-tune of something else, or nothing of ours at all.
        discard(out)
        return train_checkpoint(**arguments)
