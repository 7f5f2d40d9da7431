import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backends.base import Generation
from harness.checkpoints.checkpoint import Checkpoint
from harness.comparison.compare import compare
from harness.comparison.paired import PairedRate, Unit, rate_of
from harness.errors import ExitCode
from harness.gating.evidence import effect
from harness.gating.gate import gate
from harness.gating.policy import Limit, Policy, default_policy, read_policy
from harness.gating.rates import judge_rate
from harness.gating.verdict import WORST_FIRST, Verdict, explain
from harness.provenance import Environment
from harness.runs.record import RunRecord, Selection, SuiteReference, with_interval
from harness.runs.serving import Serving
from harness.scoring.metrics import measure
from harness.scoring.results import CaseResult, Finding, Status, TurnResult
from harness.wording import points

TODAY = date(2026, 11, 22)

GOOD: Mapping[str, Any] = {"status": "correct", "codes": ()}
BAD: Mapping[str, Any] = {"status": "incorrect", "codes": ("wrong_value",)}
SECOND: Mapping[str, Any] = {"status": "incorrect", "codes": ("extra_call",)}


def answer(
    identity: str, what: Mapping[str, Any] = GOOD, *, repeat: int = 0, **fields: Any
) -> CaseResult:
    """
    One case of one turn; *fields* go to the turn if it knows them, else to the case.
    """
    status: Status = what["status"]
    turn: dict[str, Any] = {"expects": "calls", "follows_result": False, "calls": ()}
    case: dict[str, Any] = {
        "digest": f"sha256:{identity}",
        "group": None,
        "tags": (),
        "must_pass": False,
        "quarantined": False,
        "forbids_extra_calls": True,
    }
    for name, value in fields.items():
        (turn if name in TurnResult.__slots__ else case)[name] = value
    findings = tuple(
        Finding(code=code, detail="", kind="duplicate" if code == "extra_call" else None)
        for code in what["codes"]
    )
    judged = TurnResult(status=status, status_lenient=status, findings=findings, **turn)
    return CaseResult(id=identity, repeat=repeat, turns=(judged,), **case)


def record(cases: Sequence[CaseResult], **fields: Any) -> RunRecord:
    defaults: dict[str, Any] = {
        "harness_version": "0.1.0",
        "scorer_version": 1,
        "suite": SuiteReference(name="toy", version="1.0.0", digest="sha256:suite"),
        "selection": Selection(),
        "checkpoint": Checkpoint(reference="hf:a", dialect="hermes", dialect_version=1),
        "backend": Serving(name="transformers", dtype="float32", device="cpu", batch="auto"),
        "generation": Generation(),
        "environment": Environment(hardware={"cpu": "toy"}),
        "metrics": {name: with_interval(name, found) for name, found in measure(cases).items()},
        "confusion": {},
        "cases": tuple(cases),
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:00+00:00",
    }
    return RunRecord(**(defaults | fields))


def runs(
    broken: int, fixed: int, n: int, *, bad: Mapping[str, Any] = BAD, **fields: Any
) -> tuple[RunRecord, RunRecord]:
    """
    Two runs of *n* cases, the first *broken* of which broke; the next *fixed* were fixed.
    """
    names = [f"case-{k}" for k in range(n)]
    old = [
        answer(name, bad if broken <= k < broken + fixed else GOOD, **fields)
        for k, name in enumerate(names)
    ]
    new = [answer(name, bad if k < broken else GOOD, **fields) for k, name in enumerate(names)]
    return record(old), record(new)


@cache
def accuracy_only(spelled: str = "-3pp") -> Policy:
    return read_policy(f'[limits]\naccuracy = "{spelled}"', "test")


def decide(old: RunRecord, new: RunRecord, policy: Policy | None = None, **options: Any) -> Verdict:
    return gate(policy or default_policy(), compare(old, new), TODAY, **options)


def rank(verdict: str) -> int:
    """
    How bad: 0 is pass.
    """
    return WORST_FIRST[::-1].index(verdict)  # type: ignore[arg-type]


# A margin


@pytest.mark.parametrize(
    ("broken", "fixed", "n", "expected"),
    [
        (0, 0, 120, "pass"),
        (0, 0, 99, "pass"),
        (0, 0, 98, "inconclusive"),
        (0, 0, 60, "inconclusive"),
        (0, 0, 1, "inconclusive"),
        (0, 20, 60, "pass"),
        (1, 0, 120, "inconclusive"),
        (1, 1, 120, "pass"),
        (1, 2, 120, "pass"),
        (3, 3, 120, "inconclusive"),
        (3, 3, 400, "pass"),
        (3, 0, 60, "inconclusive"),
        (4, 0, 60, "regressed"),
        (4, 0, 5, "regressed"),
        (4, 1, 60, "inconclusive"),
        (5, 0, 1000, "pass"),
        (16, 2, 120, "regressed"),
        (2, 16, 120, "pass"),
        (60, 60, 120, "inconclusive"),
        (65, 50, 400, "inconclusive"),
        (40, 20, 400, "regressed"),
        (120, 0, 120, "regressed"),
    ],
)
def test_a_margin_decides_in_three_ways(broken: int, fixed: int, n: int, expected: str):
    verdict = decide(*runs(broken, fixed, n), accuracy_only())

    assert expected == verdict.metrics["accuracy"].verdict
    assert expected == verdict.verdict


def test_a_loss_beyond_chance_within_the_margin_passes_and_says_so():
    """
    Five of a thousand broken and none fixed is not chance, and is less than three points.
    """
    verdict = decide(*runs(5, 0, 1000), accuracy_only())

    assert verdict.metrics["accuracy"].p is not None
    assert verdict.metrics["accuracy"].p < 0.05
    assert "beyond chance" in verdict.reasons[0].text
    assert "ruled out" in verdict.reasons[0].text


def test_equal_totals_with_many_changes_do_not_pass():
    """
    Ten broken and ten fixed leave the accuracy as it was; that proves little.
    """
    assert "inconclusive" == decide(*runs(10, 10, 120), accuracy_only()).verdict


def test_a_wider_margin_allows_more():
    assert "inconclusive" == decide(*runs(3, 1, 120), accuracy_only("-3pp")).verdict
    assert "pass" == decide(*runs(3, 1, 120), accuracy_only("-10pp")).verdict


def test_alpha_sets_how_much_chance_is_allowed():
    strict = read_policy('alpha = 0.01\n[limits]\naccuracy = "-3pp"', "test")

    assert "regressed" == decide(*runs(5, 0, 60), accuracy_only()).verdict
    assert "inconclusive" == decide(*runs(5, 0, 60), strict).verdict


def test_the_numbers_of_a_verdict():
    metric = decide(*runs(16, 2, 120)).metrics["accuracy"]

    assert 118 / 120 == metric.old
    assert 104 / 120 == metric.new
    assert pytest.approx(-14 / 120) == metric.delta
    assert (120, 16, 2) == (metric.pairs, metric.broken, metric.fixed)
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low < -14 / 120 < metric.high < 0
    assert pytest.approx(0.000364, abs=1e-6) == metric.p


def test_a_lower_is_better_rate_is_turned_round():
    """
    With a margin, more malformed calls are a rise: delta and its interval are positive.
    """
    policy = read_policy('[limits]\nmalformed_rate = "+3pp"', "test")
    bad = {"status": "malformed", "codes": ("malformed_call",)}

    verdict = decide(*runs(16, 2, 120, bad=bad), policy)
    better = decide(*runs(2, 16, 120, bad=bad), policy)

    metric = verdict.metrics["malformed_rate"]
    assert "regressed" == verdict.verdict
    assert metric.delta is not None
    assert metric.low is not None
    assert 0 < metric.low < metric.delta
    assert "rise" in metric.reason
    assert "pass" == better.verdict


# A zero margin


@pytest.mark.parametrize(
    ("broken", "fixed", "n", "expected"),
    [
        (0, 0, 10, "pass"),
        (1, 0, 120, "pass"),
        (2, 0, 120, "pass"),
        (3, 0, 120, "regressed"),
        (3, 0, 3, "regressed"),
        (3, 1, 120, "pass"),
        (4, 1, 120, "pass"),
        (5, 0, 1000, "regressed"),
        (6, 1, 1000, "regressed"),
        (0, 9, 120, "pass"),
        (9, 9, 120, "pass"),
    ],
)
def test_second_calls_must_not_rise(broken: int, fixed: int, n: int, expected: str):
    verdict = decide(*runs(broken, fixed, n, bad=SECOND))

    assert expected == verdict.metrics["second_call_rate"].verdict


