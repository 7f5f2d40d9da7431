from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backends.base import Generation
from harness.canonical import digest
from harness.checkpoints.checkpoint import Checkpoint
from harness.comparison.compare import Comparison, compare
from harness.comparison.differences import Difference
from harness.comparison.paired import PairedRate, PairedValues, Unit, rate_of
from harness.errors import RecordError
from harness.provenance import Environment
from harness.runs.record import RunRecord, Selection, SuiteReference, with_interval
from harness.runs.serving import Serving
from harness.scoring.metrics import METRICS, PERCENTILES, RATES, measure
from harness.scoring.results import CaseResult, Finding, Status, TurnResult
from tests import builders

from ..runs.test_record import CASES

SUITE = SuiteReference(name="toy", version="1.0.0", digest="sha256:suite")


def turn(status: Status = "correct", *findings: Finding, **fields: Any) -> TurnResult:
    fields = {"expects": "calls", "follows_result": False, "calls": ()} | fields
    return TurnResult(status=status, status_lenient=status, findings=findings, **fields)


def case(identity: str, *turns: TurnResult, **fields: Any) -> CaseResult:
    defaults: dict[str, Any] = {
        "repeat": 0,
        "digest": f"sha256:{identity}",
        "group": None,
        "tags": (),
        "must_pass": False,
        "quarantined": False,
        "forbids_extra_calls": True,
    }
    return CaseResult(id=identity, turns=turns or (turn(),), **(defaults | fields))


def record(cases: Sequence[CaseResult], **fields: Any) -> RunRecord:
    defaults: dict[str, Any] = {
        "harness_version": "0.1.0",
        "scorer_version": 1,
        "suite": SUITE,
        "selection": Selection(),
        "checkpoint": Checkpoint(reference="hf:a", dialect="hermes", dialect_version=1),
        "backend": Serving(name="transformers", dtype="float32", device="cpu", batch="auto"),
        "generation": Generation(),
        "environment": Environment(python="3.11.7", hardware={"cpu": "toy", "cores": 2}),
        "metrics": {name: with_interval(name, found) for name, found in measure(cases).items()},
        "confusion": {},
        "cases": tuple(cases),
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:00+00:00",
    }
    return RunRecord(**(defaults | fields))


def rate(comparison: Comparison, name: str) -> PairedRate:
    return comparison.rates[name]


def values(comparison: Comparison, name: str) -> PairedValues:
    return comparison.values[name]


def counts(unit: Unit) -> tuple[str, int, int, int]:
    return unit.name, unit.broken, unit.fixed, unit.pairs


WRONG = Finding(code="wrong_tool", detail="")
SECOND = Finding(code="extra_call", detail="", kind="duplicate")
AGAIN = Finding(code="call_after_result", detail="")


# Pairing


def test_pairs_need_equal_id_repeat_and_digest():
    old = record([case("a"), case("b"), case("c"), case("d", repeat=0), case("d", repeat=1)])
    new = record([case("a"), case("b", digest="sha256:other"), case("d", repeat=0), case("e")])

    found = compare(old, new)

    assert 2 == found.pairs
    assert ("e",) == found.added
    assert ("c",) == found.removed
    assert ("b",) == found.changed
    assert 1 == found.unpaired


def test_a_case_held_twice_is_refused():
    with pytest.raises(RecordError, match=r"candidate: .* 'a', repeat 0, twice"):
        compare(record([case("a")]), record([case("a"), case("a")]))


def test_another_number_of_turns_under_one_digest_is_refused():
    with pytest.raises(RecordError, match="1 turns in the baseline and 2"):
        compare(record([case("a")]), record([case("a", turn(), turn())]))


