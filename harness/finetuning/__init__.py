"""
Fine-tuning: chat rows in, a trained checkpoint out that any backend loads.

Names are loaded on first use: who looks at what a fine-tune was trained with needs no trainer. The
function itself is `harness.finetuning.finetune.finetune`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.finetuning.declarations import Declaration as Declaration
    from harness.finetuning.evaluation import ToolCallEvaluation as ToolCallEvaluation
    from harness.finetuning.recipe import LOSS as LOSS
    from harness.finetuning.recipe import EvaluationPlan as EvaluationPlan
    from harness.finetuning.recipe import Recipe as Recipe
    from harness.finetuning.recipe import recipe_digest as recipe_digest
    from harness.finetuning.result import EpochLoss as EpochLoss
    from harness.finetuning.result import EpochMetrics as EpochMetrics
    from harness.finetuning.result import Finetuned as Finetuned
    from harness.finetuning.result import discard as discard
    from harness.finetuning.result import finished as finished
    from harness.finetuning.rows import Row as Row
    from harness.finetuning.rows import read_rows as read_rows
    from harness.finetuning.rows import rows_digest as rows_digest
    from harness.finetuning.sft_trainer import check_installed as check_installed
    from harness.finetuning.split import Split as Split
    from harness.finetuning.split import split_off as split_off
    from harness.messages import tools_from_functions as tools_from_functions

_HOME = {
    "Declaration": "harness.finetuning.declarations",
    "EpochLoss": "harness.finetuning.result",
    "EpochMetrics": "harness.finetuning.result",
    "EvaluationPlan": "harness.finetuning.recipe",
    "Finetuned": "harness.finetuning.result",
    "LOSS": "harness.finetuning.recipe",
    "Recipe": "harness.finetuning.recipe",
    "Row": "harness.finetuning.rows",
    "Split": "harness.finetuning.split",
    "ToolCallEvaluation": "harness.finetuning.evaluation",
    "check_installed": "harness.finetuning.sft_trainer",
    "discard": "harness.finetuning.result",
    "finished": "harness.finetuning.result",
    "read_rows": "harness.finetuning.rows",
    "recipe_digest": "harness.finetuning.recipe",
    "rows_digest": "harness.finetuning.rows",
    "split_off": "harness.finetuning.split",
    "tools_from_functions": "harness.messages",
}
"""Where each name is defined. Type checkers read the imports above instead."""

__all__ = sorted(_HOME)


if not TYPE_CHECKING:  # a type checker that sees it takes any name for defined

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)
