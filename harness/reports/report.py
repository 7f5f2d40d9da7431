"""
What a report says, whatever its form: the runs, their comparison and verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.comparison.compare import Comparison
from harness.comparison.divergence import Divergences
from harness.comparison.stack import StackCost
from harness.finetuning.result import Finetuned
from harness.gating.ranking import Ranking
from harness.gating.release import Release
from harness.gating.verdict import Verdict
from harness.runs.record import RunRecord
from harness.transcript import Key, ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    One turn, as in the suite.
    """

    role: str
    """Who spoke last before the answer: ``user``, or ``tool`` for a tool's result."""
    text: str
    """What they said."""
    expected: Mapping[str, Any]
    """The expectation, as in the suite (docs/suites.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """
    One run with the evidence that is not in its record.
    """

    name: str
    """The name people use: a baseline's name, a run's folder."""
    record: RunRecord
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Case id -> what the user said."""
    answers: Mapping[Key, str] = field(default_factory=dict)
    """The raw text of the answers. Where one is missing, its calls are shown."""
    said: Mapping[Key, str] = field(default_factory=dict)
    """The text of the answers as it was read, without calls, thinking and special tokens; of
    executed cases."""
    errors: Mapping[Key, str] = field(default_factory=dict)
    """What broke, for answers that could not be made."""
    turns: Mapping[str, tuple[Asked, ...]] = field(default_factory=dict)
    """Case id -> what each of its turns asked and expected."""
    results: Mapping[Key, tuple[ToolResult, ...]] = field(default_factory=dict)
    """What the calls of each answer returned, of executed cases."""
    relevant: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Case id -> the documents that answer it, with their grades; of executed cases."""
    training: Finetuned | None = None
    """How the checkpoint was trained, if that is known and its weights are unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    Everything a renderer may show.

    One run; two runs, old and new, with their comparison and perhaps a verdict; any number of runs
    side by side; or the new runs of several suites with one verdict.
    """

    title: str
    runs: tuple[RunView, ...]
    comparison: Comparison | None = None
    verdict: Verdict | None = None
    ranking: Ranking | None = None
    """Of the runs, which are in its order."""
    divergences: Divergences | None = None
    """Where the two runs answered otherwise, if that was looked for."""
    stack: StackCost | None = None
    """What a serving stack costs: the old run is raw, the new one through chat."""
    release: Release | None = None
    """The one verdict on several suites, of which the runs are the new ones."""
    parts: tuple["Report", ...] = ()
    """The report on each suite of the release, in the order of its suites."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("a report shows at least one run")
        if self.comparison is not None and len(self.runs) != 2:
            raise ValueError(f"a comparison is of two runs, not {len(self.runs)}")
        if self.verdict is not None and self.comparison is None:
            raise ValueError("a verdict belongs to a comparison")
        if self.stack is not None and self.comparison is None:
            raise ValueError("what a stack costs belongs to a comparison")
        if (self.release is None) != (not self.parts):
            raise ValueError("a release has the reports on its suites")
        if self.ranking is not None and len(self.ranking.places) != len(self.runs):
            raise ValueError("a ranking has a place for each run")

    @property
    def old(self) -> RunView:
        """
        The first run: the one that the other is compared with.
        """
        return self.runs[0]

    @property
    def new(self) -> RunView:
        """
        The last run: the new one.
        """
        return self.runs[-1]
