"""
Chat rows for training, made of an executed suite's training cases: ``harness suite rows``.

Each case is played by the oracle (`harness.scoring.agents`), and what was said becomes a row: the
question, the calls, what they returned, the answer. A training case that asks nearly what a case of
the suite asks is a leak: training on it would teach the test.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.documents import read_document
from harness.environments.opening import open_environment
from harness.errors import SuiteError, UsageError
from harness.files import write_text
from harness.messages import to_chat
from harness.scoring.agents import play_reference
from harness.suites.files import load_suite
from harness.suites.lint.similarity import near
from harness.suites.parse import parse_suite
from harness.suites.suite import Suite
from harness.workflow.project import Project

NEAR = 0.5
"""From which similarity on a training case asks what a case of the suite asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """
    What was made.
    """

    rows: tuple[Mapping[str, Any], ...]
    left_out: Mapping[str, str]
    """The id of each training case that made no row, and why."""
    leaks: Mapping[str, str]
    """The id of each training case that asks nearly what a case of the suite asks, and that."""


def make_rows(
    suite: str,
    cases: Path,
    *,
    project: Project,
    out: Path | None = None,
    environment: str | None = None,
) -> Rows:
    """
    Return the rows of the training cases in a file, and write them to *out*. Leaks make no row.

    Raises:
        SuiteError: if the suite or the cases cannot be read.
        UsageError: if the suite is not executed, or runs code that *environment* does not name.
    """
    whole = load_suite(project.suite(suite))
    world = open_environment(whole, environment)
    if world is None:
        raise UsageError(f"suite {whole.name} is not executed: it names no environment")
    source = read_document(cases)
    if source.problems:
        raise SuiteError(str(source.problems[0]))
    training = parse_suite({**whole.document, "cases": source.value}, str(cases))
    leaks = _leaks(training, whole)
    rows, left_out = [], {}
    for case in training.cases:
        if case.id in leaks:
            continue
        played, result = play_reference(training, case, world)
        if played is None or result is None or result.status != "correct":
            wrong = [f"{each.code}: {each.detail}" for each in (result.findings if result else ())]
            left_out[case.id] = "; ".join(wrong) or "nothing could be played"
            continue
        messages = [m for m in played.messages if m.role not in ("system", "developer")]
        rows.append({"id": case.id, "messages": to_chat(messages), "tags": list(case.tags)})
    if out is not None:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(out, text)
    return Rows(rows=tuple(rows), left_out=left_out, leaks=leaks)


def _leaks(training: Suite, suite: Suite) -> dict[str, str]:
    """
    Return the training cases that ask nearly what a case of *suite* asks, and which that is.
    """
    prompts = [case.prompt for case in training.cases]
    others = [case.prompt for case in suite.cases]
    return {
        training.cases[each.position].id: suite.cases[each.other].id
        for each in near(prompts, others, threshold=NEAR)
    }