def test_broken_and_fixed_are_paired_by_case_not_by_total():
    """
    One broke and another was fixed: the same accuracy, and not the same model.
    """
    old = record([case("a"), case("b", turn("incorrect", WRONG)), case("c")])
    new = record([case("a", turn("incorrect", WRONG)), case("b"), case("c")])

    accuracy = rate(compare(old, new), "accuracy")

    assert ("a",) == accuracy.broken
    assert ("b",) == accuracy.fixed
    assert (2, 2, 3) == (accuracy.old_hits, accuracy.new_hits, accuracy.pairs)


@pytest.mark.parametrize("side", ["old", "new"])
@pytest.mark.parametrize("how", ["error", "quarantined"])
def test_errors_and_quarantined_cases_are_no_evidence(side: str, how: str):
    out = case("a", turn("error")) if how == "error" else case("a", quarantined=True)
    runs = {"old": record([case("a"), case("b")]), "new": record([case("a"), case("b")])}
    runs[side] = record([out, case("b")])

    found = compare(runs["old"], runs["new"])

    assert 2 == found.pairs
    assert 1 == found.scored_pairs
    assert 1 == rate(found, "accuracy").pairs
    assert (("a",) if how == "quarantined" else ()) == found.quarantined


def test_old_and_new_values_are_over_the_pairs_alone():
    """
    Hard cases added to a suite lower the new run, and not the comparison.
    """
    hard = [case(f"hard-{k}", turn("incorrect", WRONG)) for k in range(3)]
    found = compare(record([case("a")]), record([case("a"), *hard]))

    assert 1 == rate(found, "accuracy").new_hits
    assert 0.25 == found.new_run["accuracy"].value


def test_groups_and_repeats_are_summed():
    wrong = turn("incorrect", WRONG)
    old = record([case(name, repeat=k, group="g") for name in "ab" for k in (0, 1)])
    new = record(
        [
            case("a", wrong, repeat=0, group="g"),
            case("a", wrong, repeat=1, group="g"),
            case("b", wrong, repeat=0, group="g"),
            case("b", repeat=1, group="g"),
        ]
    )

    accuracy = rate(compare(old, new), "accuracy")

    (group,) = accuracy.groups
    assert ("g", 3, 0, 4) == (group.name, group.broken, group.fixed, group.pairs)
    assert (4, 1) == (group.old_hits, group.new_hits)
    assert [2, 1] == [unit.broken for unit in accuracy.cases]


def test_a_case_that_broke_once_and_was_fixed_once_is_neither():
    wrong = turn("incorrect", WRONG)
    old = record([case("a", repeat=0), case("a", wrong, repeat=1)])
    new = record([case("a", wrong, repeat=0), case("a", repeat=1)])

    accuracy = rate(compare(old, new), "accuracy")

    assert ((), ()) == (accuracy.broken, accuracy.fixed)
    assert [("a", 1, 1, 2)] == [counts(unit) for unit in accuracy.cases]


def test_a_group_and_a_case_of_one_name_stay_apart():
    cases = [case("x"), case("a", group="x"), case("b", group="x")]

    assert 2 == len(rate(compare(record(cases), record(cases)), "accuracy").groups)


# Metrics with pairs of their own


def test_second_calls_are_paired_where_both_runs_began_rightly():
    offends = turn("incorrect", SECOND)
    old = record([case("a"), case("b", turn("incorrect", WRONG)), case("c", offends), case("d")])
    new = record([case("a", offends), case("b", offends), case("c"), case("d")])

    second = rate(compare(old, new), "second_call_rate")

    assert 3 == second.pairs
    assert ("a",) == second.broken
    assert ("c",) == second.fixed
    assert (1, 1) == (second.old_hits, second.new_hits)


def test_second_calls_are_not_looked_for_where_extra_calls_are_allowed():
    allowing = case("a", forbids_extra_calls=False)

    assert 0 == rate(compare(record([allowing]), record([allowing])), "second_call_rate").pairs


