"""
A limit on margins: how sure a checkpoint is of the tools it rightly calls.
"""

from collections.abc import Sequence
from datetime import date

import pytest

from harness.comparison.compare import compare
from harness.errors import PolicyError
from harness.gating.gate import gate
from harness.gating.policy import Policy, read_policy
from harness.gating.release import Entrant, gate_release
from harness.gating.verdict import MetricVerdict, Verdict
from harness.testing.reports import WRONG, case, record, turn

TODAY = date(2026, 11, 30)
USUAL = [0.5 + 0.05 * number for number in range(100)]
"""The tenth percentile is 0.995."""


def policy(limit: str = "-20%", alpha: float = 0.05) -> Policy:
    return read_policy(f'alpha = {alpha}\n[limits]\nmargin_p10 = "{limit}"\n', "gate.toml")


def gated(
    old: Sequence[float | None],
    new: Sequence[float | None],
    rules: Policy | None = None,
    groups: int = 0,
) -> Verdict:
    """
    Return the verdict on answers with these margins; the cases are in so many groups.
    """

    def run(margins: Sequence[float | None]) -> list[object]:
        return [
            case(
                f"c{number}",
                turn(margin=margin),
                group=f"g{number % groups}" if groups else None,
            )
            for number, margin in enumerate(margins)
        ]

    both = compare(record(run(old)), record(run(new)))  # type: ignore[arg-type]
    return gate(rules or policy(), both, TODAY)


def judged(*arguments: Sequence[float | None], **more: object) -> MetricVerdict:
    return gated(*arguments, **more).metrics["margin_p10"]  # type: ignore[arg-type]


def test_margins_that_shrink_everywhere_regress_before_a_case_breaks():
    found = gated(USUAL, [0.6 * each for each in USUAL])
    metric = found.metrics["margin_p10"]

    assert ("regressed", "regressed", ()) == (found.verdict, metric.verdict, found.broken)
    assert (pytest.approx(0.995), pytest.approx(0.597)) == (metric.old, metric.new)
    assert (
        "margin p10 fell from 0.99 to 0.60 nats on 100 answers correct in both runs: more than the "
        "20.0% allowed: 17 answers below 0.80, 6 before (p 0.00024)"
    ) == metric.reason


def test_a_fall_within_the_limit_passes():
    assert "pass" == judged(USUAL, [0.85 * each for each in USUAL]).verdict
    assert "pass" == judged(USUAL, USUAL).verdict
    assert "pass" == judged(USUAL, [2 * each for each in USUAL]).verdict
    assert "regressed" == judged(USUAL, [0.85 * each for each in USUAL], policy("-5%")).verdict


def test_a_fall_that_may_be_chance_is_inconclusive():
    few = USUAL[::10]

    found = judged(few, [0.5 * each for each in few])
    assert "inconclusive" == found.verdict
    assert found.p is not None
    assert found.p > 0.05


def test_answers_that_fall_with_their_group_count_once():
    low = [0.3 if number % 25 == 0 and number else each for number, each in enumerate(USUAL)]
    fallen = [0.1 if each < 1.5 else each for each in USUAL]

    assert "regressed" == judged(USUAL, fallen).verdict
    assert "inconclusive" == judged(USUAL, fallen, groups=3).verdict
    assert "pass" == judged(low, low).verdict


def test_margins_of_wrong_answers_say_nothing():
    cases = [case(f"c{number}", turn(margin=each)) for number, each in enumerate(USUAL)]
    unsure = [case("w", turn("incorrect", *WRONG.findings, tool="google", margin=0.01))]
    both = compare(record([*cases, *unsure]), record([*cases, *unsure]))

    assert 100 == gate(policy(), both, TODAY).metrics["margin_p10"].pairs


def test_without_margins_the_limit_has_no_weight():
    none = [None] * 100
    found = judged(none, none)
    assert ("not_measured", True) == (found.verdict, found.advisory)
    assert "inconclusive" == judged(USUAL, none).verdict
    assert ("not_measured", True) == (judged(none, USUAL).verdict, judged(none, USUAL).advisory)
    # A tenth of ties leave nothing to lose a share of.
    tied = [0.0] * 20 + USUAL[20:]
    assert "it was 0 already" in judged(tied, [each / 2 for each in tied]).reason


def test_suites_share_alpha():
    fallen = [0.6 if 0.79 < each < 1.01 else each for each in USUAL]
    cases = [
        [case(f"c{number}", turn(margin=each)) for number, each in enumerate(margins)]
        for margins in (USUAL, fallen)
    ]
    both = compare(record(cases[0]), record(cases[1]))
    same = compare(record(cases[0]), record(cases[0]))
    p = gate(policy(), both, TODAY).metrics["margin_p10"].p
    assert p is not None

    rules = policy(alpha=1.5 * p)
    assert "regressed" == gate(rules, both, TODAY).verdict
    entrants = {"a": Entrant(comparison=both), "b": Entrant(comparison=same)}
    assert "inconclusive" == gate_release(rules, entrants, TODAY).verdict


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("+20%", "has the wrong sign"),
        ("-3pp", "is not a limit; lengths, times and margins take a share of the old value"),
        ("-100%", "allows everything"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(limit: str, said: str):
    with pytest.raises(PolicyError, match=said):
        policy(limit)
