"""
Every metric over its own denominator, with an example worked by hand.
"""

from dataclasses import replace

import pytest

from harness.scoring.breakdowns import confusion, second_calls
from harness.scoring.columns import Columns
from harness.scoring.metrics import METRICS, RATES, Average, Counts, Quantile, measure, ms_per_token
from harness.scoring.results import CaseResult
from harness.suites.suite import Abstention, Calls, Turn

from ..builders import (
    TOOLS,
    abstain,
    answer,
    attempt,
    calls,
    case,
    executed,
    expect,
    finding,
    judge,
    malformed,
    tool,
    turn,
    unfinished,
)

A, B, Z = attempt("A"), attempt("B"), attempt("Z")
TYPED = tool("T", n={"type": "integer"})


def judged(expected: Turn | Calls | Abstention, *attempts: object, **fields: object) -> CaseResult:
    return judge(case(expected, tools=(*TOOLS, TYPED), **fields), answer(*attempts))  # type: ignore[arg-type]


def rate(name: str, *results: CaseResult) -> tuple[int, int]:
    """
    Return hits and eligible.
    """
    counts = measure(results)[name]
    assert isinstance(counts, Counts)
    return counts.hits, counts.eligible


def test_over_nothing_every_metric_is_there_and_has_no_value() -> None:
    measured = measure([])

    plain = [
        name
        for name, each in METRICS.items()
        if not (each.executed or each.repeated or each.kind == "margin")
    ]
    assert plain == list(measured)
    for name, found in measured.items():
        nothing = Counts(hits=0, eligible=0) if name in RATES else Quantile(value=None, eligible=0)
        assert nothing == found


def test_metrics_of_executed_cases_are_there_where_any_case_is() -> None:
    step = executed(turn=BROKEN.turns[0])

    assert list(METRICS) == list(measure([step, replace(step, repeat=1), *SURE]))
    assert "margin_p10" not in measure([step, replace(step, repeat=1)])
    assert "pass_hat_k" not in measure([step])
    assert Counts(hits=0, eligible=0) == measure([step])["hit_rate"]
    assert Average(value=None, eligible=0) == measure([step])["ndcg_at_k"]


RIGHT, WRONG = judged(calls("A"), A), judged(calls("A"), B)
BROKEN = judge(case(calls("A")), None)
QUARANTINED = judged(calls("A"), B, quarantined=True)


def timed(
    latency: float | None = None, ttft: float | None = None, tokens: int | None = None
) -> CaseResult:
    return judge(
        case(calls("A")),
        answer(A),
        timing=None if latency is None else (latency, ttft),
        output_tokens=tokens,
    )


AFTER = turn(abstain(), after_result=True)
MIXED = [
    RIGHT,
    WRONG,
    judged(calls("A")),
    judged(calls(expect("A", x=1)), attempt("A", x=2)),
    judged(calls("T"), attempt("T", n="not a number")),
    judged(calls("A"), A, A),
    judged(calls("A"), malformed()),
    judged(calls("A"), Z),
    judged(abstain()),
    judged(abstain(), A),
    judge(case(calls("A"), AFTER, AFTER), answer(A), answer(A), answer()),
    BROKEN,
    QUARANTINED,
]
"""Of 13 cases one broke and one is quarantined: 11 are scored, 9 of them expect calls, and one of
these has two more turns that follow a result and expect none."""

EXECUTED = [
    executed(found=True, recall=1.0, reciprocal_rank=0.5, ndcg=0.6, answered=True),
    executed(found=True, recall=0.5, reciprocal_rank=1.0, ndcg=0.8, answered=False),
    executed(
        found=False,
        recall=0.0,
        reciprocal_rank=0.0,
        ndcg=0.1,
        answered=True,
        findings=(finding("unsupported_fact"),),
    ),
    executed(found=False, answered=False, said=False, called=False, steps=RIGHT.turns * 3),
    executed(reached=True, findings=(finding("collateral_change"),), steps=RIGHT.turns),
    executed(reached=False),
    executed(found=True, answered=True, turn=BROKEN.turns[0]),
]
"""Of seven one broke; four have relevant documents, of which three searched; two have a goal."""

