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
    "Recipe": "harness.finetune.recipe",
    "RunOptions": "harness.workflow",
    "ToolCalls": "harness.assertions",
    "absent": "harness.constraints",
    "close_to": "harness.constraints",
    "compare": "harness.workflow:compare_runs",
    "contains_all": "harness.constraints",
    "contains_any": "harness.constraints",
    "default_policy": "harness.policy",
    "equals_ignoring_case": "harness.constraints",
    "finetune": "harness.workflow",
    "gate": "harness.workflow:gate_runs",
    "load_run": "harness.store",
    "load_suite": "harness.suite_files",
    "open_project": "harness.project",
    "optional": "harness.constraints",
    "read_policy": "harness.policy",
    "run": "harness.workflow",
    "same_moment_as": "harness.constraints",
    "save_baseline": "harness.store",
    "score": "harness.rescoring",
    "tools_from_functions": "harness.finetune.rows",
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