def test_calls_after_a_result_are_paired_turn_by_turn():
    fine = turn(expects="abstain", follows_result=True)
    again = turn("incorrect", AGAIN, expects="abstain", follows_result=True)
    old = record([case("a", turn(), fine, fine), case("b")])
    new = record([case("a", turn(), fine, again), case("b")])

    found = rate(compare(old, new), "call_after_result_rate")

    assert 2 == found.pairs
    assert [("a", 1, 0, 2)] == [counts(unit) for unit in found.cases]


def test_a_rate_of_some_cases_keeps_their_groups():
    wrong = turn("incorrect", WRONG)
    names = ["a", "b", "c"]
    old = record([case(name, group="g" if name != "c" else None) for name in names])
    new = record([case("a", wrong, group="g"), case("b", group="g"), case("c", wrong)])

    of = rate(compare(old, new), "accuracy").only({"a", "b"})

    assert [("g", 1, 0, 2)] == [counts(unit) for unit in of.groups]
    assert (2, 1, 2) == (of.old_hits, of.new_hits, of.pairs)
    assert ("a",) == of.broken


def test_broken_cases_that_are_right_leniently_are_named_with_what_was_fixed():
    """
    Only where every broken answer of a case is right leniently: one wrong decision is enough.
    """
    fence = Finding(code="repaired", detail="code fence")
    fenced = replace(turn("malformed", fence), status_lenient="correct")
    wrong = turn("incorrect", WRONG)
    old = record([case("a"), case("b"), case("c"), *(case("d", repeat=k) for k in (0, 1))])
    new = record(
        [
            case("a", fenced),
            case("b", wrong),
            case("c"),
            case("d", fenced, repeat=0),
            case("d", wrong, repeat=1),
        ]
    )

    assert {"a": ("code fence",)} == compare(old, new).right_leniently


def test_right_cases_that_are_wrong_leniently_are_named_with_what_was_fixed():
    """
    They hold calls in a form that no runtime executes; one such answer of a case is enough.
    """
    bare = Finding(code="repaired", detail="no call tags")
    hidden = replace(turn("correct", bare), status_lenient="incorrect")
    old = record([case("a"), case("b"), *(case("c", repeat=k) for k in (0, 1))])
    new = record([case("a", hidden), case("b"), case("c", repeat=0), case("c", hidden, repeat=1)])

    assert {"a": ("no call tags",), "c": ("no call tags",)} == compare(old, new).wrong_leniently
    assert {} == compare(new, old).wrong_leniently


def test_a_metric_of_the_answers_needs_eligible_answers_in_both_runs():
    """
    Right arguments are asked of right tools: a wrong tool is not a wrong argument.
    """
    found = compare(record([case("a")]), record([case("a", turn("incorrect", WRONG))]))

    assert 0 == rate(found, "argument_accuracy").pairs
    assert 1 == rate(found, "tool_accuracy").pairs


def test_quantiles_are_over_answers_that_have_the_value_in_both_runs():
    old = record([case("a", turn(output_tokens=10)), case("b", turn(output_tokens=99)), case("c")])
    new = record([case("a", turn(output_tokens=12)), case("b"), case("c", turn(output_tokens=1))])

    tokens = values(compare(old, new), "output_tokens_p50")

    assert ((10.0, 12.0),) == tokens.values
    assert (10.0, 12.0) == (tokens.old, tokens.new)


def test_every_metric_is_compared():
    sure = turn(margin=1.0)
    plain = [name for name, metric in METRICS.items() if not (metric.executed or metric.repeated)]
    executed = [builders.executed("a", found=True, turn=sure)]
    compared = [
        name for name, metric in METRICS.items() if metric.kind != "mean" and not metric.repeated
    ]

    assert plain == list(compare(record([case("a", sure)]), record([case("a", sure)])).metrics)
    assert compared == list(compare(record(executed), record(executed)).metrics)


