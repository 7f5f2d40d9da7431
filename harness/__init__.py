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

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_HOME = {
    "Recipe": "harness.finetuning.recipe",
    "RunOptions": "harness.workflow.run",
    "ToolCalls": "harness.pytest_plugin.assertions",
    "absent": "harness.constraints.constraint",
    "close_to": "harness.constraints.constraint",
    "compare": "harness.workflow.compare:compare_runs",
    "contains_all": "harness.constraints.constraint",
    "contains_any": "harness.constraints.constraint",
    "default_policy": "harness.gating.policy",
    "equals_ignoring_case": "harness.constraints.constraint",
    "finetune": "harness.workflow.run",
    "gate": "harness.workflow.gate:gate_runs",
    "load_run": "harness.runs.store",
    "load_suite": "harness.suites.files",
    "open_project": "harness.workflow.project",
    "optional": "harness.constraints.constraint",
    "read_policy": "harness.gating.policy",
    "run": "harness.workflow.run",
    "same_moment_as": "harness.constraints.constraint",
    "save_baseline": "harness.runs.store",
    "score": "harness.workflow.score",
    "tools_from_functions": "harness.finetuning.rows",
}

__all__ = sorted(_HOME)


class _Package(ModuleType):
    """
    A package whose functions may have the name of one of its modules.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing harness.compare would otherwise put the module where the function is.
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    return getattr(import_module(module), attribute or name)


def __dir__() -> list[str]:
    return __all__


sys.modules[__name__].__class__ = _Package
