"""
Counts of what is in a suite: the value behind `harness suite list` and `harness suite show`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from harness.suites.outcome import KEYS
from harness.suites.suite import Abstention, Calls, Case, Expectation, Suite

SAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSummary:
    """
    The size and composition of a suite.
    """

    name: str
    version: str
    released: bool
    digest: str
    description: str
    cases: int
    turns: int
    groups: int
    """A case without a group counts as a group of its own."""
    by_tag: Mapping[str, int]
    by_expectation: Mapping[str, int]
    """Turns that expect calls, abstain or either."""
    by_tool: Mapping[str, int]
    """Turns that expect at least one call of each tool; 0 for tools that are never expected."""
    must_pass: int
    quarantined: int
    proposed: int
    counted: int
    """The cases that are part of metrics and gate."""
    samples: tuple[tuple[str, str, str], ...]
    """Id, prompt and what the first turn expects of a few cases, spread evenly over the suite."""


def summarize(suite: Suite) -> SuiteSummary:
    """
    Return the counts of a suite.
    """
    turns = [turn for case in suite.cases for turn in case.turns]
    by_tool = Counter({tool.name: 0 for tool in suite.tools})
    for turn in turns:
        by_tool.update(
            {
                call.tool
                for alternative in turn.expectation.alternatives
                if isinstance(alternative, Calls)
                for call in alternative.calls
            }
        )
    step = max(len(suite.cases) // SAMPLES, 1)
    grouped = {case.group for case in suite.cases if case.group is not None}
    return SuiteSummary(
        name=suite.name,
        version=suite.version,
        released=suite.released,
        digest=suite.digest,
        description=suite.description,
        cases=len(suite.cases),
        turns=len(turns),
        groups=len(grouped) + sum(case.group is None for case in suite.cases),
        by_tag=dict(sorted(Counter(tag for case in suite.cases for tag in case.tags).items())),
        by_expectation=dict(sorted(Counter(turn.expectation.expects for turn in turns).items())),
        by_tool=dict(by_tool),
        must_pass=sum(case.must_pass for case in suite.cases),
        quarantined=sum(case.quarantine is not None for case in suite.cases),
        counted=sum(case.counts for case in suite.cases),
        proposed=sum(case.proposed for case in suite.cases),
        samples=tuple(
            (case.id, case.prompt, _wanted(case)) for case in suite.cases[::step][:SAMPLES]
        ),
    )


def _wanted(case: Case) -> str:
    """
    Return what is expected of a case's first answer, and which outcomes of an executed one.
    """
    first = expected(case.turns[0].expectation)
    asked = case.outcome
    outcomes = [] if asked is None else [k for k in KEYS if getattr(asked, k) is not None]
    return ", then ".join(filter(None, [first, " and ".join(outcomes)]))


def expected(expectation: Expectation) -> str:
    """
    Return what is expected in short: ``play(title)``, ``no call``, or both joined by ``or``.
    """
    return " or ".join(
        "no call"
        if isinstance(alternative, Abstention)
        else " and ".join(f"{call.tool}({', '.join(call.arguments)})" for call in alternative.calls)
        for alternative in expectation.alternatives
    )
