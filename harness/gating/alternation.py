"""
Two checkpoints timed in alternation: the paired times, and the verdict of a policy on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import geometric_mean, median
from typing import Any, Literal

from harness.canonical import canonical_json
from harness.comparison.paired import PairedValues
from harness.gating.policy import Policy
from harness.gating.times import judge_alternated
from harness.gating.verdict import MetricVerdict
from harness.runs.record import SuiteReference
from harness.scoring.metrics import PERCENTILES, Percentile
from harness.wording import count

SHORTEST_MS, LONGEST_MS = 1e-9, 1e15
"""No answer is timed beyond these: sums and ratios of such times would not be finite."""

Side = Literal["old", "new"]

TIMES: Mapping[str, Percentile] = {
    name: each
    for name, each in PERCENTILES.items()
    if each.kind == "time" and each.limit_instead is None
}
"""The times that are compared and that a policy may limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedAnswer:
    """
    The times of one answer.
    """

    latency_ms: float
    ttft_ms: float | None
    output_tokens: int | None

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: for times or counts that cannot be measured.
        """
        for time in (self.latency_ms, self.ttft_ms):
            if time and not SHORTEST_MS <= time <= LONGEST_MS:
                raise ValueError(f"{time:g} ms is not a time of an answer")
        if self.output_tokens is not None and not 0 <= self.output_tokens < 2**53:
            raise ValueError("an answer's output_tokens are not a count of tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedCase:
    """
    One case, answered by both checkpoints equally often, in alternation.
    """

    id: str
    old: tuple[TimedAnswer, ...]
    new: tuple[TimedAnswer, ...]

    def values(self, name: str) -> tuple[float, float] | None:
        """
        Return the old and the new time, each the geometric mean over the answers, if any.
        """
        taken = TIMES[name].value
        both = [[taken(answer) for answer in side] for side in (self.old, self.new)]
        found = [[value for value in side if value is not None and value > 0] for side in both]
        if not all(side and len(side) == len(self.old) for side in found):
            return None
        return geometric_mean(found[0]), geometric_mean(found[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternation:
    """
    The times of two checkpoints on one suite, measured in alternation.
    """

    suite: SuiteReference
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    """The checkpoints, as in run.json."""
    backend: Mapping[str, Any]
    """How the new one was run, as in run.json."""
    generation: Mapping[str, Any]
    hardware: Mapping[str, Any]
    cases: tuple[TimedCase, ...]
    left_out: Mapping[str, str]
    """Cases without a time -> why."""
    measured: str
    """When it was started, ISO 8601."""

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: for an infinity or NaN in the description of the two; no report allows it.
        """
        canonical_json(
            [asdict(self.suite), self.left_out, self.measured]
            + [dict(told) for told in (self.old, self.new, self.backend, self.generation)]
            + [dict(self.hardware)]
        )

    def paired(self, name: str) -> PairedValues:
        """
        Return the time *name*, paired case by case.
        """
        return _paired([both for case in self.cases if (both := case.values(name)) is not None])

    def tokens(self) -> PairedValues:
        """
        Return the lengths of the answers in tokens, paired case by case.
        """
        return _paired(
            [
                (float(old), float(new))
                for case in self.cases
                if (old := case.old[0].output_tokens) is not None
                and (new := case.new[0].output_tokens) is not None
            ]
        )


def _paired(values: Sequence[tuple[float, float]]) -> PairedValues:
    return PairedValues(
        old=median(old for old, _ in values) if values else None,
        new=median(new for _, new in values) if values else None,
        values=tuple(values),
    )


def judge_alternation(policy: Policy, measured: Alternation) -> dict[str, MetricVerdict]:
    """
    Return the verdict on every time that *policy* limits; times that neither side has are left out.
    """
    found = {}
    for name, time in TIMES.items():
        if name not in policy.limits:
            continue
        limit, paired = policy.limits[name], measured.paired(name)
        if paired.pairs:
            found[name] = judge_alternated(name, limit, paired)
            if missing := len(measured.cases) - paired.pairs:
                reason = f"{found[name].reason}; {count(missing, 'case')} without this time"
                found[name] = replace(found[name], reason=reason)
        elif any(time.value(answer) for each in measured.cases for answer in each.old + each.new):
            found[name] = MetricVerdict(
                verdict="inconclusive",
                reason=f"{time.title}: no case has this time on both sides",
                rule="inconclusive where only one side could be measured",
                limit=limit.text,
            )
    return found