def test_right_in_all_repeats_is_compared_case_by_case():
    wrong = {"status": "incorrect"}

    def run(**cases: Sequence[bool]) -> RunRecord:
        return record(
            [
                replace(case(name, turn(**({} if right else wrong))), repeat=repeat)
                for name, rights in cases.items()
                for repeat, right in enumerate(rights)
            ]
        )

    old = run(a=[True, True], b=[True, True], c=[False, True], d=[False, False])
    new = run(a=[True, True], b=[True, False], c=[True, True], d=[True, False])

    paired = compare(old, new).rates["pass_hat_k"]

    assert (2, 2, 4) == (paired.old_hits, paired.new_hits, paired.pairs)
    assert (("b",), ("c",)) == (paired.broken, paired.fixed)
    once = run(a=[True], b=[True], c=[True], d=[True])
    assert "pass_hat_k" not in compare(once, once).rates


def test_a_metric_over_no_pair_has_no_value():
    latency = values(compare(record([case("a")]), record([case("a")])), "latency_ms_p50")

    assert (None, None, 0) == (latency.old, latency.new, latency.pairs)


# The confusion matrix


def test_the_confusion_matrix_counts_the_pairs_that_the_metrics_count():
    right, bad = turn(pairs=(("A", "A"),)), turn("malformed", pairs=(("A", "(malformed)"),))
    old = [case("both", right), case("broke", turn("error")), case("removed", bad)]
    new = [case("both", right), case("broke", bad), case("added", bad)]

    found = compare(record(old), record(new))

    assert ({"A": {"A": 1}}, {"A": {"A": 1}}) == (found.old_confusion, found.new_confusion)
    assert 1 == rate(found, "malformed_rate").pairs


# Cases that must pass


def test_cases_that_must_pass_are_looked_up_in_the_new_run_alone():
    """
    They need no partner: a new one that fails, or one that failed before, fails too.
    """
    wrong = turn("incorrect", WRONG)
    new = record(
        [
            case("kept", must_pass=True),
            case("failed", wrong, must_pass=True),
            case("added", wrong, must_pass=True),
            case("broke", turn("error"), must_pass=True),
            case("shelved", wrong, must_pass=True, quarantined=True),
            case("plain", wrong),
        ]
    )

    found = compare(record([case("failed", wrong)]), new)

    assert ("failed", "added") == found.must_pass_failed
    assert ("failed",) == found.must_pass_still_failing
    assert ("broke",) == found.must_pass_unknown


def test_one_failing_repeat_fails_a_case_that_must_pass():
    repeats = [
        case("a", must_pass=True),
        case("a", turn("malformed"), must_pass=True, repeat=1),
        case("a", turn("malformed"), must_pass=True, repeat=2),
    ]

    assert ("a",) == compare(record(repeats), record(repeats)).must_pass_failed


# How the runs were made


