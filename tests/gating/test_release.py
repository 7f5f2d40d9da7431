"""
Several suites, one verdict.
"""

from dataclasses import replace
from typing import Any

import pytest

from harness.comparison.compare import Comparison, compare
from harness.errors import ExitCode
from harness.gating.gate import gate
from harness.gating.policy import Policy, default_policy, read_policy
from harness.gating.release import Entrant, Release, explain, gate_release

from .test_gate import SECOND, TODAY, runs

LIMIT = '[limits]\naccuracy = "-3pp"\nsecond_call_rate = "+0pp"\n'


def compared(broken: int, fixed: int, n: int = 400, **fields: Any) -> Comparison:
    return compare(*runs(broken, fixed, n, **fields))


def released(policy: Policy | str = LIMIT, **suites: Comparison) -> Release:
    if isinstance(policy, str):
        policy = read_policy(policy, "gate.toml")
    entrants = {name: Entrant(comparison=each, baseline="v1") for name, each in suites.items()}
    return gate_release(policy, entrants, TODAY)


def words(release: Release) -> dict[str, str]:
    return {name: each.word for name, each in release.suites.items()}


def test_the_worst_required_suite_decides():
    found = released(a=compared(1, 1), b=compared(30, 1), c=compared(12, 9, 120))

    assert ("regressed", ExitCode.REGRESSED) == (found.verdict, found.exit)
    assert {"b": "regressed", "c": "inconclusive", "a": "pass"} == words(found)
    assert ["b", "c", "a"] == list(found.suites)
    assert str(found.reasons[0]).startswith("b: accuracy fell from")


def test_a_release_passes_if_every_required_suite_does():
    found = released(a=compared(1, 1), b=compared(0, 2))

    assert ("pass", ExitCode.PASS) == (found.verdict, found.exit)
    assert "2 required suites passed: a, b" == str(found.reasons[0])


def test_an_advisory_suite_is_judged_and_decides_nothing():
    policy = f'{LIMIT}[suites.b]\ntier = "advisory"\n'
    found = released(policy, a=compared(1, 1), b=compared(30, 1))

    assert "pass" == found.verdict
    assert "regressed" == words(found)["b"]
    assert any("b is advisory and does not decide: regressed" in note for note in found.notes)


def test_an_advisory_suite_takes_nothing_of_alpha():
    policy = f'{LIMIT}[suites.b]\ntier = "advisory"\n'
    with_it = released(policy, a=compared(8, 1), b=compared(30, 20))
    alone = released(a=compared(8, 1))

    judged = [each.suites["a"].verdict for each in (with_it, alone)]
    assert judged[0] == judged[1]


def test_one_suite_is_gated_as_by_itself():
    comparison = compared(8, 1)
    policy = default_policy()
    found = released(policy, a=comparison)

    alone = gate(policy, comparison, TODAY, baseline="v1")
    assert replace(alone, suite="a") == found.suites["a"].verdict


def test_a_suite_that_the_policy_names_and_that_has_no_run_is_not_comparable():
    found = released(f'{LIMIT}[suites.missing]\ntier = "required"\n', a=compared(1, 1))

    assert ("not_comparable", ExitCode.UNDECIDED) == (found.verdict, found.exit)
    assert "missing: no run of this suite, which the policy names" == str(found.reasons[0])


def test_an_advisory_suite_without_a_run_stops_nothing():
    found = released(f'{LIMIT}[suites.missing]\ntier = "advisory"\n', a=compared(1, 1))

    assert "pass" == found.verdict
    assert "not_comparable" == words(found)["missing"]


def test_a_suite_may_have_limits_of_its_own():
    policy = f'{LIMIT}[suites.b.limits]\naccuracy = "-20pp"\n'
    found = released(policy, a=compared(1, 1), b=compared(30, 1))

    assert {"a": "pass", "b": "pass"} == words(found)
    verdict = found.suites["b"].verdict
    assert verdict is not None
    assert ["accuracy"] == list(verdict.metrics)


