"""
The interval that a comparison shows without a policy is the one the gate decides by.
"""

from dataclasses import replace

import pytest

from harness.comparison.compare import compare
from harness.gating import intervals
from harness.gating.policy import default_policy
from harness.gating.times import judge_times

from .test_gate import GOOD, SECOND, TODAY, answer, gate, record, runs


def test_rates_and_lengths_have_the_intervals_of_their_verdicts():
    old = record([answer(f"{k}", GOOD, output_tokens=40 + k % 7) for k in range(120)])
    new = record(
        [answer(f"{k}", SECOND if k < 5 else GOOD, output_tokens=41 + k % 9) for k in range(120)]
    )
    comparison = compare(old, new)

    judged = gate(default_policy(), comparison, TODAY).metrics

    for name in ("accuracy", "second_call_rate"):
        assert (judged[name].low, judged[name].high) == intervals.of_change(name, comparison)
    _, low, high = judged["output_tokens_p50"].ratio or (0.0, 0.0, 0.0)
    assert (low - 1, high - 1) == pytest.approx(
        intervals.of_change("output_tokens_p50", comparison)
    )


def test_times_have_an_interval_where_they_are_comparable():
    old = record([answer(f"{k}", latency_ms=100.0 + k) for k in range(24)])
    new = record([answer(f"{k}", latency_ms=110.0 + k) for k in range(24)])
    comparison = compare(old, new)

    limit = default_policy().limits["latency_ms_p50"]
    judged = judge_times("latency_ms_p50", limit, comparison.values["latency_ms_p50"])
    _, low, high = judged.ratio or (0.0, 0.0, 0.0)

    assert (low - 1, high - 1) == pytest.approx(intervals.of_change("latency_ms_p50", comparison))
    apart = replace(comparison, same_hardware=False)
    assert intervals.of_change("latency_ms_p50", apart) is None


def test_a_slice_has_the_interval_of_its_pairs():
    comparison = compare(*runs(10, 0, 120))
    few = comparison.rates["accuracy"].only({f"case-{k}" for k in range(10)})

    found = intervals.of_rate("accuracy", few)

    assert found is not None
    assert found[0] < -0.7
    assert intervals.of_rate("accuracy", few.only(())) is None
