"""
Fine-tuning: chat rows in, a trained checkpoint out that any backend loads.
"""

from harness.finetuning.declarations import Declaration
from harness.finetuning.evaluation import ToolCallEvaluation
from harness.finetuning.finetune import finetune
from harness.finetuning.recipe import LOSS, EvaluationPlan, Recipe, recipe_digest
from harness.finetuning.result import EpochLoss, EpochMetrics, Finetuned, discard, finished
from harness.finetuning.rows import Row, read_rows, rows_digest
from harness.finetuning.sft_trainer import check_installed
from harness.finetuning.split import Split, split_off
from harness.messages import tools_from_functions

__all__ = [
    "LOSS",
    "Declaration",
    "EpochLoss",
    "EpochMetrics",
    "EvaluationPlan",
    "Finetuned",
    "Recipe",
    "Row",
    "Split",
    "ToolCallEvaluation",
    "check_installed",
    "discard",
    "finetune",
    "finished",
    "read_rows",
    "recipe_digest",
    "rows_digest",
    "split_off",
    "tools_from_functions",
]
