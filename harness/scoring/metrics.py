"""
CaseResults -> what is counted over a run: hits and eligible cases, medians, the confusion matrix.

Every metric has its own denominator, stated in `METRICS`; a rate over nothing has no value. What
an interval around a count is belongs to `harness.stats`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.scoring.results import ARGUMENT_FAULTS, TOOL_FAULTS, CaseResult

Confusion = Mapping[str, Mapping[str, int]]
"""Expected tool -> what was called for it -> how often."""


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
class Definition:
    """
    What a metric means.
    """

    title: str
    eligible: str
    hit: str
    higher_is_better: bool
    unit: str = "rate"
    """``rate``, ``tokens`` or ``ms``."""


METRICS: Mapping[str, Definition] = {
    "accuracy": Definition(
        title="accuracy",
        eligible="scored cases",
        hit="status correct",
        higher_is_better=True,
    ),
    "tool_accuracy": Definition(
        title="right tool",
        eligible="scored cases whose turns all expect calls",
        hit="exactly the expected tools, arguments aside",
        higher_is_better=True,
    ),
    "argument_accuracy": Definition(
        title="right arguments",
        eligible="cases with the right tools",
        hit="every constraint and schema met",
        higher_is_better=True,
    ),
    "second_call_rate": Definition(
        title="second calls",
        eligible="scored cases that expect calls and forbid extra ones",
        hit="the expected calls come first and at least one more call or attempt follows",
        higher_is_better=False,
    ),
    "call_after_result_rate": Definition(
        title="calls after a result",
        eligible="turns that follow a tool result and expect abstention",
        hit="a call all the same",
        higher_is_better=False,
    ),
    "abstention_accuracy": Definition(
        title="rightly no call",
        eligible="scored cases that expect abstention",
        hit="no call tried",
        higher_is_better=True,
    ),
    "no_call_rate": Definition(
        title="no call",
        eligible="scored cases that expect calls",
        hit="none tried",
        higher_is_better=False,
    ),
    "malformed_rate": Definition(
        title="malformed calls",
        eligible="scored cases",
        hit="a call that cannot be read",
        higher_is_better=False,
    ),
    "undeclared_tool_rate": Definition(
        title="undeclared tools",
        eligible="scored cases",
        hit="a call of a name nobody declared",
        higher_is_better=False,
    ),
    "schema_violation_rate": Definition(
        title="schema violations",
        eligible="scored cases",
        hit="a call that does not fit its tool's schema",
        higher_is_better=False,
    ),
    "output_tokens_p50": Definition(
        title="output tokens p50",
        eligible="answers of scored cases with a token count",
        hit="",
        higher_is_better=False,
        unit="tokens",
    ),
    "output_tokens_p95": Definition(
        title="output tokens p95",
        eligible="answers of scored cases with a token count",
        hit="",
        higher_is_better=False,
        unit="tokens",
    ),
    "latency_ms_p50": Definition(
        title="latency p50",
        eligible="single-stream answers",
        hit="",
        higher_is_better=False,
        unit="ms",
    ),
    "latency_ms_p95": Definition(
        title="latency p95",
        eligible="single-stream answers",
        hit="",
        higher_is_better=False,
        unit="ms",
    ),
    "ttft_ms_p50": Definition(
        title="time to first token p50",
        eligible="single-stream answers",
        hit="",
        higher_is_better=False,
        unit="ms",
    ),
    "ms_per_token_p50": Definition(
        title="time per further token p50",
        eligible="single-stream answers of two tokens or more",
        hit="",
        higher_is_better=False,
        unit="ms",
    ),
}
"""Every metric, in the order reports show them."""


def measure(results: Iterable[CaseResult]) -> dict[str, Counts | Quantile]:
    """
    Count every metric of `METRICS` over *results*.
    """
    cases = [case for case in results if case.scored]
    turns = [turn for case in cases for turn in case.turns]
    all_calls = [case for case in cases if all(turn.expects == "calls" for turn in case.turns)]
    right_tools = [case for case in all_calls if not case.has(*TOOL_FAULTS)]
    calls = [case for case in cases if case.expects_calls]
    after_result = [turn for turn in turns if turn.follows_result and turn.expects == "abstain"]
    single = [case for case in calls if case.forbids_extra_calls]
    abstain = [case for case in cases if case.expects_abstention]
    tried = ("unexpected_call", "call_after_result")

    tokens = [float(t.output_tokens) for t in turns if t.output_tokens is not None]
    latency = [t.latency_ms for t in turns if t.latency_ms is not None]
    ttft = [t.ttft_ms for t in turns if t.ttft_ms is not None]
    per_token = [
        value
        for t in turns
        if (value := ms_per_token(t.latency_ms, t.ttft_ms, t.output_tokens)) is not None
    ]
    return {
        "accuracy": _count(cases, lambda case: case.status == "correct"),
        "tool_accuracy": Counts(hits=len(right_tools), eligible=len(all_calls)),
        "argument_accuracy": _count(right_tools, lambda case: not case.has(*ARGUMENT_FAULTS)),
        "second_call_rate": _count(single, lambda case: bool(case.second_call_kinds)),
        "call_after_result_rate": Counts(
            hits=sum(turn.has("call_after_result") for turn in after_result),
            eligible=len(after_result),
        ),
        "abstention_accuracy": _count(abstain, lambda case: not case.has(*tried)),
        "no_call_rate": _count(calls, lambda case: case.has("no_call")),
        "malformed_rate": _count(cases, lambda case: case.has("malformed_call")),
        "undeclared_tool_rate": _count(cases, lambda case: case.has("undeclared_tool")),
        "schema_violation_rate": _count(cases, lambda case: case.has("schema_violation")),
        "output_tokens_p50": _quantile(tokens, 0.50),
        "output_tokens_p95": _quantile(tokens, 0.95),
        "latency_ms_p50": _quantile(latency, 0.50),
        "latency_ms_p95": _quantile(latency, 0.95),
        "ttft_ms_p50": _quantile(ttft, 0.50),
        "ms_per_token_p50": _quantile(per_token, 0.50),
    }


def ms_per_token(
    latency_ms: float | None, ttft_ms: float | None, output_tokens: int | None
) -> float | None:
    """
    Time per token after the first: (latency - time to first token) / (tokens - 1), milliseconds.
    """
    if latency_ms is None or ttft_ms is None or (output_tokens or 0) < 2:
        return None
    return (latency_ms - ttft_ms) / ((output_tokens or 0) - 1)


def second_calls(results: Iterable[CaseResult]) -> dict[str, int]:
    """
    Count scored cases with a second call by the kind of the first one that should not be there.
    """
    kinds: dict[str, int] = {}
    for case in results:
        if case.scored and case.forbids_extra_calls and (found := case.second_call_kinds):
            kinds[found[0]] = kinds.get(found[0], 0) + 1
    return kinds


def confusion(results: Iterable[CaseResult]) -> dict[str, dict[str, int]]:
    """
    Count expected tool x called tool over the scored cases, as `Confusion` says.
    """
    matrix: dict[str, dict[str, int]] = {}
    for case in results:
        if not case.scored:
            continue
        for turn in case.turns:
            for expected, called in turn.pairs:
                row = matrix.setdefault(expected, {})
                row[called] = row.get(called, 0) + 1
    return matrix


def _count(cases: Sequence[CaseResult], hit: Callable[[CaseResult], bool]) -> Counts:
    return Counts(hits=sum(map(hit, cases)), eligible=len(cases))


def _quantile(values: Sequence[float], p: float) -> Quantile:
    """
    Linear interpolation between order statistics (Hyndman and Fan 1996, type 7).
    """
    if not values:
        return Quantile(value=None, eligible=0)
    ordered = sorted(values)
    position = p * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    value = ordered[below] + (ordered[above] - ordered[below]) * (position - below)
    return Quantile(value=value, eligible=len(ordered))