SURE = [
    replace(RIGHT, id=f"sure {number}", turns=(replace(RIGHT.turns[0], margin=margin),))
    for number, margin in enumerate((0.0, 1.0, 4.0, None))
]

TIMED = [timed(100.0, 20.0, 5), timed(300.0, 50.0, 9), timed(400.0, None, 7), timed()]

AGAIN = [
    *(replace(RIGHT, id="both", repeat=repeat) for repeat in (0, 1)),
    *(replace(each, id="one", repeat=repeat) for repeat, each in enumerate((RIGHT, WRONG))),
    *(replace(each, id="broke", repeat=repeat) for repeat, each in enumerate((RIGHT, BROKEN))),
]

EXAMPLES = {
    "accuracy": (MIXED, (2, 11)),  # RIGHT and the first abstention
    "pass_hat_k": (AGAIN, (1, 2)),
    "tool_accuracy": (MIXED, (3, 8)),  # RIGHT, the wrong value, the misfit
    "argument_accuracy": (MIXED, (1, 3)),  # of these three RIGHT
    "second_call_rate": (MIXED, (1, 9)),  # A, A
    "call_after_result_rate": (MIXED, (1, 2)),
    "abstention_accuracy": (MIXED, (1, 2)),
    "no_call_rate": (MIXED, (1, 9)),
    "malformed_rate": (MIXED, (1, 11)),
    "undeclared_tool_rate": (MIXED, (1, 11)),
    "schema_violation_rate": (MIXED, (1, 11)),
    "answer_accuracy": (EXECUTED, (2, 4)),
    "hit_rate": (EXECUTED, (2, 4)),
    "answer_given_hit": (EXECUTED, (1, 2)),
    "unsupported_rate": (EXECUTED, (1, 5)),
    "goal_accuracy": (EXECUTED, (1, 2)),
    "collateral_rate": (EXECUTED, (1, 2)),
    "recall_at_k": (EXECUTED, (0.5, 3)),
    "reciprocal_rank": (EXECUTED, (0.5, 3)),
    "ndcg_at_k": (EXECUTED, (0.5, 3)),
    "steps_p50": (EXECUTED, (1.0, 6)),  # of 1, 1, 1, 1, 2, 4
    "output_tokens_p50": (TIMED, (7.0, 3)),  # of 5, 7, 9
    "output_tokens_p95": (TIMED, (8.8, 3)),  # nine tenths of the way from 7 to 9
    "latency_ms_p50": (TIMED, (300.0, 3)),
    "latency_ms_p95": (TIMED, (390.0, 3)),  # nine tenths of the way from 300 to 400
    "ttft_ms_p50": (TIMED, (35.0, 2)),
    "ms_per_token_p50": (TIMED, (25.625, 2)),  # of (100 - 20) / 4 and (300 - 50) / 8
    "margin_p10": (SURE, (0.2, 3)),  # a fifth of the way from 0 to 1
}
"""Metric -> results of a few cases, and by hand: hits (or the value) and how many are eligible."""


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_a_worked_example(name: str) -> None:
    if name not in EXAMPLES:
        pytest.fail(
            f"{name} has no worked example: add to EXAMPLES in {__file__} the results of a few "
            "cases, hits as well as others, with its hits (or its value) and its eligible cases "
            "counted by hand"
        )
    results, expected = EXAMPLES[name]

    found = measure(results)[name]

    number = found.hits if isinstance(found, Counts) else found.value
    assert expected == (pytest.approx(number), found.eligible)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name in RATES])
def test_an_example_has_hits_and_others(name: str) -> None:
    """
    One of which all count, or none, would not tell a rate from its opposite.
    """
    _, (hits, eligible) = EXAMPLES[name]

    assert 0 < hits < eligible


def test_accuracy_counts_scored_cases_whose_status_is_correct() -> None:
    half_read = judged(calls("A"), unfinished("A"))

    assert (1, 3) == rate("accuracy", RIGHT, WRONG, half_read)


@pytest.mark.parametrize("name", METRICS)
def test_errors_and_quarantined_cases_are_in_no_metric(name: str) -> None:
    abstained = judge(case(turn(abstain(), after_result=True), quarantined=True), answer(A))

    broken = executed(found=True, answered=True, reached=True, ndcg=1.0, turn=BROKEN.turns[0])

    again = replace(BROKEN, repeat=1, turns=(replace(BROKEN.turns[0], margin=0.5),))
    nothing = measure([executed(turn=BROKEN.turns[0]), again])[name]
    assert nothing == measure([broken, BROKEN, QUARANTINED, abstained, again])[name]
    assert not nothing.eligible


