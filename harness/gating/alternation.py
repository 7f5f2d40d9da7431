"""
Two checkpoints timed in alternation: the paired times, and the verdict of a policy on them.

Servers that say different things of themselves are not comparable, as runs are not; a server and a
checkpoint that runs here are shown side by side, and nothing is decided.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import geometric_mean, median
from typing import Any, Literal

from harness.canonical import canonical_json
from harness.comparison.differences import differences_in
from harness.comparison.paired import PairedValues
from harness.gating.notes import changed
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
class LoadedSide:
    """
    What one server did under load.
    """

    answers: tuple[TimedAnswer, ...]
    failed: int
    seconds: float
    """From the first request to the last answer, without pauses for the other server."""

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: for a time that cannot be measured.
        """
        if not SHORTEST_MS <= 1000 * self.seconds <= LONGEST_MS or self.failed < 0:
            raise ValueError(f"{self.seconds:g} s is not a time of many answers")

    @property
    def answers_per_s(self) -> float:
        """
        Return how many answers were made each second.
        """
        return len(self.answers) / self.seconds

    @property
    def tokens_per_s(self) -> float | None:
        """
        Return how many tokens were written each second; None where some answers count none.
        """
        counts = [each.output_tokens for each in self.answers]
        known = [each for each in counts if each is not None]
        return sum(known) / self.seconds if known and len(known) == len(counts) else None

    def times(self) -> dict[str, float | None]:
        """
        Return median and 95th percentile of the whole time and of that to the first token, in
        milliseconds.
        """
        found = {}
        for kind in ("latency_ms", "ttft_ms"):
            times = [getattr(each, kind) for each in self.answers]
            known = [each for each in times if each is not None]
            for share in ("p50", "p95"):
                found[f"{kind}_{share}"] = PERCENTILES[f"latency_ms_{share}"].of(known).value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    The same cases answered many at a time, by both servers in alternation.
    """

    concurrency: int
    """How many requests were in flight at any time."""
    old: LoadedSide
    new: LoadedSide
    cases: tuple[TimedCase, ...]
    """The cases that both answered every time."""

    def paired(self, name: str) -> PairedValues:
        """
        Return the time *name*, paired case by case.
        """
        return _paired([both for case in self.cases if (both := case.values(name)) is not None])


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
    old_backend: Mapping[str, Any] = field(default_factory=dict)
    """How the old one was run; empty where that is not known."""
    became: tuple[str, ...] = ()
    """In what a server became another one while it was timed."""
    generation: Mapping[str, Any]
    hardware: Mapping[str, Any]
    cases: tuple[TimedCase, ...]
    left_out: Mapping[str, str]
    """Cases without a time -> why."""
    measured: str
    """When it was started, ISO 8601."""
    load: Load | None = None
    """What was measured under load, apart from the rest."""

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: for an infinity or NaN in the description of the two; no report allows it.
        """
        canonical_json(
            [asdict(self.suite), self.left_out, self.measured, self.became]
            + [dict(told) for told in (self.old, self.new, self.backend, self.generation)]
            + [dict(self.hardware), dict(self.old_backend)]
        )

    @property
    def advisory(self) -> str | None:
        """
        Why these times decide nothing; None if they do.
        """
        served = ["server" in each for each in (self.old_backend, self.backend)]
        if self.old_backend and any(served) and not all(served):
            return (
                "one is behind a server and the other runs here: their times are shown, and decide "
                "nothing"
            )
        return None

    def obstacles(self, allow: Collection[str] = ()) -> Iterator[str]:
        """
        Yield why the times of two servers cannot be compared; fields in *allow* may differ.
        """
        for each in self.became:
            yield f"a server became another one while it was timed: {each}"
        if self.advisory is not None or "server" not in self.old_backend:
            return
        for difference in differences_in("backend", self.old_backend, self.backend):
            if difference.effect == "not_comparable" and not difference.allowed_by(allow):
                yield (
                    f"{changed(difference)}; time servers that are alike, or add --allow-mismatch "
                    f"{difference.field}"
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


def judge_load(policy: Policy, load: Load) -> dict[str, MetricVerdict]:
    """
    Return what *policy* makes of the times under load. All of it is advisory: under load a time
    depends on which other answers are made meanwhile.
    """
    return {
        name: replace(judge_alternated(name, policy.limits[name], paired), advisory=True)
        for name in TIMES
        if name in policy.limits and (paired := load.paired(name)).pairs
    }


def judge_alternation(
    policy: Policy, measured: Alternation, allow: Collection[str] = ()
) -> dict[str, MetricVerdict]:
    """
    Return the verdict on every time that *policy* limits; times that neither side has are left out.
    Fields in *allow* may differ between servers.
    """
    obstacle = next(measured.obstacles(allow), None)
    found = _judged(policy, measured)
    if obstacle is not None:
        return {
            name: replace(
                metric,
                verdict="not_comparable",
                reason=obstacle,
                rule="not comparable where two servers say different things of themselves",
                ratio=None,
            )
            for name, metric in found.items()
        }
    if measured.advisory is not None:
        return {name: replace(metric, advisory=True) for name, metric in found.items()}
    return found


def _judged(policy: Policy, measured: Alternation) -> dict[str, MetricVerdict]:
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
