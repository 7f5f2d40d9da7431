"""
What agents without a model make of an executed suite, and documents that nobody marked: a part of
``harness suite check``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from harness.constraints.text import fold
from harness.environments.base import Environment
from harness.environments.opening import open_environment
from harness.scoring.agents import AGENTS, judge_answers, play_reference, run_agent
from harness.scoring.reference import found_by
from harness.suites.files import read_suite
from harness.suites.lint.findings import LintCode, LintFinding
from harness.suites.suite import Case, Suite

ORACLE = "oracle"

_ALIKE = 0.3
"""From which share of common words on two sentences that hold an answer may both answer a case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """
    What was found about an executed suite by playing it.
    """

    cases: int
    passed: Mapping[str, tuple[str, ...]]
    """The ids of the cases that each agent passes (`harness.scoring.agents`)."""
    findings: tuple[LintFinding, ...]


def audit(path: Path, today: date, *, environment: str | None = None) -> Audit | None:
    """
    Play the suite in a folder with each agent; None for one that is not executed, or cannot be
    read. *environment* names the code that may be run for it.

    Raises:
        UsageError: if code would have to be run that the user did not name.
    """
    reading = read_suite(path, today=today, check_release=False)
    suite = reading.suite
    if suite is None or (world := open_environment(suite, environment)) is None:
        return None
    passed: dict[str, list[str]] = {name: [] for name in (ORACLE, *AGENTS)}
    findings = []
    for index, case in enumerate(suite.cases):
        found = [*_unreachable(suite, case, world), *_unmarked(suite, case, world)]
        for code, message in found:
            file, line = reading.places.find(("cases", index))
            message = f"case {case.id!r}: {message}"
            findings.append(LintFinding(file=file, line=line, code=code, message=message))
        if all(code != "unreachable" for code, _ in found):
            passed[ORACLE].append(case.id)
        for name, agent in AGENTS.items():
            played = run_agent(suite, case, world, agent)
            if judge_answers(suite, case, world, played.answers).status == "correct":
                passed[name].append(case.id)
    return Audit(
        cases=len(suite.cases),
        passed={name: tuple(ids) for name, ids in passed.items()},
        findings=tuple(findings),
    )


def _unreachable(suite: Suite, case: Case, world: Environment) -> Iterator[tuple[LintCode, str]]:
    _, result = play_reference(suite, case, world)
    if result is not None and result.status != "correct":
        wrong = "; ".join(f"{each.code}: {each.detail}" for each in result.findings)
        yield (
            "unreachable",
            f"its reference, played, is not right ({wrong}); say in expect which call helps, or "
            "correct what the case asks for",
        )


def _unmarked(suite: Suite, case: Case, world: Environment) -> Iterator[tuple[LintCode, str]]:
    """
    Yield documents that the prompt finds and that hold the answer in a sentence like that of a
    relevant one.
    """
    outcome = case.outcome
    if outcome is None or not outcome.relevant or outcome.answer is None:
        return
    if suite.environment is None or suite.environment.kind != "documents":
        return
    corpus = {each["id"]: each for each in suite.environment.settings["corpus"]}
    answer = outcome.answer

    def holding(document: Mapping[str, Any]) -> Iterator[frozenset[str]]:
        for sentence in re.split(r"(?<=[.!?])\s+", document["text"]):
            if answer.fault(sentence) is None:
                yield frozenset(re.findall(r"\w+", fold(sentence)))

    wanted = [
        words for name in outcome.relevant if name in corpus for words in holding(corpus[name])
    ]
    for name in found_by(suite, case, world, case.prompt):
        if name not in outcome.relevant and any(
            len(words & other) >= _ALIKE * len(words | other)
            for words in holding(corpus[name])
            for other in wanted
        ):
            yield (
                "unmarked_document",
                f"{name} holds the answer too; mark it in relevant, or make the two differ",
            )