def test_a_case_of_which_one_turn_broke_is_in_no_metric() -> None:
    result = judge(case(calls("A"), turn(abstain(), after_result=True)), None, answer(A))

    assert (0, 0) == rate("accuracy", result)
    assert (0, 0) == rate("call_after_result_rate", result)


def test_tool_accuracy_leaves_arguments_aside() -> None:
    wrong_value = judged(calls(expect("A", x=1)), attempt("A", x=2))
    crossed = judged(calls("A", "B", order="strict"), B, A)
    more = judged(calls("A"), A, A)

    assert (3, 5) == rate("tool_accuracy", RIGHT, WRONG, wrong_value, crossed, more)


def test_tool_accuracy_is_about_cases_whose_turns_all_expect_calls() -> None:
    mixed = judge(case(calls("A"), abstain()), answer(A), answer())
    either = judged(turn(calls("A"), abstain()), A)

    assert (1, 1) == rate("tool_accuracy", RIGHT, mixed, either, judged(abstain()))


def test_argument_accuracy_is_over_the_hits_of_tool_accuracy() -> None:
    wrong_value = judged(calls(expect("A", x=1)), attempt("A", x=2))
    wrong_both = judged(calls(expect("A", x=1)), attempt("B", x=2))
    misfit = judged(calls("T"), attempt("T", n="x"))

    assert (1, 3) == rate("argument_accuracy", RIGHT, wrong_value, wrong_both, misfit)


def test_second_calls_are_over_cases_that_expect_calls_and_forbid_more() -> None:
    duplicate, allowed = judged(calls("A"), A, A), judged(calls("A", extra_calls="allow"), A, A)
    abstained, either = judged(abstain(), A, A), judged(turn(calls("A"), abstain()), A, A)

    assert (1, 2) == rate("second_call_rate", RIGHT, duplicate, allowed, abstained, either)


@pytest.mark.parametrize(
    ("attempts", "hits"),
    [
        ([], 0),
        ([A], 0),
        ([A, A], 1),
        ([A, B], 1),
        ([A, Z], 1),
        ([A, malformed()], 1),
        ([A, unfinished()], 1),
        ([B, A], 0),
        ([Z, A], 0),
        ([malformed("A"), A], 0),
        ([malformed("A"), malformed("A")], 0),
    ],
)
def test_the_first_call_must_be_the_expected_one(attempts: list[object], hits: int) -> None:
    assert (hits, 1) == rate("second_call_rate", judged(calls("A"), *attempts))


def test_arguments_do_not_matter_to_second_calls() -> None:
    result = judged(calls(expect("A", x=1)), attempt("A", x=2), attempt("A", x=3))

    assert (1, 1) == rate("second_call_rate", result)


def test_any_of_is_eligible_for_second_calls_if_all_alternatives_forbid_more() -> None:
    forbids = judged(turn(calls("A"), calls("B")), A, B)
    allows = judged(turn(calls("A"), calls("B", extra_calls="allow")), A, A)

    assert (1, 1) == rate("second_call_rate", forbids, allows)


def test_second_calls_are_told_by_the_kind_of_the_first_that_should_not_be_there() -> None:
    results = [
        judged(calls("A"), A, A, B),
        judged(calls("A"), A, B, A),
        judged(calls("A"), A, B),
        judged(calls("A"), B, A),
        judged(calls("A", extra_calls="allow"), A, A),
        judged(calls("A"), A, A, quarantined=True),
    ]

    assert {"duplicate": 1, "other_tool": 2} == second_calls(Columns(results))


def test_calls_after_a_result_are_counted_by_turn() -> None:
    after = turn(abstain(), after_result=True)
    result = judge(case(calls("A"), after, after), answer(A), answer(A), answer())
    elsewhere = [judged(abstain(), A), judged(turn(calls("A"), after_result=True), B)]

    assert (1, 2) == rate("call_after_result_rate", result, *elsewhere)


