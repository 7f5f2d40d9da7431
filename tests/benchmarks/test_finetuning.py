"""
What a fine-tune takes, and what asking a suite after each epoch adds to it.
"""

import time
from pathlib import Path

import pytest

from harness.finetuning import EvaluationPlan, Recipe, ToolCallEvaluation, read_rows
from harness.finetuning.finetune import finetune
from harness.suites.files import load_suite
from tests.benchmarks.controls import store

SUITE = Path(__file__).parents[2] / "suites" / "tool-routing"
CASES = 60
EPOCHS = 4


@pytest.mark.model
def test_training_with_a_suite_asked_after_each_epoch(benchmark, tmp_path: Path, monkeypatch):
    asking: list[float] = []
    evaluate = ToolCallEvaluation.evaluate

    def timed(self, *arguments, **options):
        began = time.perf_counter()
        found = evaluate(self, *arguments, **options)
        asking.append(time.perf_counter() - began)
        return found

    monkeypatch.setattr(ToolCallEvaluation, "evaluate", timed)
    suite = load_suite(SUITE)
    form = {"tools": suite.tools, "system": suite.system, "system_role": suite.system_role}

    result = benchmark.pedantic(
        finetune,
        kwargs={
            "base": "embedded:smollm2-135m",
            "train": read_rows(SUITE / "train.jsonl", **form),
            "valid": read_rows(SUITE / "valid.jsonl", **form),
            "out": tmp_path / "model",
            "recipe": Recipe(epochs=EPOCHS),
            "evaluation": EvaluationPlan(suite=suite, limit=CASES),
            "progress": False,
        },
        rounds=1,
    )

    rest = result.seconds - sum(asking)
    benchmark.extra_info["seconds of each evaluation"] = [round(each, 1) for each in asking]
    benchmark.extra_info["seconds of the rest"] = round(rest, 1)
    store(benchmark, **{"asking, of training": sum(asking) / rest})
    assert EPOCHS == len(asking) == len(result.evaluated)