def test_second_calls_count_only_where_both_runs_began_rightly():
    """
    Five cases that got the wrong tool before and a second call now are not newly offending.
    """
    wrong = {"status": "incorrect", "codes": ("wrong_tool",)}
    names = [f"case-{k}" for k in range(120)]
    old = record([answer(name, wrong if k < 5 else GOOD) for k, name in enumerate(names)])
    new = record([answer(name, SECOND if k < 5 else GOOD) for k, name in enumerate(names)])

    metric = decide(old, new).metrics["second_call_rate"]

    assert ("pass", 115) == (metric.verdict, metric.pairs)


def test_second_calls_alone_fail_a_gate():
    verdict = decide(*runs(3, 0, 200, bad=SECOND))

    assert "regressed" == verdict.verdict
    assert "second calls" in verdict.reasons[0].text


def test_calls_after_a_result_fail_a_gate():
    bad = {"status": "incorrect", "codes": ("call_after_result",)}
    old, new = runs(3, 0, 120, bad=bad, expects="abstain", follows_result=True)

    verdict = decide(old, new)

    assert "regressed" == verdict.metrics["call_after_result_rate"].verdict
    assert "on 120 common turns" in verdict.metrics["call_after_result_rate"].reason


# A budget


@pytest.mark.parametrize(
    ("offend", "n", "expected"),
    [(0, 100, "inconclusive"), (0, 150, "pass"), (1, 300, "pass"), (20, 300, "regressed")],
)
def test_a_budget_holds_whatever_the_baseline_did(offend: int, n: int, expected: str):
    policy = read_policy('[limits]\nsecond_call_rate = "+0pp, <=2%"', "test")
    names = [f"case-{k}" for k in range(n)]
    run = record([answer(name, SECOND if k < offend else GOOD) for k, name in enumerate(names)])

    assert expected == decide(run, run, policy).verdict


def test_a_floor_holds_whatever_the_baseline_did():
    run = record([answer(f"case-{k}", BAD if k < 60 else GOOD) for k in range(200)])

    assert "pass" == decide(run, run, accuracy_only("-3pp, >=60%")).verdict
    assert "inconclusive" == decide(run, run, accuracy_only("-3pp, >=69%")).verdict
    assert "regressed" == decide(run, run, accuracy_only("-3pp, >=90%")).verdict


def test_a_budget_does_not_soften_a_regression():
    """
    Three new offenders of 120: too many new ones, though 2.5 % does not miss a budget of 5 %.
    """
    policy = read_policy('[limits]\nsecond_call_rate = "+0pp, <=5%"', "test")

    assert "regressed" == decide(*runs(3, 0, 120, bad=SECOND), policy).verdict


# Groups and repeats


def grouped(broken: int, fixed: int, n: int, size: int) -> tuple[RunRecord, RunRecord]:
    """
    The same runs as `runs`, each *size* neighbours a group.
    """
    old, new = (
        record([replace(case, group=f"g{k // size}") for k, case in enumerate(run.cases)])
        for run in runs(broken, fixed, n)
    )
    return old, new


def test_alike_answers_widen_the_interval():
    apart = decide(*runs(10, 0, 120)).metrics["accuracy"]
    alike = decide(*grouped(10, 0, 120, 5)).metrics["accuracy"]

    assert apart.low is not None
    assert alike.low is not None
    assert alike.low < apart.low - 0.02
    assert apart.bound is not None
    assert alike.bound is not None
    assert alike.bound > apart.bound + 0.02


def test_a_whole_group_that_was_fixed_raises_no_doubt():
    assert "pass" == decide(*grouped(0, 0, 400, 5), accuracy_only()).verdict
    assert "pass" == decide(*grouped(0, 5, 400, 5), accuracy_only()).verdict


def test_groups_that_break_as_one_are_few_pieces_of_evidence():
    """
    Three groups of five broken: beyond chance for fifteen cases, not for three groups.
    """
    names = [f"case-{k}" for k in range(120)]

    def run(broken: int, grouped: bool) -> RunRecord:
        return record(
            [
                answer(name, BAD if k < broken else GOOD, group=f"g{k // 5}" if grouped else None)
                for k, name in enumerate(names)
            ]
        )

    assert "regressed" == decide(run(0, False), run(15, False), accuracy_only()).verdict
    assert "inconclusive" == decide(run(0, True), run(15, True), accuracy_only()).verdict


def test_a_suite_of_a_few_groups_is_not_blind():
    """
    Three groups could never be beyond chance; then the cases count by themselves, and it is said.
    """
    old, new = runs(40, 0, 120)
    split = [
        [replace(case, group=f"g{k % 3}") for k, case in enumerate(r.cases)] for r in (old, new)
    ]

    verdict = decide(record(split[0]), record(split[1]), accuracy_only())

    assert "regressed" == verdict.verdict
    assert any("only 3 groups" in note for note in verdict.notes)


def alike(
    draws: int, groups: int, size: int, *, drop: float = 0.0, discordance: float = 0.0
) -> Iterator[PairedRate]:
    """
    Draw pairs of answers whose correctness, and what changed of it, is shared within groups: a
    case does what its group does nine times in ten, a correlation of 0.8.
    """
    dice = random.Random(11)
    for _ in range(draws):
        units = []
        for group in range(groups):
            fate, right = dice.random(), dice.random()
            for each in range(size):
                u = fate if dice.random() < 0.9 else dice.random()
                v = right if dice.random() < 0.9 else dice.random()
                broke = u < discordance / 2 + drop
                fixed = not broke and u < discordance + drop
                was = broke or (not fixed and v < 0.8)
                units.append(
                    Unit(
                        name=f"case-{group}-{each}",
                        broken=int(broke),
                        fixed=int(fixed),
                        pairs=1,
                        old_hits=int(was),
                        new_hits=int(fixed or (was and not broke)),
                        group=f"group-{group}",
                    )
                )
        yield rate_of(units)


def limit(spelled: str = "-3pp") -> Limit:
    return accuracy_only(spelled).limits["accuracy"]


def test_a_loss_that_hits_whole_groups_rarely_passes_because_none_was_hit():
    """
    24 groups of five, three of a hundred of which break, nothing else: half such runs show no
    change at all, and passed.
    """
    found = [judge_rate("accuracy", limit(), each, 0.05) for each in alike(200, 24, 5, drop=0.03)]

    assert any(not each.broken for each in found)
    assert 0 == sum(each.verdict == "pass" for each in found)


def test_the_sentence_says_how_many_independent_cases_the_suite_was_worth():
    (paired,) = alike(1, 24, 5, discordance=0.05)

    found = judge_rate("accuracy", limit(), paired, 0.05)

    assert "on 120 common cases, worth 28 independent ones:" in found.reason
    assert 120 / 28 == pytest.approx(effect(paired), abs=0.1)


