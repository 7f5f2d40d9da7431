"""
The result of a fine-tune, and how it is stored beside the weights.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import StoreError, boundary
from harness.finetuning.split import Split

TRAINING = "training.json"
"""Written last: its presence means that the folder is complete."""

WORK = ".training"
"""Where a running fine-tune keeps its checkpoints, inside its folder; removed once it is done."""

MATERIAL = 0.25
"""The validation loss that a result may have at most, as a share of its base's, to count as one
that has learned. docs/finetune.md says what was measured on both sides of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochLoss:
    """
    How one epoch went.
    """

    epoch: int
    """From 1."""
    train: float
    """Mean over the epoch's steps, while the weights changed."""
    valid: float
    """Of the weights at the end of the epoch, on the validation rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuned:
    """
    A trained checkpoint.
    """

    folder: Path
    digest: str
    """Of base, rows and recipe: the value of `recipe_digest`."""
    valid_before: float | None = None
    """Validation loss of the base; None if it was trained before this was measured."""
    split: Split | None = None
    """How the validation rows were chosen, if none were given."""
    losses: tuple[EpochLoss, ...]
    kept_epoch: int
    """The epoch whose weights the folder holds."""
    seconds: float
    """Spent training; for a resumed fine-tune, since it was resumed."""

    @property
    def best_epoch(self) -> int:
        """
        The epoch of the lowest validation loss, the first of equal ones.
        """
        return best_epoch(self.losses)

    @property
    def warning(self) -> str | None:
        """
        What to say if training ended where it began: if the validation loss of the result is more
        than `MATERIAL` of the base's. None if it fell further, or is not known.
        """
        if self.valid_before is None:
            return None
        kept = self.losses[self.kept_epoch - 1].valid
        most = MATERIAL * self.valid_before
        if kept <= most:
            return None
        said = (
            f"validation loss went from {self.valid_before:.4f} to {kept:.4f} and not to a "
            "quarter: little was learned"
        )
        if self.losses[self.best_epoch - 1].valid <= most:
            return f"{said} that lasted; keep the best epoch ({self.best_epoch}) with --keep best"
        return f"{said}; raise --learning-rate or --epochs, or look at the rows"


def best_epoch(losses: Sequence[EpochLoss]) -> int:
    """
    Return the epoch of the lowest validation loss, the first of equal ones.
    """
    return min(losses, key=lambda loss: loss.valid).epoch


def finished(folder: Path) -> Finetuned | None:
    """
    Return the fine-tune in *folder*, or None if there is no finished one.

    Raises:
        StoreError: if its training.json cannot be read.
    """
    file = folder / TRAINING
    if not file.is_file():
        return None
    with boundary(StoreError, f"{file} cannot be read; delete the folder and train again"):
        document: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        split = document.get("data", {}).get("split")
        return Finetuned(
            folder=folder,
            digest=document["digest"],
            valid_before=document.get("valid_before"),
            split=split and Split.from_json(split),
            losses=tuple(EpochLoss(**loss) for loss in document["losses"]),
            kept_epoch=document["kept_epoch"],
            seconds=document["seconds"],
        )


def discard(folder: Path) -> None:
    """
    Remove the fine-tune in *folder*, finished or stopped.

    Raises:
        StoreError: if *folder* holds something else.
    """
    if not folder.exists():
        return
    if not (folder / TRAINING).is_file() and not (folder / WORK).is_dir():
        raise StoreError(f"{folder} holds no fine-tune; choose another folder")
    shutil.rmtree(folder)
