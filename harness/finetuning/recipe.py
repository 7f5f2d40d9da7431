"""
How a model is trained, as a value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from harness.canonical import digest
from harness.errors import UsageError
from harness.finetuning.rows import Row, rows_digest
from harness.scoring.metrics import RATES
from harness.suites.suite import Suite
from harness.wording import suggest

Keep = Literal["best", "last"]

STEPS = 1
"""Incremented whenever the same base, rows and recipe would give other weights than before."""

LEARNING_RATE = 5e-5
"""Of all weights, by default."""

LORA_RANK = 16
"""Of an adapter, where none is given."""

LOSS = "loss"
"""What an epoch is chosen by, unless a metric is named."""

LORA_LEARNING_RATE = 1e-3
"""Of an adapter, by default: one of its matrices begins at zero, and both need larger steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """
    What decides the trained weights, besides base and rows.

    The defaults are those of Google's guide "Fine-tuning with FunctionGemma": they suit a few dozen
    rows and a model of a few hundred million parameters. docs/finetune.md has the reasons, and what
    was measured.
    """

    epochs: int = 8
    batch_size: int = 4
    learning_rate: float | None = None
    """Constant, without warm-up. None is replaced by `LEARNING_RATE`, or for an adapter by
    `LORA_LEARNING_RATE`."""
    max_length: int = 512
    """In tokens. A longer row is refused, never cut."""
    seed: int = 42
    """Of the order of the rows, of dropout, and of validation rows that are split off."""
    keep: Keep = "last"
    """Which epoch's weights are the result: the last one's, or the best one's."""
    by: str = LOSS
    """By what an epoch is the best: the validation loss, or a rate of the suite that is asked while
    training (`harness.finetuning.selection`)."""
    lora_rank: int | None = None
    """Train a LoRA adapter of this rank on all linear layers; None trains all weights."""
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    merge: bool = False
    """Save the LoRA adapter merged into its base, as full weights."""

    def __post_init__(self) -> None:
        if self.learning_rate is None:
            usual = LEARNING_RATE if self.lora_rank is None else LORA_LEARNING_RATE
            object.__setattr__(self, "learning_rate", usual)
        for name in ("epochs", "batch_size", "learning_rate", "max_length"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be more than 0")
        if self.keep not in get_args(Keep):
            raise UsageError(f"keep is {self.keep!r}; choose from {', '.join(get_args(Keep))}")
        if self.by != LOSS and self.by not in RATES:
            raise UsageError(f"by is {self.by!r}{suggest(self.by, [LOSS, *RATES])}")
        if self.by != LOSS and self.keep != "best":
            raise UsageError(f"by {self.by} says which epoch is the best: it needs keep best")
        if self.lora_rank is not None and self.lora_rank < 1:
            raise UsageError(f"lora_rank is {self.lora_rank}; it must be 1 or more")
        if self.merge and self.lora_rank is None:
            raise UsageError("merge needs lora_rank: without an adapter there is nothing to merge")

    def to_json(self) -> dict[str, Any]:
        """
        Return the recipe as it is stored in training.json and the card.
        """
        stored = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.by == LOSS:
            # As it was before there was a choice.
            del stored["by"]
        return stored


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """
    What is asked while a model is trained, and how often.
    """

    suite: Suite
    every: int | None = None
    """In steps; None: after each epoch."""
    limit: int | None = None
    """How many cases are asked: a sample that is drawn from each slice alike. None: all."""

    def __post_init__(self) -> None:
        for name in ("every", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; it must be 1 or more")

    def to_json(self) -> dict[str, Any]:
        """
        Return the plan as it is stored in training.json.
        """
        return {"suite": self.suite.digest, "every": self.every, "limit": self.limit}


def recipe_digest(
    base: Mapping[str, str | None],
    train: Sequence[Row],
    valid: Sequence[Row],
    recipe: Recipe,
    evaluation: EvaluationPlan | None = None,
) -> str:
    """
    Return the digest of all that a fine-tune is made from: the base's digests, rows and recipe, and
    the suite where what it measures chooses the epoch.
    """
    made_from = {
        "steps": STEPS,
        "base": dict(base),
        "train": rows_digest(train),
        "valid": rows_digest(valid),
        "recipe": recipe.to_json(),
    }
    if evaluation is not None and recipe.by != LOSS:
        made_from["evaluation"] = evaluation.to_json()
    elif evaluation is not None and evaluation.every is not None and recipe.keep == "best":
        made_from["every"] = evaluation.every
    return digest(made_from)