@pytest.mark.parametrize(
    ("block", "change", "field", "effect"),
    [
        ("checkpoint", {"reference": "hf:b"}, "checkpoint.reference", "compared"),
        ("checkpoint", {"template": "sha256:t"}, "checkpoint.template", "compared"),
        ("checkpoint", {"dialect_version": 2}, "checkpoint.dialect_version", "rejudge"),
        ("backend", {"dtype": "bfloat16"}, "backend.dtype", "not_comparable"),
        ("backend", {"batch": 1}, "backend.batch", "not_comparable"),
        ("backend", {"name": "vllm"}, "backend.name", "not_comparable"),
        ("backend", {"attention": "eager"}, "backend.attention", "not_comparable"),
        ("backend", {"device": "cuda"}, "backend.device", "latency"),
        ("generation", {"max_new_tokens": 64}, "generation.max_new_tokens", "not_comparable"),
        ("generation", {"seed": 1}, "generation.seed", "not_comparable"),
        (
            "environment",
            {"hardware": {"cpu": "o", "cores": 2}},
            "environment.hardware.cpu",
            "latency",
        ),
        ("backend", {"tool_names": "dots-to-underscores"}, "backend.tool_names", "not_comparable"),
        ("backend", {"order": 1}, "backend.order", "not_comparable"),
        # What another version, or another program, wrote.
        ("backend", {"extra": {"quantised": True}}, "backend.quantised", "not_comparable"),
        ("generation", {"extra": {"min_p": 0.1}}, "generation.min_p", "not_comparable"),
        ("checkpoint", {"extra": {"licence": "mit"}}, "checkpoint.licence", "compared"),
        ("environment", {"extra": {"host": {"name": "a"}}}, "environment.host.name", "noted"),
        ("environment", {"python": "3.12.1"}, "environment.python", "noted"),
        ("environment", {"packages": {"torch": "3"}}, "environment.packages.torch", "noted"),
    ],
)
def test_each_difference_has_its_effect(
    block: str, change: dict[str, Any], field: str, effect: str
):
    old = record([case("a")])
    new = replace(old, **{block: replace(getattr(old, block), **change)})

    found = compare(old, new).differences

    assert [(field, effect)] == [(each.field, each.effect) for each in found]
    assert [(field, effect)] == [(d.field, d.effect) for d in compare(new, old).differences]


@pytest.mark.parametrize(
    ("change", "field", "effect"),
    [
        ({"scorer_version": 2}, "scorer_version", "rejudge"),
        ({"harness_version": "0.2.0"}, "harness_version", "noted"),
        ({"suite": replace(SUITE, version="1.1.0")}, "suite.version", "common_cases"),
        ({"suite": replace(SUITE, digest="sha256:x")}, "suite.digest", "common_cases"),
        ({"suite": replace(SUITE, name="other")}, "suite.name", "not_comparable"),
        ({"selection": Selection(tags=("a",))}, "selection.tags", "common_cases"),
    ],
)
def test_each_difference_of_the_head_has_its_effect(
    change: dict[str, Any], field: str, effect: str
):
    old = record([case("a")])

    found = compare(old, replace(old, **change)).differences

    assert [(field, effect)] == [(each.field, each.effect) for each in found]


def test_another_dialect_is_what_is_compared_and_its_version_with_it():
    old = record([case("a")])
    checkpoint = Checkpoint(reference="hf:a", dialect="native", dialect_version=7)

    found = compare(old, replace(old, checkpoint=checkpoint)).differences

    assert {"compared"} == {difference.effect for difference in found}


def test_equal_runs_do_not_differ():
    assert () == compare(record([case("a")]), record([case("a")])).differences


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("backend.dtype", True),
        ("backend", True),
        ("dtype", True),
        ("type", False),
        ("back", False),
        ("backend.batch", False),
        ("generation", False),
    ],
)
def test_a_field_is_named_by_path_block_or_last_part(name: str, allowed: bool):
    difference = Difference(field="backend.dtype", old="a", new="b", effect="not_comparable")

    assert allowed == difference.allowed_by([name])


def test_what_was_judged_again_is_listed():
    comparison = compare(record([case("a")]), record([case("a")]))

    found = comparison.with_rejudged(
        {"dialect_version": 1, "scorer_version": 1}, {"dialect_version": 2, "scorer_version": 1}
    )

    expected = Difference(field="checkpoint.dialect_version", old=1, new=2, effect="rejudged")
    assert (expected,) == found.differences


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [({"cpu": "a"}, {"cpu": "a"}, True), ({"cpu": "a"}, {"cpu": "b"}, False), ({}, {}, False)],
)
def test_unknown_hardware_is_not_the_same_hardware(old: dict, new: dict, same: bool):
    runs = [
        record([case("a")], environment=Environment(hardware=hardware)) for hardware in (old, new)
    ]

    assert same == compare(*runs).same_hardware


