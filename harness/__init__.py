"""
Regression testing of tool-calling language models.

One question: may this checkpoint replace the one we ship? ::

    import harness

    project = harness.open_project()
    base = harness.run(project, "tool-routing", "hf:org/shipped", today=date.today())
    candidate = harness.run(project, "tool-routing", "hf:org/candidate", today=date.today())
    gated = harness.gate_runs(base, candidate, harness.default_policy(), today=date.today())
    print(gated.verdict.verdict, gated.verdict.reasons)

Names are loaded on first use, so that ``import harness`` costs next to nothing.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Recipe": "harness.finetune",
    "RunOptions": "harness.workflow",
    "ToolCalls": "harness.assertions",
    "absent": "harness.constraints",
    "close_to": "harness.constraints",
    "compare": "harness.workflow:compare_runs",
    "contains_all": "harness.constraints",
    "contains_any": "harness.constraints",
    "default_policy": "harness.policy",
    "equals_ignoring_case": "harness.constraints",
    "finetune": "harness.finetune",
    "gate": "harness.workflow:gate_run",
    "gate_runs": "harness.workflow",
    "load_run": "harness.store",
    "load_suite": "harness.suite_files",
    "open_project": "harness.project",
    "optional": "harness.constraints",
    "read_policy": "harness.policy",
    "run": "harness.workflow",
    "same_moment_as": "harness.constraints",
    "save_baseline": "harness.store",
    "score": "harness.rescoring",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    return getattr(import_module(module), attribute or name)


def __dir__() -> list[str]:
    return __all__
