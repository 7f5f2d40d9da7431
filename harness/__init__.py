"""
Regression testing of tool-calling language models.

One question: may this checkpoint replace the one we ship? ::

    import harness

    shipped = harness.run("tool-routing", "hf:org/shipped")
    candidate = harness.run("tool-routing", "./candidate")
    gated = harness.gate(shipped, candidate)
    print(gated.verdict.verdict, gated.verdict.reasons[0])
    print(harness.render(gated, "markdown"))

Names are loaded on first use, so that ``import harness`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.constraints.constraint import absent as absent
    from harness.constraints.constraint import close_to as close_to
    from harness.constraints.constraint import contains_all as contains_all
    from harness.constraints.constraint import contains_any as contains_any
    from harness.constraints.constraint import equals_ignoring_case as equals_ignoring_case
    from harness.constraints.constraint import optional as optional
    from harness.constraints.constraint import same_moment_as as same_moment_as
    from harness.finetuning.recipe import Recipe as Recipe
    from harness.gating.policy import default_policy as default_policy
    from harness.gating.policy import read_policy as read_policy
    from harness.gating.verdict import Override as Override
    from harness.messages import tools_from_functions as tools_from_functions
    from harness.pytest_plugin.assertions import ToolCalls as ToolCalls
    from harness.renderers.registry import render as render
    from harness.runs.store import load_run as load_run
    from harness.suites.files import load_suite as load_suite
    from harness.workflow.baseline import save_baseline as save_baseline
    from harness.workflow.compare import compare as compare
    from harness.workflow.finetune import check_training_rows as check_training_rows
    from harness.workflow.finetune import finetune as finetune
    from harness.workflow.gate import gate as gate
    from harness.workflow.gate import gate_release as gate_release
    from harness.workflow.merge import merge as merge
    from harness.workflow.options import Progress as Progress
    from harness.workflow.options import RunOptions as RunOptions
    from harness.workflow.project import open_project as open_project
    from harness.workflow.run import run as run
    from harness.workflow.score import score as score
    from harness.workflow.training_checkpoints import judge_checkpoints as judge_checkpoints

_HOME = {
    "Override": "harness.gating.verdict",
    "Progress": "harness.workflow.options",
    "Recipe": "harness.finetuning.recipe",
    "RunOptions": "harness.workflow.options",
    "ToolCalls": "harness.pytest_plugin.assertions",
    "absent": "harness.constraints.constraint",
    "check_training_rows": "harness.workflow.finetune",
    "close_to": "harness.constraints.constraint",
    "compare": "harness.workflow.compare",
    "contains_all": "harness.constraints.constraint",
    "contains_any": "harness.constraints.constraint",
    "default_policy": "harness.gating.policy",
    "equals_ignoring_case": "harness.constraints.constraint",
    "finetune": "harness.workflow.finetune",
    "gate": "harness.workflow.gate",
    "gate_release": "harness.workflow.gate",
    "judge_checkpoints": "harness.workflow.training_checkpoints",
    "load_run": "harness.runs.store",
    "load_suite": "harness.suites.files",
    "merge": "harness.workflow.merge",
    "open_project": "harness.workflow.project",
    "optional": "harness.constraints.constraint",
    "read_policy": "harness.gating.policy",
    "render": "harness.renderers.registry",
    "run": "harness.workflow.run",
    "same_moment_as": "harness.constraints.constraint",
    "save_baseline": "harness.workflow.baseline",
    "score": "harness.workflow.score",
    "tools_from_functions": "harness.messages",
}
"""Where each public name is defined. Type checkers read the imports above instead."""

__all__ = sorted(_HOME)


if not TYPE_CHECKING:  # a type checker that sees it takes any name for defined

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'harness' has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