def test_calls_after_a_result_and_second_calls_are_never_pooled() -> None:
    after = judged(turn(abstain(), after_result=True), A, A)
    second = judged(calls("A"), A, A)

    assert (1, 1) == rate("call_after_result_rate", after, second)
    assert (1, 1) == rate("second_call_rate", after, second)


def test_abstention_is_kept_if_no_call_was_tried() -> None:
    results = [
        judged(abstain()),
        judged(abstain("never said")),
        judged(abstain(), A),
        judged(abstain(), malformed()),
        judged(turn(abstain(), after_result=True), unfinished()),
        RIGHT,
    ]

    assert (2, 5) == rate("abstention_accuracy", *results)


def test_no_call_is_over_cases_that_expect_calls() -> None:
    results = [judged(calls("A")), RIGHT, judged(calls("A"), malformed()), judged(abstain())]

    assert (1, 3) == rate("no_call_rate", *results)


def test_malformed_undeclared_and_misfit_are_over_all_scored_cases() -> None:
    results = [
        judged(calls("A"), malformed(), malformed()),
        judged(calls("A"), unfinished()),
        judged(abstain(), Z),
        judged(abstain(), attempt("T", n="x")),
        judged(abstain()),
    ]

    assert (1, 5) == rate("malformed_rate", *results)
    assert (1, 5) == rate("undeclared_tool_rate", *results)
    assert (1, 5) == rate("schema_violation_rate", *results)


def test_quantiles_are_interpolated_and_over_what_is_known() -> None:
    # Type 7 over 1, 2, 3, 10: the median lies halfway from 2 to 3, and position 0.95 * 3 = 2.85
    # is 85 % of the way from 3 to 10.
    results = [timed(tokens=count) for count in (10, 1, 3, 2)] + [timed()]
    measured = measure(results)

    assert Quantile(value=2.5, eligible=4) == measured["output_tokens_p50"]
    assert measured["output_tokens_p95"].value == pytest.approx(8.95)  # type: ignore[union-attr]


def test_times_are_over_the_answers_that_were_timed() -> None:
    measured = measure([timed(100.0, 20.0, 5), timed(300.0, None, 9), timed(None, None, 7)])

    assert Quantile(value=200.0, eligible=2) == measured["latency_ms_p50"]
    assert Quantile(value=20.0, eligible=1) == measured["ttft_ms_p50"]
    # (100 - 20) / (5 - 1)
    assert Quantile(value=20.0, eligible=1) == measured["ms_per_token_p50"]


@pytest.mark.parametrize(
    ("latency", "ttft", "tokens", "expected"),
    [
        (100.0, 20.0, 5, 20.0),
        (100.0, 20.0, 2, 80.0),
        (100.0, 20.0, 1, None),
        (100.0, 20.0, None, None),
        (100.0, None, 5, None),
        (None, None, 5, None),
    ],
)
def test_time_per_token_needs_two_tokens_and_both_times(
    latency: float | None, ttft: float | None, tokens: int | None, expected: float | None
) -> None:
    assert expected == ms_per_token(latency, ttft, tokens)


def test_a_malformed_call_in_the_matrix_is_one_in_the_rate_above_it() -> None:
    for attempts in ([malformed()], [unfinished()], [A, unfinished()], [malformed(), unfinished()]):
        result = judged(calls("A"), *attempts)
        rate = RATES["malformed_rate"].measure(Columns([result]))
        called = {name for row in confusion([result]).values() for name in row}

        assert ("(malformed)" in called) <= (rate.hits == 1)


def test_the_confusion_matrix_counts_expected_by_called() -> None:
    results = [
        RIGHT,
        WRONG,
        judged(calls("A", "B"), B, A),
        judged(calls("A")),
        judged(calls("A"), Z),
        judged(calls("B"), malformed("B")),
        judged(calls("B"), unfinished("B")),
        judged(abstain()),
        judged(abstain(), A, Z),
        judged(calls("A"), A, B),
        BROKEN,
        QUARANTINED,
    ]

    assert {
        "A": {"A": 3, "B": 1, "(none)": 1, "(undeclared)": 1},
        "B": {"B": 1, "(malformed)": 1, "(unfinished)": 1},
        "(none)": {"(none)": 1, "A": 1, "(undeclared)": 1},
    } == confusion(results)