def test_completeness_and_errors_of_each_run_are_kept():
    old = record([case("a"), case("b", turn("error"))])
    new = record([case("a")], selection=Selection(limit=1, complete=False))

    found = compare(old, new)

    assert (True, False) == (found.old_complete, found.new_complete)
    assert (0.5, 0.0) == (found.old_error_share, found.new_error_share)


def test_tags_hold_the_common_scored_cases():
    old = record([case("a"), case("b"), case("c", turn("error"))])
    new = record([case("a", tags=("x",)), case("b", tags=("x", "y")), case("c", tags=("x",))])

    assert {"x": ("a", "b"), "y": ("b",)} == compare(old, new).tags


# Margins.


def sure(margin: float | None, tool: str = "a") -> TurnResult:
    return turn(calls=({"tool": tool, "arguments": {}},), margin=margin)


def test_answers_that_became_less_sure_of_the_same_tool_are_listed_worst_first():
    old = record(
        [
            case("up", sure(1.0)),
            case("down", sure(5.0), turn(margin=2.0)),
            case("far down", sure(9.0)),
            case("flipped", sure(9.0)),
            case("unknown", sure(None)),
        ]
    )
    new = record(
        [
            case("up", sure(2.0)),
            case("down", sure(4.0), turn(margin=1.0)),
            case("far down", sure(0.5)),
            case("flipped", sure(3.0, tool="b")),
            case("unknown", sure(1.0)),
        ]
    )

    drifts = compare(old, new).drifts

    assert [("far down", 9.0, 0.5), ("down", 5.0, 4.0), ("up", 1.0, 2.0)] == [
        (drift.name, drift.old, drift.new) for drift in drifts
    ]


@st.composite
def two_runs(draw: st.DrawFn) -> tuple[list[CaseResult], list[CaseResult]]:
    """
    Results of the same cases in two runs, some answered by one of them only.
    """
    old, new = [], []
    for number in range(draw(st.integers(0, 6))):
        was, now = draw(CASES), draw(CASES)
        turns = min(len(was.turns), len(now.turns))
        same = {"id": f"c{number // 2}", "repeat": number % 2, "digest": digest(number // 2)}
        which = draw(st.sampled_from(["both", "both", "both", "old", "new"]))
        if which != "new":
            old.append(replace(was, **same, turns=was.turns[:turns]))
        if which != "old":
            new.append(replace(now, **same, turns=now.turns[:turns]))
    return old, new


@settings(deadline=None, max_examples=100)
@given(two_runs())
def test_rates_and_values_are_those_of_pairing_answer_by_answer(
    runs: tuple[list[CaseResult], list[CaseResult]],
):
    old, new = runs
    comparison = compare(record(old), record(new))
    before = {(case.id, case.repeat): case for case in old}
    scored = [
        (before[key], case)
        for case in new
        if (key := (case.id, case.repeat)) in before and before[key].scored and case.scored
    ]

    executed = any(case.executed is not None for case in new)
    for name, metric in RATES.items():
        assert metric.executed <= executed or name not in comparison.rates
        if name not in comparison.rates or metric.repeated:
            continue
        units = []
        for was, now in scored:
            for hit, hits in metric.pair(was, now):
                bad = hit > hits if metric.higher_is_better else hits > hit
                units.append(
                    Unit(
                        name=now.id,
                        broken=int(bad),
                        fixed=int(hit != hits and not bad),
                        pairs=1,
                        old_hits=int(hit),
                        new_hits=int(hits),
                        group=now.group,
                    )
                )
        assert rate_of(units) == comparison.rates[name], name
    for name, percentile in PERCENTILES.items():
        if name not in comparison.values:
            continue
        values = tuple(
            (value, values)
            for was, now in scored
            if percentile.kind == "time" or was.status == now.status == "correct"
            for one, other in zip(percentile.per.of(was), percentile.per.of(now), strict=True)
            if (value := percentile.value(one)) is not None
            and (values := percentile.value(other)) is not None
        )
        assert values == comparison.values[name].values, name
