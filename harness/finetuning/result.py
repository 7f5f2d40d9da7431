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

TRAINING = "training.json"
"""Written last: its presence means that the folder is complete."""

WORK = ".training"
"""Where a running fine-tune keeps its checkpoints, inside its folder; removed once it is done."""


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
        return Finetuned(
            folder=folder,
            digest=document["digest"],
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