def test_what_one_gate_would_call_worse_may_be_chance_among_seven():
    loss = compared(8, 2, 120)
    others = {f"s{k}": compared(6, 6, 1000) for k in range(6)}

    assert "regressed" == released(a=loss).verdict
    among = released(a=loss, **others)
    assert "inconclusive" == words(among)["a"]
    verdict = among.suites["a"].verdict
    assert verdict is not None
    metric = verdict.metrics["accuracy"]
    assert metric.p is not None
    assert metric.p_adjusted is not None
    assert metric.p < 0.05 <= metric.p_adjusted
    assert "within chance among the suites" in metric.reason
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low <= 0 <= metric.high


def test_a_loss_in_every_suite_is_found():
    found = released(**{f"s{k}": compared(14, 2) for k in range(7)})

    assert {"regressed"} == set(words(found).values())


def test_second_calls_of_all_suites_share_alpha():
    rise = compared(3, 0, bad=SECOND)
    others = {f"s{k}": compared(1, 1, bad=SECOND) for k in range(6)}

    assert "regressed" == released(a=rise).verdict
    assert "inconclusive" == words(released(a=rise, **others))["a"]


def test_an_inconclusive_release_blocks_where_the_policy_says_so():
    unsure = compared(3, 3, 120)
    warned = released(a=compared(1, 1), b=unsure)
    blocked = released(f'on_inconclusive = "block"\n{LIMIT}', a=compared(1, 1), b=unsure)

    assert ("inconclusive", ExitCode.PASS) == (warned.verdict, warned.exit)
    assert ("inconclusive", ExitCode.UNDECIDED) == (blocked.verdict, blocked.exit)


def test_each_suite_is_held_against_its_anchor_too():
    policy = read_policy(LIMIT, "gate.toml")
    entrants = {
        "a": Entrant(
            comparison=compared(1, 1), baseline="v9", anchored=compared(30, 1), anchor="v1"
        ),
        "b": Entrant(comparison=compared(1, 1), baseline="v9"),
    }
    found = gate_release(policy, entrants, TODAY)

    assert {"a": "regressed", "b": "pass"} == words(found)
    assert str(found.reasons[0]).startswith("a: against the anchor v1: accuracy fell")


def test_the_json_has_each_suite_with_its_tier_and_its_whole_verdict():
    found = released(
        f'{LIMIT}[suites.gone]\ntier = "advisory"\n', a=compared(30, 1), b=compared(1, 1)
    ).to_json()

    assert {"verdict", "exit", "reasons", "suites"} <= found.keys()
    assert (1, "regressed") == (found["exit"], found["verdict"])
    assert ("required", "regressed") == tuple(found["suites"]["a"][k] for k in ("tier", "verdict"))
    assert 30 == len(found["suites"]["a"]["broken"])
    assert found["suites"]["a"]["metrics"]["accuracy"]["pairs"] == 400
    assert ("advisory", "not_comparable") == tuple(
        found["suites"]["gone"][k] for k in ("tier", "verdict")
    )


def test_explain_goes_suite_by_suite():
    lines = explain(released(a=compared(30, 1), b=compared(1, 1)))

    assert lines[0].startswith("regressed (exit 1), gate.toml: a: accuracy fell")
    assert ["suite a (required)", "suite b (required)"] == [
        line for line in lines if line.startswith("suite ")
    ]


@pytest.mark.parametrize("tiers", [["advisory"], []])
def test_nothing_is_released_if_no_suite_is_required(tiers: list[str]):
    policy = LIMIT + "".join(f'[suites.a]\ntier = "{tier}"\n' for tier in tiers)
    found = released(policy, **({"a": compared(1, 1)} if tiers else {}))

    assert ("not_comparable", ExitCode.UNDECIDED) == (found.verdict, found.exit)
    assert "no suite is required, so nothing decides" == str(found.reasons[0])
