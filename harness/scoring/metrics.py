"""
CaseResults -> the metrics of a run: hits and eligible cases, means, percentiles.

A metric is one object below, and everything else reads it: measuring here, pairing in
`harness.comparison`, the rules of the gate, the keys of a policy, the tables of a report. Each has
its own denominator; a rate over nothing has no value. Intervals are computed by `harness.stats`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from harness.scoring.columns import Coded, Columns
from harness.scoring.results import ARGUMENT_FAULTS, TOOL_FAULTS, CaseResult, TurnResult

if TYPE_CHECKING:
    from harness.scoring.columns import Floats

T = TypeVar("T")


# What measuring returns


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """
    A rate: *hits* of *eligible*.
    """

    hits: int
    eligible: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """
    A quantile over *eligible* values; None over none.
    """

    value: float | None
    eligible: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """
    A mean over *eligible* values; None over none.
    """

    value: float | None
    eligible: int


# What a metric is


@dataclass(frozen=True, slots=True, kw_only=True)
class Per(Generic[T]):
    """
    What a rate counts.
    """

    noun: str
    """In the singular: "case"."""
    of: Callable[[CaseResult], Sequence[T]]
    """Return what one case adds to the count."""


CASE: Per[CaseResult] = Per(noun="case", of=lambda case: (case,))
TURN: Per[TurnResult] = Per(noun="turn", of=lambda case: case.turns)


class Answer(Protocol):
    """
    What lengths and times are taken from.
    """

    @property
    def output_tokens(self) -> int | None:
        """None if they were not counted."""

    @property
    def latency_ms(self) -> float | None:
        """None if it was not timed by itself."""

    @property
    def ttft_ms(self) -> float | None:
        """To the first token; None if that is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """
    What every metric has.
    """

    name: str
    """Its key in a policy and in run.json."""
    title: str
    """Its name in sentences and tables."""
    meaning: str
    """What is counted, of what, in words."""
    higher_is_better: bool
    kind: Literal["rate", "length", "time", "margin", "mean"]
    """Which rules of the gate apply. Times carry the noise of a machine, lengths do not; means have
    none."""
    unit: str
    """The unit of its value: ``rate``, ``tokens``, ``steps``, ``ms``, ``nats`` or ``score``."""
    executed: bool = False
    """Whether it is about executed cases: runs without any do not have it."""
    repeated: bool = False
    """Whether it is about all repeats of a case together: runs without repeats do not have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Metric, Generic[T]):
    """
    A share: hits of those that are eligible, over scored cases.

    It is asked about each way to be judged once, not about each case, so it may look at whatever
    `harness.scoring.columns` counts and at nothing else: neither at ids nor at calls.
    """

    kind: Literal["rate"] = "rate"
    unit: str = "rate"
    per: Per[T]
    population: Callable[[T], bool]
    """Return whether this case, or turn, is eligible."""
    hit: Callable[[T], bool]
    """Return whether an eligible one is a hit."""
    pairs_when: Callable[[T, T], bool] = lambda old, new: True
    """Return whether the answers of two runs, both eligible, are about the same thing."""
    event: str | None = None
    """One hit in words, for a metric whose new hits are listed in reports."""

    def measure(self, cases: Columns) -> Counts:
        """
        Return the count over the scored of *cases*.
        """
        hits = eligible = 0
        for case, many in cases.judged(lambda case: case.scored):
            items = [each for each in self.per.of(case) if self.population(each)]
            hits += many * sum(map(self.hit, items))
            eligible += many * len(items)
        return Counts(hits=hits, eligible=eligible)

    def pair(self, old: CaseResult, new: CaseResult) -> Iterator[tuple[bool, bool]]:
        """
        Yield whether the old and the new item are hits, for each two that are both eligible.
        """
        eligible, hit = self.population, self.hit
        for before, after in zip(self.per.of(old), self.per.of(new), strict=True):
            if eligible(before) and eligible(after) and self.pairs_when(before, after):
                yield hit(before), hit(after)


@dataclass(frozen=True, slots=True, kw_only=True)
class InAllRepeats(Rate[CaseResult]):
    """
    A share of cases: those that are hits in every repeat, of those that are eligible in every one.
    """

    repeated: bool = True

    def measure(self, cases: Columns) -> Counts:
        """
        Return the count over the cases of which every repeat is scored.
        """
        found = self.by_case(cases)
        return Counts(hits=sum(found.values()), eligible=len(found))

    def by_case(self, cases: Columns) -> dict[str, bool]:
        """
        Return for each case of which every repeat is scored whether every repeat is a hit.
        """
        scored, hits = cases.scored.tolist(), cases.ways.flags(self.hit).tolist()
        many = int(cases.repeats.max(initial=0)) + 1
        return {
            identity: all(hits[place] for place in places)
            for identity, places in cases.places.items()
            if len(places) == many and all(scored[place] for place in places)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentile(Metric):
    """
    A percentile of a length, a time or a margin, over the answers of scored cases that have one.
    """

    kind: Literal["length", "time", "margin"]
    higher_is_better: bool = False
    share: float
    """Which: 0.5 is the median."""
    per: Per[Any] = TURN
    value: Callable[[Any], float | None]
    """Return the length, time or margin of one; None if it has none."""
    limit_instead: str | None = None
    """The metric that a policy must limit instead, if this one is mostly noise."""

    def measure(self, cases: Columns) -> Quantile:
        """
        Return the percentile over the scored of *cases*.
        """
        import numpy as np

        found = self.column(cases)
        counted = cases.scored
        if self.per is TURN:
            counted = np.repeat(counted, np.diff(cases.first))
        return self.of(found[counted & ~np.isnan(found)].tolist())

    def column(self, cases: Columns) -> "Floats":
        """
        Return the value of each turn, or each case, of *cases*; NaN where it has none.
        """
        import numpy as np

        if self.kind == "margin":
            return cases.margins  # hardly any two are equal, so they are not coded
        coded: Coded[Any] = cases.measured if self.per is TURN else cases.ways
        found = (self.value(each) for each in coded.values)
        values = [math.nan if value is None else value for value in found]
        return np.array(values, dtype=np.float64)[coded.codes]

    def of(self, values: Sequence[float]) -> Quantile:
        """
        Return a quantile, linear between order statistics (Hyndman and Fan 1996, type 7).
        """
        if not values:
            return Quantile(value=None, eligible=0)
        ordered = sorted(values)
        position = self.share * (len(ordered) - 1)
        below = int(position)
        above = min(below + 1, len(ordered) - 1)
        value = ordered[below] + (ordered[above] - ordered[below]) * (position - below)
        return Quantile(value=value, eligible=len(ordered))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean(Metric):
    """
    A mean over the scored cases that have a value. No policy limits it.
    """

    kind: Literal["mean"] = "mean"
    unit: str = "score"
    higher_is_better: bool = True
    value: Callable[[CaseResult], float | None]
    limit_instead: str
    """The metric that a policy must limit instead."""

    def measure(self, cases: Columns) -> Average:
        """
        Return the mean over the scored of *cases*.
        """
        total, eligible = 0.0, 0
        for case, many in cases.judged(lambda case: case.scored):
            if (value := self.value(case)) is not None:
                total += many * value
                eligible += many
        return Average(value=total / eligible if eligible else None, eligible=eligible)


# What is eligible and what is a hit, where that takes more than one line


def _expects_only_calls(case: CaseResult) -> bool:
    return all(turn.expects == "calls" for turn in case.turns)


def _has_right_tools(case: CaseResult) -> bool:
    return not case.has(*TOOL_FAULTS)


def _may_call_twice(case: CaseResult) -> bool:
    return case.forbids_extra_calls and case.expects_calls


def _began_rightly(old: CaseResult, new: CaseResult) -> bool:
    # An answer without the right first call cannot be blamed for a second one.
    return old.made_expected_calls and new.made_expected_calls


def _tokens(answer: Answer) -> float | None:
    return None if answer.output_tokens is None else float(answer.output_tokens)


def _ms_per_token(answer: Answer) -> float | None:
    return ms_per_token(answer.latency_ms, answer.ttft_ms, answer.output_tokens)


def ms_per_token(
    latency_ms: float | None, ttft_ms: float | None, output_tokens: int | None
) -> float | None:
    """
    Return (latency - time to first token) / (tokens - 1), milliseconds; None below two tokens.
    """
    if latency_ms is None or ttft_ms is None or (output_tokens or 0) < 2:
        return None
    return (latency_ms - ttft_ms) / ((output_tokens or 0) - 1)


def _outcome(case: CaseResult, name: str) -> Any:
    return None if case.executed is None else getattr(case.executed, name)


def _steps(case: CaseResult) -> float | None:
    return None if case.executed is None else float(len(case.answers))


# The metrics, in the order reports show them

M = TypeVar("M", bound=Metric)


def _by_name(*metrics: M) -> Mapping[str, M]:
    return MappingProxyType({metric.name: metric for metric in metrics})


RATES: Mapping[str, Rate[Any]] = _by_name(
    Rate(
        name="accuracy",
        title="accuracy",
        meaning="scored cases with status correct",
        higher_is_better=True,
        per=CASE,
        population=lambda case: True,
        hit=lambda case: case.status == "correct",
    ),
    InAllRepeats(
        name="pass_hat_k",
        title="right in all repeats",
        meaning="cases of which all K repeats are scored: correct in each of them (pass^k)",
        higher_is_better=True,
        per=CASE,
        population=lambda case: True,
        hit=lambda case: case.status == "correct",
    ),
    Rate(
        name="tool_accuracy",
        title="right tool",
        meaning="cases whose turns all expect calls: exactly those tools, arguments aside",
        higher_is_better=True,
        per=CASE,
        population=_expects_only_calls,
        hit=_has_right_tools,
    ),
    Rate(
        name="argument_accuracy",
        title="right arguments",
        meaning="the hits of tool_accuracy: every constraint and schema met",
        higher_is_better=True,
        per=CASE,
        population=lambda case: _expects_only_calls(case) and _has_right_tools(case),
        hit=lambda case: not case.has(*ARGUMENT_FAULTS),
    ),
    Rate(
        name="second_call_rate",
        title="second calls",
        meaning="cases that expect calls and forbid others: those made, then a further one tried",
        higher_is_better=False,
        per=CASE,
        population=_may_call_twice,
        hit=lambda case: bool(case.second_call_kinds),
        pairs_when=_began_rightly,
        event="second call",
    ),
    Rate(
        name="call_after_result_rate",
        title="calls after a result",
        meaning="turns that follow a tool result and expect abstention: a call all the same",
        higher_is_better=False,
        per=TURN,
        population=lambda turn: turn.follows_result and turn.expects == "abstain",
        hit=lambda turn: turn.has("call_after_result"),
        event="call after a result",
    ),
    Rate(
        name="abstention_accuracy",
        title="rightly no call",
        meaning="cases that expect abstention: no call tried",
        higher_is_better=True,
        per=CASE,
        population=lambda case: case.expects_abstention,
        hit=lambda case: not case.has("unexpected_call", "call_after_result"),
    ),
    Rate(
        name="no_call_rate",
        title="no call",
        meaning="cases that expect calls: none tried",
        higher_is_better=False,
        per=CASE,
        population=lambda case: case.expects_calls,
        hit=lambda case: case.has("no_call"),
    ),
    Rate(
        name="malformed_rate",
        title="malformed calls",
        meaning="scored cases with a call that cannot be read",
        higher_is_better=False,
        per=CASE,
        population=lambda case: True,
        hit=lambda case: case.has("malformed_call"),
    ),
    Rate(
        name="undeclared_tool_rate",
        title="undeclared tools",
        meaning="scored cases with a call of a name nobody declared",
        higher_is_better=False,
        per=CASE,
        population=lambda case: True,
        hit=lambda case: case.has("undeclared_tool"),
    ),
    Rate(
        name="schema_violation_rate",
        title="schema violations",
        meaning="scored cases with a call that does not fit its tool's schema",
        higher_is_better=False,
        per=CASE,
        population=lambda case: True,
        hit=lambda case: case.has("schema_violation"),
    ),
    Rate(
        name="answer_accuracy",
        title="right answer",
        meaning="executed cases with an answer: the final text meets it",
        higher_is_better=True,
        executed=True,
        per=CASE,
        population=lambda case: _outcome(case, "answered") is not None,
        hit=lambda case: _outcome(case, "answered"),
    ),
    Rate(
        name="hit_rate",
        title="document found",
        meaning="executed cases with relevant documents: one was returned by some call",
        higher_is_better=True,
        executed=True,
        per=CASE,
        population=lambda case: _outcome(case, "found") is not None,
        hit=lambda case: _outcome(case, "found"),
    ),
    Rate(
        name="answer_given_hit",
        title="right answer, given the document",
        meaning="the hits of hit_rate that have an answer: the final text meets it",
        higher_is_better=True,
        executed=True,
        per=CASE,
        population=lambda case: (
            bool(_outcome(case, "found")) and _outcome(case, "answered") is not None
        ),
        hit=lambda case: _outcome(case, "answered"),
    ),
    Rate(
        name="unsupported_rate",
        title="unsupported facts",
        meaning="executed cases with a final text: a fact in it that nothing holds",
        higher_is_better=False,
        executed=True,
        per=CASE,
        population=lambda case: bool(_outcome(case, "said")),
        hit=lambda case: case.has("unsupported_fact"),
        event="unsupported fact",
    ),
    Rate(
        name="goal_accuracy",
        title="goal reached",
        meaning="executed cases with a goal: the end state is what was to be done",
        higher_is_better=True,
        executed=True,
        per=CASE,
        population=lambda case: _outcome(case, "reached") is not None,
        hit=lambda case: _outcome(case, "reached"),
    ),
    Rate(
        name="collateral_rate",
        title="changes beside the goal",
        meaning="executed cases with a goal: something changed that it does not name",
        higher_is_better=False,
        executed=True,
        per=CASE,
        population=lambda case: _outcome(case, "reached") is not None,
        hit=lambda case: case.has("collateral_change"),
        event="change beside the goal",
    ),
)

MEANS: Mapping[str, Mean] = _by_name(
    *(
        Mean(
            name=name,
            title=title,
            meaning=f"executed cases with relevant documents that searched: {meaning}",
            executed=True,
            value=partial(_outcome, name=field),
            limit_instead="hit_rate",
        )
        for name, field, title, meaning in (
            ("recall_at_k", "recall", "recall at k", "share of them in the last ranking"),
            ("reciprocal_rank", "reciprocal_rank", "reciprocal rank", "1 / rank of the first"),
            ("ndcg_at_k", "ndcg", "nDCG at k", "normalised discounted cumulative gain"),
        )
    )
)

PERCENTILES: Mapping[str, Percentile] = _by_name(
    Percentile(
        name="steps_p50",
        title="steps p50",
        meaning="median number of answers that an executed case took",
        unit="steps",
        kind="length",
        executed=True,
        share=0.50,
        per=CASE,
        value=_steps,
        limit_instead="output_tokens_p50",
    ),
    Percentile(
        name="output_tokens_p50",
        title="output tokens p50",
        meaning="median length of the answers whose tokens were counted",
        unit="tokens",
        kind="length",
        share=0.50,
        value=_tokens,
    ),
    Percentile(
        name="output_tokens_p95",
        title="output tokens p95",
        meaning="95th percentile of the same",
        unit="tokens",
        kind="length",
        share=0.95,
        value=_tokens,
    ),
    Percentile(
        name="latency_ms_p50",
        title="latency p50",
        meaning="median time of the single-stream answers",
        unit="ms",
        kind="time",
        share=0.50,
        value=lambda answer: answer.latency_ms,
    ),
    Percentile(
        name="latency_ms_p95",
        title="latency p95",
        meaning="95th percentile of the same",
        unit="ms",
        kind="time",
        share=0.95,
        value=lambda answer: answer.latency_ms,
        limit_instead="latency_ms_p50",
    ),
    Percentile(
        name="ttft_ms_p50",
        title="time to first token p50",
        meaning="median over the single-stream answers",
        unit="ms",
        kind="time",
        share=0.50,
        value=lambda answer: answer.ttft_ms,
    ),
    Percentile(
        name="ms_per_token_p50",
        title="time per further token p50",
        meaning="median over the single-stream answers of two tokens or more",
        unit="ms",
        kind="time",
        share=0.50,
        value=_ms_per_token,
    ),
    Percentile(
        name="margin_p10",
        title="margin p10",
        meaning="10th percentile of how much likelier the called tool was than the next one",
        unit="nats",
        kind="margin",
        higher_is_better=True,
        share=0.10,
        value=lambda turn: turn.margin,
    ),
)

METRICS: Mapping[str, Rate[Any] | Percentile | Mean] = MappingProxyType(
    {**RATES, **MEANS, **PERCENTILES}
)


def measure(
    results: Iterable[CaseResult] | Columns,
) -> dict[str, Counts | Quantile | Average]:
    """
    Return every metric of `METRICS` that is about such cases over the scored cases of *results*.
    """
    cases = results if isinstance(results, Columns) else Columns(results)
    return {name: metric.measure(cases) for name, metric in applicable(METRICS, cases).items()}


def applicable(metrics: Mapping[str, M], cases: Columns) -> Mapping[str, M]:
    """
    Return those of *metrics* that runs with these *cases* have.
    """
    import numpy as np

    executed = any(way.executed is not None for way in cases.ways.values)
    repeated = bool(cases.repeats.any())
    margins = not bool(np.isnan(cases.margins).all())
    return {
        name: metric
        for name, metric in metrics.items()
        if metric.executed <= executed
        and metric.repeated <= repeated
        and (metric.kind != "margin" or margins)
    }
