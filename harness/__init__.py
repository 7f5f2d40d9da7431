"""
Regression testing of tool-calling language models.

One question: may this checkpoint replace the one we ship? ::

    import harness

    shipped = harness.run("tool-routing", "hf:org/shipped")
    candidate = harness.run("tool-routing", "./candidate")
    gated = harness.gate(shipped, candidate)
    print(gated.verdict.verdict, gated.verdict.reasons)

Names are loaded on first use, so that ``import harness`` costs next to nothing.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Recipe": "harness.finetuning.recipe",
    "RunOptions": "harness.workflow.options",
    "ToolCalls": "harness.pytest_plugin.assertions",
    "absent": "harness.constraints.constraint",
    "close_to": "harness.constraints.constraint",
    "compare": "harness.workflow.compare:compare_runs",
    "contains_all": "harness.constraints.constraint",
    "contains_any": "harness.constraints.constraint",
    "default_policy": "harness.gating.policy",
    "equals_ignoring_case": "harness.constraints.constraint",
    "finetune": "harness.workflow.finetune",
    "gate": "harness.workflow.gate:gate_runs",
    "load_run": "harness.runs.store",
    "load_suite": "harness.suites.files",
    "open_project": "harness.workflow.project",
    "optional": "harness.constraints.constraint",
    "read_policy": "harness.gating.policy",
    "run": "harness.workflow.run",
    "same_moment_as": "harness.constraints.constraint",
    "save_baseline": "harness.runs.baselines",
    "score": "harness.workflow.score",
    "tools_from_functions": "harness.messages",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    return getattr(import_module(module), attribute or name)


def __dir__() -> list[str]:
    return __all__
