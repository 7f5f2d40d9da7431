"""
The result of a fine-tune, and how it is stored beside the weights.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from harness.errors import StoreError, boundary
from harness.finetuning.selection import Selected
from harness.finetuning.split import Split
from harness.runs.record import MetricValue

TRAINING = "training.json"
"""Written last: its presence means that the folder is complete."""

WORK = ".training"
"""Where a running fine-tune keeps its checkpoints, inside its folder; removed once it is done."""

EVALUATIONS = "evaluations"
"""Where the runs of a suite that was asked while training are, inside the folder."""

MATERIAL = 0.25
"""The validation loss that a result may have at most, as a share of its base's, to count as one
that has learned. docs/finetune.md says what was measured on both sides of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochLoss:
    """
    How one epoch went.
    """

    epoch: float
    """From 1; a part of one where losses are taken every so many steps."""
    train: float
    """Mean over the steps since the loss before, while the weights changed."""
    valid: float
    """Of the weights at that moment, on the validation rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochMetrics:
    """
    What the suite measured of the weights of one epoch.
    """

    epoch: float
    step: int
    run: str
    """The run's folder, in the folder of the fine-tune."""
    metrics: Mapping[str, MetricValue]
    """Of the cases that chose no epoch: of all, unless one was chosen by them."""

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """
        Read them as training.json has them.
        """
        metrics = {name: MetricValue(**value) for name, value in stored["metrics"].items()}
        return cls(epoch=stored["epoch"], step=stored["step"], run=stored["run"], metrics=metrics)


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
    evaluated: tuple[EpochMetrics, ...] = ()
    """What a suite measured while it was trained, if one was asked."""
    selected: Selected | None = None
    """How the epoch was chosen, if by that."""
    kept_epoch: float
    """The epoch whose weights the folder holds."""
    seconds: float
    """Spent training; for a resumed fine-tune, since it was resumed."""

    @property
    def best_epoch(self) -> float:
        """
        The epoch of the lowest validation loss, the first of equal ones.
        """
        return best_epoch(self.losses)

    def valid_at(self, epoch: float) -> float:
        """
        Return the validation loss of an epoch.
        """
        return next(loss.valid for loss in self.losses if loss.epoch == epoch)

    @property
    def warning(self) -> str | None:
        """
        What to say if training ended where it began: if the validation loss of the result is more
        than `MATERIAL` of the base's. None if it fell further, or is not known.
        """
        if self.valid_before is None:
            return None
        kept = self.valid_at(self.kept_epoch)
        most = MATERIAL * self.valid_before
        if kept <= most:
            return None
        said = (
            f"validation loss went from {self.valid_before:.4f} to {kept:.4f} and not to a "
            "quarter: little was learned"
        )
        if self.valid_at(self.best_epoch) <= most:
            best = f"{self.best_epoch:g}"
            return f"{said} that lasted; keep the best epoch ({best}) with --keep best"
        return f"{said}; raise --learning-rate or --epochs, or look at the rows"


def best_epoch(losses: Sequence[EpochLoss]) -> float:
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
        chosen = document.get("selected")
        return Finetuned(
            folder=folder,
            digest=document["digest"],
            valid_before=document.get("valid_before"),
            split=split and Split.from_json(split),
            losses=tuple(EpochLoss(**loss) for loss in document["losses"]),
            evaluated=tuple(map(EpochMetrics.from_json, document.get("evaluated", ()))),
            selected=chosen and Selected.from_json(chosen),
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
