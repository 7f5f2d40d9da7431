"""
The public API as its users type it. mypy reads this (``tox -e typing``); it is never run.

``assert_type`` says what a caller gets. A line with ``type: ignore`` is a wrong use that has to be
an error: mypy reports the ignore as unused once it no longer is one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, assert_type

import harness
from harness import RunOptions, ToolCalls, contains_any
from harness.errors import ExitCode
from harness.finetuning.result import Finetuned
from harness.gating.decision import Compared, Gated
from harness.gating.policy import Policy
from harness.messages import Tool, ToolCall
from harness.runs.store import StoredRun
from harness.suites.suite import Suite
from harness.workflow.project import Project


def may_the_candidate_ship(policy_file: Path) -> bool:
    shipped = harness.run("tool-routing", "hf:org/shipped")
    candidate = harness.run(
        "tool-routing", "./candidate", options=RunOptions(limit=20, batch_size=1)
    )
    policy = harness.read_policy(policy_file.read_text("utf-8"), str(policy_file))
    gated = harness.gate(shipped, candidate, policy, allow=["dtype"], recheck=False)

    assert_type(shipped, StoredRun)
    assert_type(policy, Policy)
    assert_type(harness.default_policy(), Policy)
    assert_type(gated, Gated)
    assert_type(gated.verdict.exit, ExitCode)
    return gated.verdict.verdict == "pass"


def stored_runs(project: Project, folder: Path) -> None:
    run = harness.load_run(folder)
    saved = harness.save_baseline(
        run, project.baselines, "shipped", saved="2026-11-30", reason="in production"
    )
    again = harness.score(folder / "transcripts.jsonl", "tool-routing", dialect="hermes")
    compared = harness.compare(saved, again)

    assert_type(harness.open_project(), Project)
    assert_type(saved, StoredRun)
    assert_type(compared, Compared)
    assert_type(harness.render(compared, "markdown"), str)


def suite_and_training(folder: Path) -> None:
    suite = harness.load_suite(folder)
    trained = harness.finetune(
        base="hf:org/base", out=Path("out"), suite="tool-routing", recipe=harness.Recipe(epochs=1)
    )

    assert_type(suite, Suite)
    assert_type([case.id for case in suite.cases], list[str])
    assert_type(trained, Finetuned)
    assert_type(trained.folder, Path)


def get_weather(city: str, days: int = 1) -> str:
    """
    Look up the weather.

    Args:
        city: where
        days: how many days ahead
    """
    return f"{city}, {days}"


def tools() -> None:
    assert_type(harness.tools_from_functions([get_weather]), tuple[Tool, ...])


def test_as_users_write_it(tool_calls: Callable[..., ToolCalls]) -> None:
    answer = tool_calls("How many vacation days do I have left?", suite="tool-routing")

    answer.assert_only("search_knowledge_base", query=contains_any("vacation", "leave"))
    answer.assert_called("search_knowledge_base", limit=harness.optional(harness.close_to(5, 1)))
    answer.assert_not_called("search_google")
    answer.assert_none(text=harness.contains_all("sorry"))
    answer.assert_no_second_call()
    assert_type(answer.calls, tuple[ToolCall, ...])
    assert_type(answer.text, str)
    assert_type(harness.same_moment_as("2026-11-30"), dict[str, Any])
    assert_type(harness.equals_ignoring_case("Lyon"), dict[str, Any])
    assert_type(harness.absent(), dict[str, Any])


def wrong_uses(run: StoredRun, folder: Path) -> None:
    harness.run("tool-routing")  # type: ignore[call-arg]
    harness.run("tool-routing", 7)  # type: ignore[arg-type]
    harness.run("tool-routing", "hf:org/name", RunOptions())  # type: ignore[arg-type, call-arg]
    harness.gate(run, run, "gate.toml")  # type: ignore[arg-type]
    harness.compare(folder, run)  # type: ignore[arg-type]
    harness.load_suite("tool-routing")  # type: ignore[arg-type]
    harness.finetune(out=folder)  # type: ignore[call-arg]
    harness.contains_any(3)  # type: ignore[arg-type]
    harness.close_to(5)  # type: ignore[call-arg]
    harness.close_to("5", 1)  # type: ignore[arg-type]
    print(harness.no_such_name)  # type: ignore[attr-defined]
    RunOptions(dytpe="float32")  # type: ignore[call-arg]
    RunOptions().limit = 3  # type: ignore[misc]
    word: Literal["pass"] = harness.gate(run, run).verdict.verdict  # type: ignore[assignment]
    print(word)
