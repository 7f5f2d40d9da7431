"""
How much runs of one checkpoint differ, and what a gate sees through that.
"""

from dataclasses import replace

import pytest

from harness.gating.noise import Answered, measure, self_gate, sensitivities, sentences, to_json
from harness.gating.policy import default_policy, read_policy
from harness.gating.power import cases_to_clear, cases_to_detect
from harness.scoring.results import CaseResult
from harness.stats import smallest_detectable_drop, wilson
from harness.transcript import Key, Transcript

from ..builders import answer, attempt, calls, case, judge, malformed, record

RIGHT, WRONG = answer(attempt("A")), answer(attempt("B"))
BROKEN_OFF = answer(malformed())


def answered(name: str, *cases: CaseResult, text: str = "") -> Answered:
    return Answered(
        name=name,
        record=record(*cases),
        transcripts={
            Key(each.id, each.repeat): Transcript(
                key=Key(each.id, each.repeat), output=f"{each.status}{text}"
            )
            for each in cases
        },
    )


def results(count: int, *wrong: int, what: object = WRONG, groups: int = 0) -> list[CaseResult]:
    return [
        judge(
            case(calls("A"), id=f"c{k}", group=f"g{k % groups}" if groups else None),
            what if k in wrong else RIGHT,  # type: ignore[arg-type]
        )
        for k in range(count)
    ]


def test_a_run_equal_to_the_first_differs_nowhere():
    first = answered("first", *results(100, 3))
    noise = measure("repeat", first, [replace(first, name="repeat-1")])

    assert ("repeat-1",) == noise.runs
    assert () == noise.flipped
    for found in (noise.flips, noise.status, noise.calls, noise.text):
        assert (0, 100, 0.0) == (found.differing, found.pairs, found.share)
        assert (found.low, found.high) == wilson(0, 100)


def test_flips_go_both_ways():
    noise = measure(
        "batch", answered("first", *results(50, 1, 2)), [answered("b", *results(50, 2, 3, 4))]
    )

    assert (3, 50) == (noise.flips.differing, noise.flips.pairs)
    assert ("c1", "c3", "c4") == noise.flipped
    assert (noise.flips.low, noise.flips.high) == pytest.approx(wilson(3, 50))


def test_wrong_in_another_way_is_another_status_and_no_flip():
    noise = measure(
        "batch",
        answered("first", *results(50, 7)),
        [answered("b", *results(50, 7, what=BROKEN_OFF))],
    )

    assert (0, 1, 1) == (
        noise.flips.differing,
        noise.status.differing,
        noise.calls.differing,
    )


def test_another_text_with_the_same_call_differs_in_text_alone():
    noise = measure(
        "order", answered("first", *results(50)), [answered("o", *results(50), text=" ")]
    )

    assert (0, 0, 50) == (noise.status.differing, noise.calls.differing, noise.text.differing)


def test_what_broke_or_is_quarantined_in_either_run_is_left_out():
    first, other = results(10), results(10, 1)
    first[0] = judge(case(calls("A"), id="c0"), None)
    other[2] = judge(case(calls("A"), id="c2"), None)
    quarantined = judge(case(calls("A"), id="c3", quarantined=True), WRONG)
    other[3] = quarantined
    noise = measure("repeat", answered("first", *first), [answered("r", *other)])

    assert (1, 7) == (noise.flips.differing, noise.flips.pairs)


def test_runs_of_a_kind_are_pooled_and_their_cases_weigh_once():
    """
    The same case that flips in each of three runs is one flip seen thrice.
    """
    first, other = answered("first", *results(100)), results(100, 5)
    one = measure("repeat", first, [answered("r", *other)])
    three = measure("repeat", first, [answered(f"r{k}", *other) for k in range(3)])

    assert (3, 300, one.flips.share) == (
        three.flips.differing,
        three.flips.pairs,
        three.flips.share,
    )
    assert three.flips.high == pytest.approx(one.flips.high, abs=0.001)


def test_runs_that_all_agree_do_not_narrow_the_interval():
    first = answered("first", *results(40))
    three = measure("repeat", first, [replace(first, name=f"r{k}") for k in range(3)])

    assert (three.flips.low, three.flips.high) == wilson(0, 40)


def test_cases_of_a_group_that_flip_together_widen_the_interval():
    first = answered("first", *results(100, groups=20))
    together = measure("batch", first, [answered("b", *results(100, 0, 20, 40, 60, groups=20))])
    apart = measure("batch", first, [answered("b", *results(100, 0, 1, 2, 3, groups=20))])

    assert together.flips.share == apart.flips.share
    assert together.flips.high is not None
    assert apart.flips.high is not None
    assert together.flips.high > apart.flips.high + 0.02


def test_nothing_in_common_has_no_share():
    noise = measure("repeat", answered("first", *results(0)), [answered("r", *results(3))])

    assert (0, None, None, None) == (
        noise.flips.pairs,
        noise.flips.share,
        noise.flips.low,
        noise.flips.high,
    )
    assert () == sensitivities([noise], default_policy(), 0)


def test_what_a_gate_sees_is_taken_of_the_noisiest_kind():
    first = answered("first", *results(120))
    calm = measure("repeat", first, [replace(first, name="r")])
    noisy = measure("batch", first, [answered("b", *results(120, 1, 2, 3, 4, 5, 6))])
    measured, upper, usual = sensitivities([calm, noisy], default_policy(), 120)

    assert [0.05, noisy.flips.high, 0.05] == [each.discordance for each in (measured, upper, usual)]
    assert smallest_detectable_drop(120, 0.05) == measured.detectable
    assert (cases_to_detect(0.03, 0.05), cases_to_clear(0.03, 0.05)) == (
        measured.to_detect,
        measured.to_clear,
    )


def test_a_policy_without_a_margin_for_accuracy_needs_no_number_of_cases():
    first = answered("first", *results(120))
    noise = measure("repeat", first, [replace(first, name="r")])
    policy = read_policy('[limits]\nsecond_call_rate = "+0pp"\n', "gate.toml")

    assert {(None, None)} == {
        (each.to_detect, each.to_clear) for each in sensitivities([noise], policy, 120)
    }


def test_values_are_spelled_in_json_types():
    first = answered("first", *results(20))
    data = to_json([measure("repeat", first, [replace(first, name="r")])])

    assert "repeat" == data[0]["kind"]
    assert {"differing": 0, "pairs": 20, "share": 0.0}.items() <= data[0]["flips"].items()


def test_a_false_alarm_is_counted_and_said():
    from datetime import date

    from harness.comparison.compare import compare
    from harness.gating.gate import gate

    old, new = record(*results(120)), record(*results(120, *range(10)))
    gates = [
        self_gate("batch", *names, gate(default_policy(), compare(*runs), date(2026, 1, 1)))
        for names, runs in (
            (("first", "batch-1"), (old, new)),
            (("batch-1", "first"), (new, old)),
        )
    ]
    said = sentences(gates, default_policy())

    assert ["regressed", "pass"] == [each.verdict for each in gates]
    assert [(10, 0), (0, 10)] == [(each.broken, each.fixed) for each in gates]
    assert said[0].startswith("1 of 2 gates of the checkpoint against itself was a false alarm;")
    assert said[1].startswith("false alarm: batch-1 against first: accuracy fell")