def test_how_alike_a_group_is_shows_in_who_was_right_not_only_in_what_changed():
    """
    Nothing changed. If whole groups are right or wrong, the groups are what was asked.
    """

    def of(right: Callable[[int], bool]) -> PairedRate:
        return rate_of(
            Unit(
                name=f"{k}",
                broken=0,
                fixed=0,
                pairs=1,
                old_hits=int(right(k)),
                new_hits=int(right(k)),
                group=f"{k // 5}",
            )
            for k in range(500)
        )

    whole, mixed = of(lambda k: k // 5 % 2 == 0), of(lambda k: k % 2 == 0)

    assert 4 < effect(whole)
    # Answers say that cases are independent; but nothing changed, which says nothing: the prior.
    assert 1 + 4 * 0.6 == pytest.approx(effect(mixed))


@pytest.mark.simulation
@pytest.mark.parametrize(("size", "most"), [(5, 20), (20, 11)])
def test_single_cases_that_break_while_whole_groups_are_fixed_are_seldom_a_loss(
    size: int, most: int
):
    """
    Equal in the mean, but not exchangeable: flips of whole groups alone alarm in 26 to 62 of 100.
    """
    dice, alarms = random.Random(3), 0
    for _ in range(150):
        fixes = [dice.random() < 0.04 for _ in range(120 // size if size == 5 else 25)]
        units = []
        for group, fixed in enumerate(fixes):
            for each in range(size):
                broke = not fixed and dice.random() < (0.04 if size == 5 else 0.015)
                was = broke or (not fixed and dice.random() < 0.8)
                units.append(
                    Unit(
                        name=f"{group}-{each}",
                        broken=int(broke),
                        fixed=int(fixed),
                        pairs=1,
                        old_hits=int(was),
                        new_hits=int(fixed or (was and not broke)),
                        group=f"{group}",
                    )
                )
        alarms += judge_rate("accuracy", limit(), rate_of(units), 0.05).verdict == "regressed"

    assert alarms <= most


@pytest.mark.parametrize(("groups", "expected"), [(3, "inconclusive"), (4, "inconclusive")])
def test_a_few_groups_never_pass(groups: int, expected: str):
    """
    With 3 groups of 400 and no change, "a drop beyond the 3 points is ruled out" was said.
    """
    old, new = grouped(0, 0, groups * 400, 400)

    found = decide(old, new, accuracy_only()).metrics["accuracy"]

    assert expected == found.verdict
    assert f"the cases form only {groups} groups, and under 5 no drop is ruled out" in found.reason
    assert "inconclusive" == decide(*grouped(0, 0, 1200, 1200), accuracy_only()).verdict


def test_answers_the_same_to_the_token_pass_however_few_groups_they_form():
    comparison = compare(*grouped(0, 0, 120, 40))

    same = gate(accuracy_only(), replace(comparison, unchanged=True), TODAY)

    assert "inconclusive" == gate(accuracy_only(), comparison, TODAY).verdict
    assert "pass" == same.verdict
    assert same.reasons[0].text.endswith("; nothing changed: every answer is the same to the token")


@given(
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(1, 150),
    st.sampled_from([1, 2, 5, 30]),
    st.sampled_from([0.01, 0.05, 0.2]),
    st.sampled_from(["accuracy", "second_call_rate"]),
    st.sampled_from([0.0, 0.03]),
)
@settings(max_examples=150, deadline=None)
def test_no_verdict_contradicts_its_interval(
    broken: int, fixed: int, more: int, size: int, alpha: float, name: str, margin: float
):
    """
    Whatever is called worse has an interval above no loss, whatever passes one below the margin.
    """
    flips = [(1, 0)] * broken + [(0, 1)] * fixed + [(1, 1)] * more
    if name == "second_call_rate":
        flips = [(new, old) for old, new in flips]
    paired = rate_of(
        Unit(
            name=f"{k}",
            broken=int(k < broken),
            fixed=int(broken <= k < broken + fixed),
            pairs=1,
            old_hits=old,
            new_hits=new,
            group=f"{k // size}",
        )
        for k, (old, new) in enumerate(flips)
    )

    found = judge_rate(name, Limit(margin=margin, text=""), paired, alpha)

    assert found.low is not None
    assert found.high is not None
    low, high = (-found.high, -found.low) if name == "accuracy" else (found.low, found.high)
    assert low <= (broken - fixed) / len(flips) + 1e-9 <= high + 2e-9
    if found.verdict == "regressed":
        assert low >= 0
        assert high >= margin
    elif margin and found.verdict == "pass":
        assert high < margin
    else:
        assert low <= 0


def test_repeats_that_all_agree_do_not_add_cases():
    """
    24 cases five times are not 120 cases.
    """
    run = record([answer(f"case-{k}", repeat=r) for k in range(24) for r in range(5)])

    assert "inconclusive" == decide(run, run, accuracy_only()).verdict


def test_repeats_of_a_broken_case_are_one_piece_of_evidence():
    def run(what: Mapping[str, Any]) -> RunRecord:
        return record(
            [
                answer(f"case-{k}", what if k == 0 else GOOD, repeat=r)
                for k in range(30)
                for r in range(5)
            ]
        )

    verdict = decide(run(GOOD), run(BAD), accuracy_only())

    assert 0.25 == verdict.metrics["accuracy"].p
    assert "inconclusive" == verdict.verdict
    assert ("case-0",) == verdict.broken
    assert "150 answers to 30 common cases" in verdict.reasons[0].text


@pytest.mark.parametrize("size", [5, 10, 24])
def test_a_few_groups_that_break_as_one_are_few_pieces_of_evidence(size: int):
    """
    One group of at most nine broke: that is one thing that happened, however many cases are in it.
    """
    groups = 5 if size == 24 else 8
    verdict = decide(*grouped(size, 0, groups * size, size), accuracy_only())

    assert "inconclusive" == verdict.verdict
    assert any(f"only {groups} groups" in note for note in verdict.notes)


def test_second_calls_of_one_group_are_one_newly_bad():
    old, new = (
        record([replace(case, group=f"g{k // 5}") for k, case in enumerate(run.cases)])
        for run in runs(5, 0, 120, bad=SECOND)
    )

    assert "pass" == decide(old, new).metrics["second_call_rate"].verdict


def test_cases_of_one_group_count_by_themselves_and_it_is_said():
    verdict = decide(*grouped(16, 2, 120, 120), accuracy_only())

    assert "regressed" == verdict.verdict
    assert any("all cases form one group" in note for note in verdict.notes)


# Lengths and times


def lengths(old: float, new: float, n: int, name: str = "output_tokens") -> list[RunRecord]:
    return [record([answer(f"case-{k}", **{name: v}) for k in range(n)]) for v in (old, new)]


@pytest.mark.parametrize(
    ("old", "new", "n", "expected"),
    [
        (100, 100, 120, "pass"),
        (100, 50, 120, "pass"),
        (100, 110, 120, "pass"),
        (100, 111, 120, "regressed"),
        (100, 111, 20, "regressed"),
        (100, 111, 5, "inconclusive"),
        (100, 111, 4, "inconclusive"),
        (40, 47, 120, "pass"),
        (40, 48, 120, "regressed"),
        (0, 300, 120, "regressed"),
        (0, 7, 120, "pass"),
        (300, 0, 120, "pass"),
    ],
)
@pytest.mark.parametrize("name", ["output_tokens_p50", "output_tokens_p95"])
def test_answers_must_not_get_longer(name: str, old: int, new: int, n: int, expected: str):
    policy = read_policy(f'[limits]\n{name} = "+10%"', "test")
    metric = decide(*lengths(old, new, n), policy).metrics[name]

    assert expected == metric.verdict
    assert new - old == metric.delta


def sampled(broken: int, repeats: int) -> RunRecord:
    cases = [
        answer(f"case-{k}", BAD if k < broken else GOOD, repeat=repeat)
        for k in range(120)
        for repeat in range(repeats)
    ]
    return record(cases, generation=Generation(do_sample=True))


def test_a_run_that_sampled_once_is_told_to_be_one_draw():
    once, thrice = decide(sampled(0, 1), sampled(0, 1)), decide(sampled(0, 3), sampled(0, 3))

    assert any("of each case there is one draw" in note for note in once.notes)
    assert not any("one draw" in note for note in (*thrice.notes, *decide(*runs(0, 0, 9)).notes))


def test_sampled_repeats_are_paired_by_case_and_never_counted_as_cases():
    """
    Of 2 of 120 cases all five answers broke: 10 answers, 2 pieces of evidence.
    """
    metric = decide(sampled(0, 5), sampled(2, 5), accuracy_only()).metrics["accuracy"]

    assert (600, 10, 0.125) == (metric.pairs, metric.broken, metric.p)


def test_a_few_longer_answers_are_no_longer_typical_answer_but_a_longer_tail():
    """
    One answer in ten became very long: the median cannot show it, the 95th percentile does.
    """
    policy = read_policy('[limits]\noutput_tokens_p50 = "+10%"\noutput_tokens_p95 = "+10%"', "test")
    old = record([answer(f"case-{k}", output_tokens=40) for k in range(120)])
    new = record([answer(f"case-{k}", output_tokens=40 if k % 10 else 400) for k in range(120)])

    found = decide(old, new, policy).metrics

    assert "pass" == found["output_tokens_p50"].verdict
    assert "regressed" == found["output_tokens_p95"].verdict


def test_a_model_that_got_better_is_not_blocked_for_a_few_tokens():
    """
    From 62.5 to 87.5 % right, none broken, 20 to 23 tokens.
    """
    old, new = (
        record(
            [
                answer(f"case-{k}", BAD if k < wrong else GOOD, output_tokens=tokens)
                for k in range(120)
            ]
        )
        for wrong, tokens in ((45, 20), (15, 23))
    )

    verdict = decide(old, new)

    assert ("pass", "pass") == (verdict.verdict, verdict.metrics["output_tokens_p50"].verdict)
    assert 75 == verdict.metrics["output_tokens_p50"].pairs


def test_wrong_answers_have_no_say_in_how_long_answers_are():
    old = record([answer(f"case-{k}", output_tokens=40) for k in range(120)])
    new = record(
        [
            answer(f"case-{k}", *([BAD] if k < 80 else []), output_tokens=400 if k < 80 else 40)
            for k in range(120)
        ]
    )

    metric = decide(old, new).metrics["output_tokens_p50"]

    assert ("pass", 40) == (metric.verdict, metric.pairs)


def test_answers_of_one_group_that_got_longer_together_are_one_piece_of_evidence():
    """
    Half of twelve groups got much longer, half as much shorter: each case alone would be sure.
    """
    grouped = [("up" if k % 12 < 7 else "down", f"group-{k % 12}") for k in range(240)]
    old = record([answer(f"{k}", output_tokens=100, group=g) for k, (_, g) in enumerate(grouped)])
    new = record(
        [
            answer(f"{k}", output_tokens=160 if way == "up" else 63, group=g)
            for k, (way, g) in enumerate(grouped)
        ]
    )

    assert "inconclusive" == decide(old, new).metrics["output_tokens_p50"].verdict


@pytest.mark.simulation
@pytest.mark.parametrize("spread", [0.3, 0.8])
def test_lengths_of_an_equal_model_rarely_regress(spread: float):
    """
    Every answer differs; the median alone rose beyond a tenth in 9 to 25 of 100 such gates.
    """
    dice = random.Random(5)
    alarms = 0
    for _ in range(200):
        lengths = [100 * math.exp(dice.gauss(0, 0.5)) for _ in range(60)]
        old = record([answer(f"{k}", output_tokens=round(v)) for k, v in enumerate(lengths)])
        new = record(
            [
                answer(f"{k}", output_tokens=round(v * math.exp(dice.gauss(0, spread))))
                for k, v in enumerate(lengths)
            ]
        )
        alarms += decide(old, new).metrics["output_tokens_p50"].verdict == "regressed"

    assert alarms <= 6


def test_lengths_never_speak_before_accuracy():
    """
    A policy may name them first, and they may decide alone: the headline is accuracy's.
    """
    policy = read_policy('[limits]\noutput_tokens_p50 = "+10%"\naccuracy = "-3pp"', "test")
    answers = {
        (wrong, tokens): record(
            [answer(f"{k}", BAD if k < wrong else GOOD, output_tokens=tokens) for k in range(120)]
        )
        for wrong in (0, 30)
        for tokens in (40, 80)
    }

    both = decide(answers[0, 40], answers[30, 80], policy)
    alone = decide(answers[30, 40], answers[0, 80], policy)

    assert ["regressed"] * 2 == [reason.verdict for reason in both.reasons]
    assert both.reasons[0].text.startswith("accuracy fell")
    assert "regressed" == alone.verdict
    assert alone.reasons[0].text.startswith(
        "accuracy rose from 75.0% to 100.0% on 120 common cases: none broke, 30 fixed; but output "
        "tokens p50 rose from 40 to 80 on 90 answers correct in both runs"
    )


@pytest.mark.parametrize("cost", ["output_tokens", "latency_ms"])
def test_neither_lengths_nor_times_hide_a_loss_that_is_not_settled(cost: str):
    names = {"output_tokens": "output_tokens_p50", "latency_ms": "latency_ms_p50"}
    policy = read_policy(f'[limits]\n{names[cost]} = "+10%"\naccuracy = "-3pp"', "test")
    old = record([answer(f"{k}", **{cost: 40}) for k in range(120)])
    new = record([answer(f"{k}", BAD if k < 3 else GOOD, **{cost: 80}) for k in range(120)])

    verdict = decide(old, new, policy)

    assert ("regressed", "inconclusive") == (verdict.verdict, verdict.metrics["accuracy"].verdict)
    assert verdict.reasons[0].text.startswith("accuracy fell from 100.0% to 97.5%")


@pytest.mark.parametrize("cost", ["output_tokens_p50", "latency_ms_p50"])
def test_neither_lengths_nor_times_speak_before_accuracy_where_both_are_worse(cost: str):
    policy = read_policy(f'[limits]\n{cost} = "+10%"\naccuracy = "-3pp"', "test")
    old = record([answer(f"{k}", output_tokens=40, latency_ms=40.0) for k in range(120)])
    new = record(
        [
            answer(f"{k}", BAD if k < 30 else GOOD, output_tokens=80, latency_ms=80.0)
            for k in range(120)
        ]
    )

    verdict = decide(old, new, policy)

    assert ["regressed"] * 2 == [reason.verdict for reason in verdict.reasons]
    assert verdict.reasons[0].text.startswith("accuracy fell from 100.0% to 75.0%")
    assert cost.partition("_ms")[0].partition("_")[0] in verdict.reasons[1].text


@pytest.mark.parametrize(
    ("ratio", "n", "expected", "overall"),
    [
        (1.00, 120, "pass", "pass"),
        (0.50, 120, "pass", "pass"),
        (1.50, 120, "regressed", "regressed"),
        (1.10, 120, "inconclusive", "pass"),
        (1.08, 20, "inconclusive", "inconclusive"),
        (1.50, 5, "inconclusive", "inconclusive"),
    ],
)
def test_times_of_the_same_hardware_are_gated(ratio: float, n: int, expected: str, overall: str):
    noise = [1.1 ** (k % 5 - 2) for k in range(n)]
    old = record([answer(f"case-{k}", latency_ms=800.0) for k in range(n)])
    new = record([answer(f"case-{k}", latency_ms=800 * ratio * noise[k]) for k in range(n)])

    verdict = decide(old, new)

    assert expected == verdict.metrics["latency_ms_p50"].verdict
    assert overall == verdict.verdict


@pytest.mark.parametrize(
    "change",
    [
        {"environment": Environment(hardware={"cpu": "other"})},
        {"environment": Environment()},
        {"backend": Serving(name="transformers", dtype="float32", device="mps", batch="auto")},
    ],
)
def test_times_of_other_hardware_are_advice(change: dict[str, Any]):
    """
    Ten times as slow, elsewhere: the rest is compared and passes.
    """
    old, new = lengths(800.0, 8000.0, 120, "latency_ms")

    verdict = decide(old, replace(new, **change))

    metric = verdict.metrics["latency_ms_p50"]
    assert ("not_comparable", True) == (metric.verdict, metric.advisory)
    assert "pass" == verdict.verdict
    assert any("latency" in note for note in verdict.notes)


def test_times_of_unknown_hardware_are_advice():
    pair = [
        replace(run, environment=Environment(python="3.11.7"))
        for run in lengths(8.0, 80.0, 120, "latency_ms")
    ]

    assert "not_comparable" == decide(*pair).metrics["latency_ms_p50"].verdict


def test_times_are_not_compared_across_an_allowed_mismatch():
    old, new = lengths(800.0, 8000.0, 120, "latency_ms")
    backend = replace(new.backend, dtype="bfloat16")

    verdict = decide(old, replace(new, backend=backend), allow=["dtype"])

    assert "not_comparable" == verdict.metrics["latency_ms_p50"].verdict
    assert "pass" == verdict.verdict


# What is not measured


def test_a_metric_nobody_could_measure_has_no_say():
    verdict = decide(*runs(0, 0, 120))

    assert "not_measured" == verdict.metrics["call_after_result_rate"].verdict
    assert "not_measured" == verdict.metrics["latency_ms_p50"].verdict
    assert "pass" == verdict.verdict


def test_a_metric_that_got_lost_is_inconclusive():
    old, _ = lengths(100, 100, 120)

    verdict = decide(old, record([answer(f"case-{k}") for k in range(120)]))

    assert "inconclusive" == verdict.metrics["output_tokens_p50"].verdict
    assert "inconclusive" == verdict.verdict


def test_a_policy_none_of_whose_limits_could_be_measured_does_not_pass():
    policy = read_policy('[limits]\nabstention_accuracy = "-3pp"', "test")

    assert "inconclusive" == decide(*runs(0, 0, 120), policy).verdict


# What speaks against the comparison


def part(run: RunRecord) -> RunRecord:
    return replace(run, selection=Selection(limit=120, complete=False))


@pytest.mark.parametrize("side", [0, 1])
def test_a_part_of_a_suite_is_at_best_inconclusive(side: int):
    good, bad = list(runs(0, 0, 120)), list(runs(16, 0, 120))
    good[side], bad[side] = part(good[side]), part(bad[side])

    assert "inconclusive" == decide(*good).verdict
    assert "regressed" == decide(*bad).verdict


@pytest.mark.parametrize(("side", "which"), [(0, "baseline"), (1, "candidate")])
def test_a_part_of_a_suite_hides_neither_gain_nor_loss_behind_the_headline(side: int, which: str):
    gain, loss = list(runs(0, 6, 8)), list(runs(2, 0, 8))
    gain[side], loss[side] = part(gain[side]), part(loss[side])

    heads = [decide(*pair).reasons[0].text for pair in (gain, loss)]

    but = f"but the {which} was asked only a part of its suite"
    on = "on 8 common cases"
    assert [
        f"accuracy rose from 25.0% to 100.0% {on}: none broke, 6 fixed; {but}",
        f"accuracy fell from 100.0% to 75.0% {on}: 2 broke, none fixed; {but}",
    ] == heads


def test_a_doubt_is_all_that_is_said_where_accuracy_was_not_measured():
    old, new = runs(0, 6, 8)
    policy = read_policy('[limits]\nno_call_rate = "+3pp"', "test")

    (first, *_) = decide(part(old), new, policy).reasons

    assert "the baseline was asked only a part of its suite" == first.text


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(("errors", "expected"), [(4, "pass"), (5, "inconclusive")])
def test_over_two_percent_errors_are_at_best_inconclusive(side: int, errors: int, expected: str):
    pair = list(runs(0, 0, 200))
    broke = [
        answer(f"case-{k}", {"status": "error", "codes": ()} if k < errors else GOOD)
        for k in range(200)
    ]
    pair[side] = record(broke)

    assert expected == decide(*pair).verdict


def test_a_crash_is_never_a_score():
    """
    Every answer broke: nothing was compared, and nothing passed or failed.
    """
    old, _ = runs(0, 0, 120)
    new = record([answer(f"case-{k}", {"status": "error", "codes": ()}) for k in range(120)])

    verdict = decide(old, new)

    assert ("not_comparable", ExitCode.UNDECIDED) == (verdict.verdict, verdict.exit)


@pytest.mark.parametrize(
    ("block", "change", "names"),
    [
        ("generation", {"max_new_tokens": 64}, ["generation", "max_new_tokens"]),
        ("backend", {"dtype": "bfloat16"}, ["backend", "dtype", "backend.dtype"]),
        ("backend", {"batch": 1}, ["batch"]),
        ("backend", {"name": "replay"}, ["backend"]),
        ("checkpoint", {"dialect_version": 2}, ["dialect_version"]),
    ],
)
def test_runs_made_differently_are_compared_only_if_allowed(
    block: str, change: dict[str, Any], names: list[str]
):
    old, new = runs(0, 0, 120)
    new = replace(new, **{block: replace(getattr(new, block), **change)})

    verdict = decide(old, new)

    assert ("not_comparable", ExitCode.UNDECIDED) == (verdict.verdict, verdict.exit)
    assert "not_comparable" == decide(old, new, allow=["something.else"]).verdict
    for name in names:
        assert "pass" == decide(old, new, allow=[name]).verdict


def test_an_allowed_mismatch_is_noted():
    old, new = runs(0, 0, 120)
    new = replace(new, backend=replace(new.backend, dtype="bfloat16"))

    refused, allowed = decide(old, new), decide(old, new, allow=["dtype"])

    assert "backend.dtype was float32 and is bfloat16" in refused.reasons[0].text
    assert "--allow-mismatch backend.dtype" in refused.reasons[0].text
    assert any("backend.dtype" in note and "allowed" in note for note in allowed.notes)


def test_runs_made_differently_do_not_regress():
    """
    A loss that another precision may have made is not held against the checkpoint.
    """
    old, new = runs(60, 0, 120)
    new = replace(new, generation=Generation(max_new_tokens=4))

    assert "not_comparable" == decide(old, new).verdict


def test_a_renamed_suite_is_not_comparable():
    old, new = runs(0, 0, 120)

    verdict = decide(old, replace(new, suite=replace(new.suite, name="other")))

    assert "not_comparable" == verdict.verdict
    assert "suite.name was toy and is other" in verdict.reasons[0].text


def test_runs_without_a_common_case_are_not_comparable():
    old, _ = runs(0, 0, 120)

    verdict = decide(old, record([answer(f"new-{k}") for k in range(120)]))

    assert "not_comparable" == verdict.verdict
    assert "no case in common" in verdict.reasons[0].text


def test_a_case_that_left_the_suite_is_listed():
    old, _ = runs(0, 0, 121)
    new = record([*old.cases[1:120], replace(old.cases[120], digest="sha256:x"), answer("fresh")])

    verdict = decide(old, new)

    assert (("fresh",), ("case-0",), ("case-120",)) == (
        verdict.added,
        verdict.removed,
        verdict.changed,
    )
    assert any("not in the candidate: 1 case (case-0)" in note for note in verdict.notes)


# Cases that must pass


def must_pass(what: Mapping[str, Any]) -> RunRecord:
    return record(
        [answer("vital", what, must_pass=True), *(answer(f"case-{k}") for k in range(120))]
    )


def test_one_case_that_must_pass_decides_alone():
    verdict = decide(must_pass(GOOD), must_pass(BAD))

    assert ("regressed", ExitCode.REGRESSED) == (verdict.verdict, verdict.exit)
    assert "1 case that must pass failed: vital" == verdict.reasons[0].text


def test_one_that_failed_before_is_still_failing_not_regressed():
    verdict = decide(must_pass(BAD), must_pass(BAD))

    assert ("still_failing", ExitCode.REGRESSED) == (verdict.verdict, verdict.exit)
    assert "1 case that must pass failed in both runs: vital" == verdict.reasons[0].text
    assert "must_pass vital: still failing" in explain(verdict)


def test_one_that_newly_failed_is_named_before_those_still_failing():
    old, new = must_pass(GOOD), must_pass(BAD)
    both = answer("old-sore", BAD, must_pass=True)
    old, new = record([*old.cases, both]), record([*new.cases, both])

    verdict = decide(old, new)

    assert "regressed" == verdict.verdict
    assert [
        "1 case that must pass failed: vital",
        "1 case that must pass failed in both runs: old-sore",
    ] == [reason.text for reason in verdict.reasons[:2]]


def test_one_that_heads_the_verdict_does_not_hide_a_loss_of_accuracy():
    """
    Of so few cases the loss is not beyond chance: the case that must pass decides.
    """
    right, wrong = ([answer(f"case-{k}", what) for k in range(2)] for what in (GOOD, BAD))
    for before, head in (
        (BAD, "1 case that must pass failed in both runs: vital; accuracy fell from 66.7%"),
        (GOOD, "1 case that must pass failed: vital; accuracy fell from 100.0%"),
    ):
        old = record([answer("vital", before, must_pass=True), *right])
        new = record([answer("vital", BAD, must_pass=True), *wrong])

        assert decide(old, new).reasons[0].text.startswith(head)


def test_a_regression_heads_the_verdict_before_one_that_is_still_failing():
    old = must_pass(BAD)
    new = record([old.cases[0], *(replace(case) for case in runs(30, 0, 120)[1].cases)])

    first, second, *_ = decide(old, new).reasons

    assert first.text.startswith("accuracy fell from 99.2% to 74.4%")
    assert "1 case that must pass failed in both runs: vital" == second.text


def test_one_without_a_partner_is_not_called_still_failing():
    new = must_pass(BAD)

    assert "regressed" == decide(record(new.cases[1:]), new).verdict


def test_it_decides_though_the_runs_are_not_comparable():
    new = replace(must_pass(BAD), generation=Generation(max_new_tokens=4))

    assert "regressed" == decide(must_pass(GOOD), new).verdict


def test_it_does_not_fail_by_a_crash_and_does_not_pass_by_one():
    assert (
        "inconclusive"
        == decide(must_pass(GOOD), must_pass({"status": "error", "codes": ()})).verdict
    )


def test_a_case_that_must_pass_and_passes_changes_nothing():
    assert "pass" == decide(must_pass(GOOD), must_pass(GOOD)).verdict


# The whole


def test_the_worst_of_all_limits_decides():
    old, new = runs(0, 0, 60, bad=BAD)
    verdict = decide(old, new)

    assert ["inconclusive", "pass"] == [
        verdict.metrics[name].verdict for name in ("accuracy", "second_call_rate")
    ]
    assert "inconclusive" == verdict.verdict


@pytest.mark.parametrize(
    ("counts", "on_inconclusive", "expected"),
    [
        ((0, 0, 120), "warn", 0),
        ((0, 0, 120), "block", 0),
        ((16, 2, 120), "warn", 1),
        ((16, 2, 120), "block", 1),
        ((0, 0, 60), "warn", 0),
        ((0, 0, 60), "block", 3),
    ],
)
def test_exit_codes(counts: tuple[int, int, int], on_inconclusive: str, expected: int):
    policy = read_policy(f'on_inconclusive = "{on_inconclusive}"', "test")

    assert expected == decide(*runs(*counts), policy).exit


@pytest.mark.parametrize(("errors", "expected"), [(2, 0), (3, 3), (70, 3)])
@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_a_gate_that_measured_little_never_exits_0(errors: int, expected: int, side: str):
    """
    Whatever the policy makes of inconclusive: 3 of 120 are more than the 2 % that may break.
    """
    sound, other = runs(0, 0, 120)
    broken = record(
        [
            answer(case.id, {"status": "error", "codes": ()}) if k < errors else case
            for k, case in enumerate(other.cases)
        ]
    )
    pair = (broken, sound) if side == "baseline" else (sound, broken)

    verdict = decide(*pair, read_policy('on_inconclusive = "warn"', "test"))

    assert expected == verdict.exit


def test_an_anchor_that_was_measured_too_little_blocks_as_well():
    old, new = runs(0, 0, 60)
    warned = decide(old, new)
    blocked = replace(warned, exit=ExitCode.UNDECIDED)

    assert "inconclusive" == warned.with_anchor(blocked).verdict
    assert 3 == warned.with_anchor(blocked).exit == blocked.with_anchor(warned).exit


def test_the_verdict_as_json():
    old, new = runs(16, 2, 120)
    verdict = decide(old, replace(new, checkpoint=replace(new.checkpoint, reference="hf:b")))

    data = json.loads(json.dumps(verdict.to_json(), allow_nan=False))

    assert "regressed" == data["verdict"]
    assert 1 == data["exit"]
    assert [f"case-{k}" for k in range(16)] == data["broken"]
    assert ["case-16", "case-17"] == data["fixed"]
    assert [[], [], []] == [data[key] for key in ("added", "removed", "changed")]
    assert {"verdict", "old", "new", "delta", "low", "high", "p", "pairs"} <= set(
        data["metrics"]["accuracy"]
    )
    expected = {"field": "checkpoint.reference", "old": "hf:a", "new": "hf:b", "effect": "compared"}
    assert [expected] == data["differences"]
    assert "2026-11-22" == data["date"]
    assert all(isinstance(reason, str) for reason in data["reasons"])


def test_reasons_are_sentences_for_people():
    assert (
        "accuracy fell from 98.3% to 86.7% on 120 common cases: 16 broke, 2 fixed; the drop "
        "of 11.7 points (90% interval 6.4 to 17.9) is beyond chance (p 0.00036) and more than the "
        "3 points allowed; a comparison of this size sees a drop of 7.4 points in 4 of 5 tries"
    ) == decide(*runs(16, 2, 120)).reasons[0].text


@pytest.mark.parametrize(
    ("broken", "fixed", "n", "says"),
    [
        (1, 1, 120, "the drop seen is 0 points (90% interval -2.9 to 2.9); a drop beyond the 3 "),
        (1, 4, 120, "a gain of 2.5 points (90% interval -0.7 to 6.5) was seen; a drop beyond"),
        (4, 1, 120, "the drop of 2.5 points (90% interval -0.7 to 6.5) is within chance (p 0.11)"),
        (0, 0, 60, "the drop seen is 0 points (90% interval -4.9 to 4.9), but a drop of up to 4.9"),
    ],
)
def test_every_reason_gives_the_change_with_its_interval(
    broken: int, fixed: int, n: int, says: str
):
    assert says in decide(*runs(broken, fixed, n), accuracy_only()).metrics["accuracy"].reason


def test_the_example_of_the_guide_ends_in_the_gates_own_sentence():
    guide = (Path(__file__).parents[2] / "docs" / "gate.md").read_text("utf-8")

    assert f'"{decide(*runs(16, 2, 120)).reasons[0].text}"' in " ".join(guide.split())


def test_an_inconclusive_reason_says_what_would_settle_it():
    verdict = decide(*runs(0, 0, 60), accuracy_only())

    assert "about 99 cases would settle it" in verdict.reasons[0].text
    assert "sees a drop of 10 points in 4 of 5 tries" in verdict.reasons[0].text
    assert 99 == verdict.metrics["accuracy"].needed


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_what_would_settle_it_is_more_than_there_is(broken: int, fixed: int, more: int):
    metric = decide(*runs(broken, fixed, broken + fixed + more), accuracy_only()).metrics[
        "accuracy"
    ]

    assert ("inconclusive" == metric.verdict) == (metric.needed is not None)
    if metric.needed is not None:
        assert metric.needed > metric.pairs


def test_explain_names_the_rule_of_each_limit():
    lines = explain(decide(*runs(16, 2, 120)))

    assert lines[0].startswith("regressed (exit 1), the built-in policy: accuracy fell")
    assert 'accuracy = "-3pp": regressed' in lines
    assert 'second_call_rate = "+0pp": pass' in lines
    assert any("upper 95% bound" in line for line in lines)
    assert any("seven suites gated one by one" in line for line in lines)


def test_a_local_collapse_is_pointed_at():
    """
    Eight of ten answers with one tag broke: the note names the tag.
    """

    def run(broken: int) -> RunRecord:
        return record(
            [
                answer(
                    f"case-{k}",
                    BAD if k < broken else GOOD,
                    tags=("rare",) if k < 10 else ("plain",),
                )
                for k in range(400)
            ]
        )

    notes = decide(run(0), run(8)).notes

    assert any(note.startswith("look at tag rare: 8 of its 10 answers broke") for note in notes)
    assert not any("look at" in note for note in decide(run(0), run(0)).notes)


# Several zero margins


def needless(second: tuple[int, int], after: tuple[int, int]) -> tuple[RunRecord, RunRecord]:
    """
    Two runs of 200 cases: so many offend newly, and so many do not any more, of either kind.
    """
    again = {"status": "incorrect", "codes": ("call_after_result",)}
    sides: tuple[list[CaseResult], list[CaseResult]] = ([], [])
    for k in range(200):
        result = k >= 100
        (new, gone), bad = (after, again) if result else (second, SECOND)
        turn = {"expects": "abstain", "follows_result": True} if result else {}
        for side, offends in zip(sides, (new <= k % 100 < new + gone, k % 100 < new), strict=True):
            side.append(answer(f"case-{k}", bad if offends else GOOD, **turn))
    return record(sides[0]), record(sides[1])


@pytest.mark.parametrize(
    ("second", "after", "expected"),
    [
        ((3, 0), (0, 0), ("regressed", "pass")),
        ((0, 0), (3, 0), ("pass", "regressed")),
        ((3, 0), (3, 0), ("regressed", "regressed")),
        ((3, 0), (1, 0), ("regressed", "pass")),
        ((3, 0), (0, 1), ("inconclusive", "pass")),
        ((4, 0), (0, 1), ("regressed", "pass")),
        ((6, 1), (0, 0), ("inconclusive", "pass")),
        ((7, 1), (0, 9), ("regressed", "pass")),
        ((2, 0), (1, 0), ("pass", "pass")),
        ((9, 0), (6, 1), ("regressed", "regressed")),
    ],
)
def test_zero_margins_share_one_alpha(
    second: tuple[int, int], after: tuple[int, int], expected: tuple[str, str]
):
    metrics = decide(*needless(second, after)).metrics

    found = [metrics[name] for name in ("second_call_rate", "call_after_result_rate")]
    assert list(expected) == [metric.verdict for metric in found]
    assert all("share one alpha" in metric.rule for metric in found)
    for metric in found:
        assert ("among 2 zero margins" in metric.reason) == (metric.verdict == "inconclusive")
        if metric.verdict == "inconclusive":
            assert metric.low is not None
            assert metric.low <= 0
            if "interval" in metric.reason:
                assert f"interval {points(metric.low)} to" in metric.reason


@given(*[st.integers(0, 7) for _ in range(4)], st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_more_needless_calls_never_get_a_better_verdict(a: int, b: int, c: int, d: int, more: int):
    metrics = [decide(*needless((a + further, b), (c, d))).metrics for further in (0, more)]

    for name in ("second_call_rate", "call_after_result_rate"):
        fewer, further = (rank(found[name].verdict) for found in metrics)
        assert fewer <= further


# Slices


def sliced(lost: Mapping[str, int], size: int = 100) -> tuple[RunRecord, RunRecord]:
    """
    Two runs with *size* cases of each tag, so many of which broke.
    """
    names = [(tag, k) for tag in lost for k in range(size)]
    old = record([answer(f"{tag}-{k}", tags=(tag,)) for tag, k in names])
    new = [answer(f"{tag}-{k}", BAD if k < lost[tag] else GOOD, tags=(tag,)) for tag, k in names]
    return old, record(new)


def with_slices(*tags: str, margin: str = "-10pp") -> Policy:
    tables = "".join(f'[slices.{tag}]\naccuracy = "{margin}"\n' for tag in tags)
    return read_policy(f'[limits]\naccuracy = "-5pp"\n{tables}', "test")


def test_a_slice_regresses_though_the_whole_passes():
    old, new = sliced({"rare": 12, "plain": 0, "long": 0, "odd": 0})

    verdict = decide(old, new, with_slices("rare", "plain"))

    assert "pass" == decide(old, new, with_slices()).metrics["accuracy"].verdict
    assert {"rare": "regressed", "plain": "pass"} == {
        tag: metrics["accuracy"].verdict for tag, metrics in verdict.slices.items()
    }
    assert ("regressed", ExitCode.REGRESSED) == (verdict.verdict, verdict.exit)
    assert verdict.reasons[0].text.startswith(
        "tag rare: accuracy fell from 100.0% to 88.0% on 100 "
    )
    assert "among the policy's slices" in verdict.reasons[0].text


def test_a_slice_too_small_to_rule_out_a_loss_passes_if_nothing_changed():
    comparison = compare(*sliced({"a": 0, "b": 0}, size=20))

    verdicts = [
        gate(with_slices("a"), replace(comparison, unchanged=same), TODAY).slices["a"]["accuracy"]
        for same in (False, True)
    ]

    assert ["inconclusive", "pass"] == [metric.verdict for metric in verdicts]
    assert verdicts[1].reason.endswith("; nothing changed: every answer is the same to the token")


def test_slices_share_one_alpha():
    """
    Five of a hundred broken is beyond chance for one slice and not for four that could all fail.
    """
    lost = dict.fromkeys("abcd", 5)
    alone = decide(*sliced(lost), with_slices("a", margin="-4pp")).slices["a"]["accuracy"]
    among = decide(*sliced(lost), with_slices(*lost, margin="-4pp")).slices["a"]["accuracy"]

    assert ("regressed", "inconclusive") == (alone.verdict, among.verdict)
    assert (1 / 64, 1 / 64) == (alone.p, among.p)
    assert alone.p_adjusted == 1 / 64
    assert among.p_adjusted is not None
    assert among.p_adjusted >= 0.05


def test_a_slice_that_could_not_fail_costs_the_others_nothing():
    lost = {"a": 5, **{f"quiet{k}": 1 for k in range(19)}}

    verdict = decide(*sliced(lost), with_slices(*lost, margin="-4pp"))

    assert "regressed" == verdict.slices["a"]["accuracy"].verdict
    assert 1 / 64 == verdict.slices["a"]["accuracy"].p_adjusted
    assert 1 / 4 == verdict.slices["quiet0"]["accuracy"].p_adjusted


@pytest.mark.simulation
@pytest.mark.parametrize("many", [2, 8])
def test_slices_rarely_cry_wolf(many: int):
    """
    Equal checkpoints that differ in a tenth of the cases: any of the slices, of 60 cases each.
    """
    dice = random.Random(many)
    tags = [f"t{k}" for k in range(many)]
    blank = compare(*sliced(dict.fromkeys(tags, 0), 60))
    policy, alarms = with_slices(*tags, margin="-5pp"), 0
    for _ in range(300):
        cases = []
        for case in blank.rates["accuracy"].cases:
            roll = dice.random()
            cases.append(replace(case, broken=roll < 0.05, fixed=0.05 <= roll < 0.10))
        drawn = replace(blank, rates={**blank.rates, "accuracy": rate_of(cases)})
        slices = gate(policy, drawn, TODAY).slices
        alarms += any(slices[tag]["accuracy"].verdict == "regressed" for tag in tags)

    assert alarms / 300 < 0.075


def test_a_slice_without_cases_does_not_pass():
    verdict = decide(*sliced({"plain": 0}), with_slices("plian"))

    assert "inconclusive" == verdict.slices["plian"]["accuracy"].verdict
    assert "inconclusive" == verdict.verdict


def test_slices_are_tested_over_their_groups():
    old, new = sliced({"rare": 10, "plain": 0})
    old, new = (
        replace(run, cases=tuple(replace(c, group=f"g{k // 5}") for k, c in enumerate(run.cases)))
        for run in (old, new)
    )

    assert 1 / 8 == decide(old, new, with_slices("rare")).slices["rare"]["accuracy"].p


def test_slices_of_runs_made_differently_are_not_compared():
    old, new = sliced({"rare": 50, "plain": 0})
    new = replace(new, generation=Generation(max_new_tokens=4))

    verdict = decide(old, new, with_slices("rare"))

    assert "not_comparable" == verdict.slices["rare"]["accuracy"].verdict
    assert "not_comparable" == verdict.verdict


def test_explain_names_the_rule_of_each_slice():
    lines = explain(decide(*sliced({"rare": 12, "plain": 0}), with_slices("rare")))

    assert 'slice rare: accuracy = "-10pp": regressed' in lines
    assert any("adjusted for 1 slice by Holm" in line for line in lines)


# The last release and an anchor


def test_the_worse_of_last_release_and_anchor_decides():
    """
    One point lost to the last release passes; the six lost to the anchor are caught.
    """
    pinned, _ = runs(0, 0, 200)
    worse = record([answer(f"case-{k}", BAD if k < 12 else GOOD) for k in range(200)])
    release = record([answer(f"case-{k}", BAD if k < 10 else GOOD) for k in range(200)])

    last = gate(accuracy_only(), compare(release, worse), TODAY, baseline="v9")
    first = gate(accuracy_only(), compare(pinned, worse), TODAY, baseline="v1")
    both = last.with_anchor(first)

    assert ("pass", "regressed") == (last.verdict, first.verdict)
    assert ("regressed", ExitCode.REGRESSED) == (both.verdict, both.exit)
    assert both.reasons[0].text.startswith(
        "against the anchor v1: accuracy fell from 100.0% to 94.0%"
    )
    assert both.reasons[1].text.startswith("against the last release v9: accuracy fell from 95.0%")
    assert ("v1", "v9") == tuple(reason.baseline for reason in both.reasons)
    assert last.metrics == both.metrics
    assert first == both.anchor


def test_what_both_baselines_say_is_said_once():
    """
    A case that must pass fails whatever the run is compared with; the worst comes first.
    """
    last = gate(default_policy(), compare(must_pass(BAD), must_pass(BAD)), TODAY, baseline="v9")
    worse = record([answer(f"case-{k}", BAD if k < 16 else GOOD) for k in range(120)])
    both = last.with_anchor(
        gate(default_policy(), compare(record(runs(0, 0, 120)[0].cases), worse), TODAY)
    )
    again = last.with_anchor(replace(last, baseline="v1"))

    assert ["regressed", "still_failing"] == [reason.verdict for reason in both.reasons[:2]]
    told = [WORST_FIRST.index(reason.verdict) for reason in both.reasons]
    assert sorted(told) == told
    assert [replace(reason, baseline=None) for reason in last.reasons] == list(again.reasons)


def test_an_anchor_that_is_kept_changes_nothing_but_is_named():
    run, _ = runs(0, 0, 120)
    _, worse = runs(16, 2, 120)
    last = gate(accuracy_only(), compare(run, worse), TODAY, baseline="v2")

    both = last.with_anchor(gate(accuracy_only(), compare(worse, worse), TODAY, baseline="v1"))

    assert "regressed" == both.verdict
    assert both.reasons[0].text.startswith("against the last release v2: accuracy fell")
    assert ("v2", "v1") == tuple(reason.baseline for reason in both.reasons)


def test_json_and_explain_say_which_baseline():
    run, worse = runs(16, 2, 120)
    last = gate(accuracy_only(), compare(run, run), TODAY, baseline="v2")
    both = last.with_anchor(gate(accuracy_only(), compare(run, worse), TODAY, baseline="v1"))

    data = json.loads(json.dumps(both.to_json(), allow_nan=False))
    lines = explain(both)

    assert ("v2", ["v1", "v2"]) == (data["baseline"], data["against"])
    assert ("v1", "regressed", 1) == tuple(
        data["anchor"][key] for key in ("baseline", "verdict", "exit")
    )
    assert data["anchor"]["anchor"] is None
    assert "2026-11-22" == data["anchor"]["date"]
    assert lines.index("against the last release v2") < lines.index("against the anchor v1")
    assert '  accuracy = "-3pp": regressed' in lines[lines.index("against the anchor v1") :]


# Format, not decisions


def fenced(share: int, n: int = 120) -> tuple[RunRecord, RunRecord]:
    """
    Twenty cases broke, *share* of them only by a code fence around the right call.
    """
    old, new = runs(20, 0, n)
    fence = (Finding(code="repaired", detail="code fence"),)
    cases = [
        replace(
            case,
            turns=(replace(case.turns[0], status_lenient="correct", findings=fence),),
        )
        if k < share
        else case
        for k, case in enumerate(new.cases)
    ]
    return old, record(cases)


def test_right_answers_that_are_wrong_leniently_are_counted_in_a_note():
    old, new = runs(0, 0, 120)
    bare = (Finding(code="repaired", detail="no call tags"),)
    cases = [
        replace(
            case,
            turns=(replace(case.turns[0], status_lenient="incorrect", findings=bare),),
        )
        if k < 3
        else case
        for k, case in enumerate(new.cases)
    ]

    verdict = decide(old, record(cases))

    ids = ", ".join(case.id for case in cases[:3])
    assert "pass" == verdict.verdict
    assert (
        "3 cases of the candidate are right only as read strictly, and wrong when read leniently "
        f"(no call tags): {ids}"
    ) in verdict.notes
    assert not any("leniently" in note for note in decide(new, old).notes)


@pytest.mark.parametrize(
    ("share", "note"),
    [
        (
            20,
            "20 of 20 broken cases are right when read leniently (code fence): format, not "
            "decisions",
        ),
        (
            11,
            "11 of 20 broken cases are right when read leniently (code fence): format, not "
            "decisions",
        ),
        (10, "10 of 20 broken cases are right when read leniently (code fence)"),
        (1, "1 of 20 broken cases is right when read leniently (code fence)"),
    ],
)
def test_a_loss_of_format_is_told_from_a_loss_of_decisions(share: int, note: str):
    verdict = decide(*fenced(share))

    assert "regressed" == verdict.verdict
    assert note in verdict.notes


def test_broken_decisions_are_not_called_format():
    assert not any("leniently" in note for note in decide(*fenced(0)).notes)


# Small runs


@pytest.mark.parametrize(("n", "said"), [(59, True), (60, False)])
def test_a_run_too_small_to_gate_is_told_so(n: int, said: bool):
    notes = decide(*runs(0, 0, n)).notes

    assert said == any("cannot gate" in note for note in notes)


def test_repeats_do_not_make_a_small_run_large():
    run = record([answer(f"case-{k}", repeat=r) for k in range(24) for r in range(5)])

    (note,) = (note for note in decide(run, run).notes if "cannot gate" in note)
    assert "120 common answers, worth 24 independent ones, cannot gate" in note


@pytest.mark.parametrize(("changed", "said"), [(0, False), (1, True), (3, True), (4, False)])
def test_too_few_changes_to_tell_from_chance_are_told_so(changed: int, said: bool):
    notes = decide(*runs(changed, 0, 400)).notes

    assert said == any("can be told from chance" in note for note in notes)


@pytest.mark.parametrize("alpha", [1e-12, 1e-40, 5e-324])
def test_too_few_changes_are_told_so_however_little_chance_is_allowed(alpha: float):
    notes = decide(*runs(5, 0, 400), replace(accuracy_only(), alpha=alpha)).notes

    assert any("can be told from chance" in note for note in notes)


# Properties


def test_a_run_against_itself_passes_or_is_inconclusive():
    for n in (1, 30, 99, 120, 500):
        run, _ = runs(0, n // 3, n)
        verdict = decide(run, run)

        assert verdict.verdict in ("pass", "inconclusive")
        assert ((), ()) == (verdict.broken, verdict.fixed)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(20, 150))
@settings(max_examples=40, deadline=None)
def test_two_runs_are_never_both_worse_than_each_other(broken: int, fixed: int, more: int):
    old, new = runs(broken, fixed, broken + fixed + more)
    there, back = decide(old, new, accuracy_only()), decide(new, old, accuracy_only())

    assert {"regressed"} != {there.verdict, back.verdict}
    assert (there.broken, there.fixed) == (back.fixed, back.broken)
    ahead, behind = there.metrics["accuracy"], back.metrics["accuracy"]
    assert ahead.low is not None
    assert behind.high is not None
    assert -ahead.low == pytest.approx(behind.high, abs=1e-9)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 150), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_a_worse_candidate_never_gets_a_better_verdict(
    broken: int, fixed: int, more: int, further: int
):
    """
    More cases break, and fewer are fixed: each alone, and of the whole verdict.
    """
    n = broken + fixed + more
    verdict = decide(*runs(broken, fixed, n)).verdict

    assert rank(verdict) <= rank(decide(*runs(min(n - fixed, broken + further), fixed, n)).verdict)
    old, new = runs(broken, fixed, n)
    kept = [
        was if broken <= k < broken + min(further, fixed) else now
        for k, (was, now) in enumerate(zip(old.cases, new.cases, strict=True))
    ]
    assert rank(verdict) <= rank(decide(old, record(kept)).verdict)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(1, 60), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_more_second_calls_never_get_a_better_verdict(
    broken: int, fixed: int, more: int, further: int
):
    n = broken + fixed + more
    counts = [broken, min(n - fixed, broken + further)]
    ranks = [rank(decide(*runs(b, fixed, n, bad=SECOND)).verdict) for b in counts]

    assert ranks == sorted(ranks)


@given(st.randoms(use_true_random=False), st.integers(0, 8), st.integers(0, 8))
@settings(max_examples=30, deadline=None)
def test_the_order_of_cases_means_nothing(shuffle: random.Random, broken: int, fixed: int):
    old, new = runs(broken, fixed, 60)
    cases = [list(old.cases), list(new.cases)]
    for side in cases:
        shuffle.shuffle(side)

    mixed = decide(record(cases[0]), record(cases[1]))

    assert decide(old, new).reasons == mixed.reasons
    assert decide(old, new).metrics == mixed.metrics


def test_a_verdict_is_the_same_every_time():
    pair = runs(16, 2, 120)

    assert decide(*pair).to_json() == decide(*pair).to_json()


@cache
def verdict_of(broken: int, fixed: int, n: int) -> str:
    return decide(*runs(broken, fixed, n), accuracy_only()).verdict


def shares(n: int, discordance: float, drop: float, draws: int = 1500) -> dict[str, float]:
    """
    How often each verdict falls, for a true drop between models that also differ by chance.
    """
    dice = random.Random(f"{n} {discordance} {drop}")
    lost, won = discordance / 2 + drop, discordance / 2
    found = dict.fromkeys(WORST_FIRST, 0)
    for _ in range(draws):
        rolls = [dice.random() for _ in range(n)]
        broken = sum(roll < lost for roll in rolls)
        fixed = sum(lost <= roll < lost + won for roll in rolls)
        found[verdict_of(broken, fixed, n)] += 1  # type: ignore[index]
    return {word: times / draws for word, times in found.items()}


@pytest.mark.simulation
@pytest.mark.parametrize("discordance", [0.0, 0.02, 0.05, 0.10])
def test_equal_models_rarely_regress(discordance: float):
    assert shares(120, discordance, 0.0)["regressed"] < 0.065


@pytest.mark.simulation
@pytest.mark.parametrize("discordance", [0.0, 0.02, 0.05, 0.10])
def test_a_drop_of_the_whole_margin_rarely_passes(discordance: float):
    assert shares(120, discordance, 0.03)["pass"] < 0.075


@pytest.mark.simulation
def test_a_large_drop_is_found():
    assert shares(120, 0.05, 0.10)["regressed"] > 0.85
