"""
Fine-tuning: chat rows in, a trained checkpoint out that any backend loads.
"""

from harness.finetune.recipe import Recipe, recipe_digest
from harness.finetune.result import EpochLoss, Finetuned, discard, finished
from harness.finetune.rows import Row, read_rows, rows_digest, tools_from_functions
from harness.finetune.training import finetune

__all__ = [
    "EpochLoss",
    "Finetuned",
    "Recipe",
    "Row",
    "discard",
    "finetune",
    "finished",
    "read_rows",
    "recipe_digest",
    "rows_digest",
    "tools_from_functions",
]
