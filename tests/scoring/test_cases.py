"""
Judging: each rule of the contract by a small example, the derived ones against direct definitions.
"""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.dialects.base import Attempt
from harness.messages import Tool
from harness.scoring.cases import score_case
from harness.scoring.results import FINDINGS, WARNINGS, TurnResult
from harness.suites.suite import Calls

from ..builders import (
    TOOLS,
    abstain,
    answer,
    attempt,
    calls,
    case,
    codes,
    expect,
    judge,
    judge_turn,
    malformed,
    tool,
    turn,
    unfinished,
)

X1 = expect("A", x=1)


def found(expected: Any, *attempts: Attempt, tools: Sequence[Tool] = TOOLS) -> list[str]:
    return codes(judge_turn(expected, *attempts, tools=tools))


# Which tools were called.


@pytest.mark.parametrize(
    ("expected", "attempts", "codes"),
    [
        (calls("A"), [attempt("A")], []),
        (calls("A", "B"), [attempt("B"), attempt("A")], []),
        # no_call is found once, however many were wanted.
        (calls("A"), [], ["no_call"]),
        (calls("A", "B", "A"), [], ["no_call"]),
        # A declared tool in another's place is one finding, not two.
        (calls("A"), [attempt("B")], ["wrong_tool"]),
        (calls("A", "B"), [attempt("A"), attempt("C")], ["wrong_tool"]),
        (calls("A", "B"), [attempt("B"), attempt("C")], ["wrong_tool"]),
        # Undeclared is the only finding.
        (calls("A"), [attempt("Z")], ["undeclared_tool"]),
        (calls("A", "B"), [attempt("Z"), attempt("A")], ["undeclared_tool"]),
        # Fewer than expected.
        (calls("A", "B"), [attempt("B")], ["missing_call"]),
        (calls("A", "A", "A"), [attempt("A")], ["missing_call", "missing_call"]),
        # First is strict: wanted A, answered [B, A].
        (calls("A"), [attempt("B"), attempt("A")], ["extra_call:same_tool", "wrong_tool"]),
        (
            calls("A", "B"),
            [attempt("A"), attempt("C"), attempt("B")],
            ["extra_call:same_tool", "wrong_tool"],
        ),
        (calls("A"), [attempt("Z"), attempt("A")], ["extra_call:same_tool", "undeclared_tool"]),
        (calls("A"), [malformed("A"), attempt("A")], ["extra_call:same_tool", "malformed_call"]),
        # Cannot be read.
        (calls("A"), [malformed()], ["malformed_call"]),
        (calls("A"), [unfinished("A")], ["unfinished_call"]),
        (calls("A", "B"), [attempt("B"), malformed()], ["malformed_call"]),
        (calls("A", "B"), [malformed()], ["malformed_call", "missing_call"]),
    ],
)
def test_tools(expected: Calls, attempts: list[Attempt], codes: list[str]) -> None:
    assert codes == found(expected, *attempts)


@pytest.mark.parametrize(
    ("further", "kind", "beside"),
    [
        (attempt("A", x=1), "duplicate", []),
        (attempt("A", x=2), "same_tool", []),
        (attempt("A", x=True), "same_tool", []),
        (attempt("A", x=1.0), "duplicate", []),
        (attempt("B", x=1), "other_tool", []),
        (attempt("Z"), "undeclared_tool", ["undeclared_tool"]),
        (unfinished("A"), "unfinished", ["unfinished_call"]),
        (malformed("A"), "malformed", ["malformed_call"]),
    ],
)
def test_a_further_call_has_a_kind(further: Attempt, kind: str, beside: list[str]) -> None:
    result = judge_turn(calls(X1), attempt("A", x=1), further)

    assert sorted([f"extra_call:{kind}", *beside]) == codes(result)
    assert (kind,) == result.second_call_kinds


def test_every_further_call_is_listed() -> None:
    result = judge_turn(calls("A"), attempt("A"), attempt("A"), attempt("B"), attempt("B"))

    assert ("duplicate", "other_tool", "duplicate") == result.second_call_kinds


def test_a_wrong_first_call_makes_the_right_one_after_it_no_second_call() -> None:
    result = judge_turn(calls("A"), attempt("B"), attempt("A"))

    assert not result.made_expected_calls
    assert () == result.second_call_kinds


# Where extra calls are allowed.


@pytest.mark.parametrize(
    ("attempts", "codes"),
    [
        ([attempt("A")], []),
        ([attempt("B"), attempt("A"), attempt("A")], []),
        ([attempt("B")], ["missing_call"]),
        ([attempt("C"), attempt("A")], ["forbidden_tool"]),
        ([attempt("C")], ["forbidden_tool", "missing_call"]),
        ([attempt("A"), attempt("C"), attempt("C")], ["forbidden_tool", "forbidden_tool"]),
        ([attempt("A"), attempt("Z")], ["undeclared_tool"]),
        ([attempt("Z")], ["undeclared_tool"]),
        ([attempt("A"), malformed()], ["malformed_call"]),
        ([malformed()], ["malformed_call"]),
        ([], ["no_call"]),
    ],
)
def test_extra_calls_allowed(attempts: list[Attempt], codes: list[str]) -> None:
    expected = calls("A", extra_calls="allow", forbid=("C",))

    assert codes == found(expected, *attempts)


def test_a_forbidden_tool_is_found_beside_what_its_call_replaces() -> None:
    expected = calls("A", forbid=("C",))

    assert ["forbidden_tool", "wrong_tool"] == found(expected, attempt("C"))
    assert ["extra_call:other_tool", "forbidden_tool"] == found(
        expected, attempt("A"), attempt("C")
    )


# Abstention.


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([], []),
        ([attempt("A")], ["unexpected_call"]),
        ([attempt("A"), attempt("B")], ["unexpected_call", "unexpected_call"]),
        ([attempt("Z")], ["undeclared_tool", "unexpected_call"]),
        ([malformed()], ["malformed_call", "unexpected_call"]),
        ([unfinished()], ["unexpected_call", "unfinished_call"]),
    ],
)
def test_abstention(attempts: list[Attempt], expected: list[str]) -> None:
    assert expected == found(abstain(), *attempts)
    assert sorted(code.replace("unexpected_call", "call_after_result") for code in expected) == (
        found(turn(abstain(), after_result=True), *attempts)
    )


def test_a_call_that_is_expected_after_a_result_is_not_a_call_after_result() -> None:
    expected = turn(calls("A"), after_result=True)

    assert [] == found(expected, attempt("A"))
    assert ["wrong_tool"] == found(expected, attempt("B"))


def test_the_text_of_an_abstention_is_held_against_its_constraint() -> None:
    asked = case(abstain({"contains_any": ["sorry"]}))

    assert [] == codes(judge(asked, answer(text="Sorry, no.")).turns[0])
    assert ["wrong_text"] == codes(judge(asked, answer(text="Sure")).turns[0])
    assert ["unexpected_call", "wrong_text"] == codes(judge(asked, answer(attempt("A"))).turns[0])


# Arguments.

TYPED = tool("T", s={"type": "string"}, n={"type": "integer"})


@pytest.mark.parametrize(
    ("expected", "arguments", "codes"),
    [
        ({"s": "a"}, {"s": "a"}, []),
        ({"s": "a"}, {"s": "a", "n": 1}, []),
        ({"s": "a", "other_arguments": "forbid"}, {"s": "a", "n": 1}, ["unexpected_argument"]),
        ({"s": "a"}, {"s": "a", "u": 1}, ["unexpected_argument"]),
        ({"s": "a"}, {}, ["missing_argument"]),
        ({"s": "a"}, {"n": 1}, ["missing_argument"]),
        ({"s": "a"}, {"s": "b"}, ["wrong_value"]),
        ({"s": "a"}, {"s": None}, ["schema_violation", "wrong_type"]),
        ({"n": 1}, {"n": "1"}, ["schema_violation", "wrong_type"]),
        ({"n": {"optional": True, "const": 1}}, {}, []),
        ({"n": {"optional": True, "const": 1}}, {"n": 1}, []),
        ({"n": {"optional": True, "const": 1}}, {"n": 2}, ["wrong_value"]),
        ({"n": {"absent": True}}, {}, []),
        ({"n": {"absent": True}}, {"n": 1}, ["unexpected_argument"]),
        ({}, {"n": "x"}, ["schema_violation"]),
        # All findings, not the first.
        (
            {"s": "a", "n": 1},
            {"s": "b", "u": 1},
            ["missing_argument", "unexpected_argument", "wrong_value"],
        ),
    ],
)
def test_arguments(expected: dict[str, Any], arguments: dict[str, Any], codes: list[str]) -> None:
    assert codes == found(calls(expect("T", **expected)), attempt("T", **arguments), tools=[TYPED])


def test_every_call_is_held_against_its_schema_expected_or_not() -> None:
    both = (*TOOLS, TYPED)

    assert ["extra_call:other_tool", "schema_violation"] == found(
        calls("A"), attempt("A"), attempt("T", n="x"), tools=both
    )
    assert ["schema_violation"] == found(
        calls("A", extra_calls="allow"), attempt("A"), attempt("T", n="x"), tools=both
    )
    assert ["schema_violation", "unexpected_call"] == found(
        abstain(), attempt("T", n="x"), tools=both
    )


def test_a_required_argument_of_the_tool_is_a_matter_of_its_schema() -> None:
    strict = Tool.from_schema(
        {
            "name": "T",
            "parameters": {"type": "object", "properties": {"s": {}}, "required": ["s"]},
        }
    )

    assert ["schema_violation"] == found(calls("T"), attempt("T"), tools=[strict])


def test_arguments_of_a_wrong_tool_are_not_judged() -> None:
    assert ["wrong_tool"] == found(calls(X1), attempt("B", x=2))


def test_a_schema_that_names_an_address_is_not_fetched() -> None:
    remote = tool("T", s={"$ref": "https://example.com/schema"})

    with pytest.raises(Exception, match=r"example\.com"):
        found(calls("T"), attempt("T", s=1), tools=[remote])


# Pairing.


def test_parallel_calls_are_paired_for_the_fewest_faults() -> None:
    """
    Greedily the loose expectation, written first, would take the only call the strict one fits.
    """
    loose, strict = expect("A", x={"minimum": 0}), expect("A", x=1, y=1)

    assert [] == found(calls(loose, strict), attempt("A", x=1, y=1), attempt("A", x=2))
    assert [] == found(calls(loose, strict), attempt("A", x=2), attempt("A", x=1, y=1))


def test_a_later_call_with_the_right_arguments_is_taken_for_the_expected_one() -> None:
    result = judge_turn(calls(X1), attempt("A", x=2), attempt("A", x=1))

    assert ["extra_call:same_tool"] == codes(result)


def test_calls_with_wrong_arguments_are_not_told_as_wrong_tools() -> None:
    wanted = calls(expect("A", x=1, y=1), "B")

    assert ["wrong_value", "wrong_value"] == found(wanted, attempt("B"), attempt("A", x=2, y=2))


ARGUMENTS = st.fixed_dictionaries({}, optional={"x": st.integers(0, 2), "y": st.integers(0, 1)})
WANTED = st.lists(
    st.builds(lambda name, given: expect(name, **given), st.sampled_from("AB"), ARGUMENTS),
    min_size=1,
    max_size=3,
)
ATTEMPTS = st.lists(
    st.one_of(
        st.builds(lambda name, given: attempt(name, **given), st.sampled_from("ABCZ"), ARGUMENTS),
        st.builds(malformed, st.sampled_from([None, "A"])),
        st.builds(unfinished, st.sampled_from([None, "B"])),
    ),
    max_size=5,
)


def with_any_arguments(wanted: list[Any]) -> st.SearchStrategy[Any]:
    """
    Return *wanted* with calls of just its tools, in any order and with any arguments.
    """
    made = [
        st.builds(lambda given, name=call.tool: attempt(name, **given), ARGUMENTS)
        for call in wanted
    ]
    return st.tuples(st.just(wanted), st.tuples(*made).flatmap(st.permutations))


@settings(deadline=None)
@given(WANTED.flatmap(with_any_arguments))
def test_no_pairing_of_the_right_calls_has_fewer_findings(
    both: tuple[list[Any], list[Attempt]],
) -> None:
    """
    Where the tools are right, findings are the fewest that any pairing gives.
    """
    wanted, attempts = both
    fewest = min(
        sum(
            len(found(calls(call), made))
            for call, made in zip(wanted, some, strict=True)
            if call.tool == made.name
        )
        for some in permutations(attempts)
        if all(call.tool == made.name for call, made in zip(wanted, some, strict=True))
    )

    assert fewest == len(found(calls(*wanted), *attempts))


# Order.


@pytest.mark.parametrize(
    ("extra_calls", "names", "codes"),
    [
        ("forbid", "AB", []),
        ("forbid", "BA", ["wrong_order"]),
        ("forbid", "B", ["missing_call"]),
        ("forbid", "BAC", ["extra_call:other_tool", "wrong_order"]),
        ("forbid", "ABA", ["extra_call:duplicate"]),
        # First is strict here, too: the two that follow do not repair the order of the first two.
        ("forbid", "BAAB", ["extra_call:duplicate", "extra_call:duplicate", "wrong_order"]),
        ("allow", "ACB", []),
        ("allow", "BA", ["wrong_order"]),
        # The calls in the right order are there, beside others.
        ("allow", "BAB", []),
        ("allow", "BCCACCB", []),
        ("allow", "BBA", ["wrong_order"]),
    ],
)
def test_strict_order(extra_calls: str, names: str, codes: list[str]) -> None:
    expected = calls("A", "B", order="strict", extra_calls=extra_calls)

    assert codes == found(expected, *map(attempt, names))


def test_strict_order_tells_calls_of_one_tool_apart_by_their_arguments() -> None:
    expected = calls(expect("A", x=1), expect("A", x=2), order="strict")

    assert [] == found(expected, attempt("A", x=1), attempt("A", x=2))
    assert ["wrong_order"] == found(expected, attempt("A", x=2), attempt("A", x=1))


def test_strict_order_keeps_the_order_of_the_first_calls_where_they_have_the_expected_tools() -> (
    None
):
    expected = calls(X1, "B", order="strict")

    assert ["extra_call:same_tool", "wrong_value"] == found(
        expected, attempt("A", x=2), attempt("B"), attempt("A", x=1)
    )


def test_any_order_knows_no_wrong_order() -> None:
    assert [] == found(calls("A", "B"), attempt("B"), attempt("A"))


# Alternatives.


def test_the_alternative_with_the_fewest_findings_counts() -> None:
    either = turn(calls(expect("A", x=1, y=1)), calls(expect("A", x=2, y=1)))

    assert [] == found(either, attempt("A", x=2, y=1))
    assert ["wrong_value"] == found(either, attempt("A", x=2, y=2))


def test_the_first_alternative_counts_on_a_tie() -> None:
    result = judge_turn(turn(calls("A"), calls("B")), attempt("C"))

    assert (("A", "C"),) == result.pairs
    assert "no_call" == judge_turn(turn(calls("A"), calls("B"))).findings[0].code


def test_a_case_may_expect_calls_or_none() -> None:
    either = turn(calls("A"), abstain())

    assert "either" == judge_turn(either).expects
    assert [] == found(either)
    assert [] == found(either, attempt("A"))
    assert ["wrong_tool"] == found(either, attempt("B"))


@settings(deadline=None)
@given(st.lists(WANTED, min_size=1, max_size=3), ATTEMPTS)
def test_any_of_is_the_least_of_its_alternatives(
    wanted: list[list[Any]], attempts: list[Attempt]
) -> None:
    alternatives = [calls(*some) for some in wanted]
    single = [judge_turn(alternative, *attempts) for alternative in alternatives]
    best = min(len(result.findings) for result in single)
    first = next(result for result in single if len(result.findings) == best)

    assert first == judge_turn(turn(*alternatives), *attempts)


# Which call a finding is about.


@pytest.mark.parametrize(
    ("expected", "attempts", "found"),
    [
        (calls("A"), [], [("no_call", None)]),
        (calls("A", "B"), [attempt("A")], [("missing_call", None)]),
        (calls("A", "B"), [attempt("A"), attempt("C")], [("wrong_tool", 1)]),
        (calls("B", X1), [attempt("B"), attempt("A", x=2)], [("wrong_value", 1)]),
        (calls("B", X1), [attempt("B"), attempt("A")], [("missing_argument", 1)]),
        (calls("B", "A"), [attempt("B"), attempt("A", q=2)], [("unexpected_argument", 1)]),
        (calls("A"), [attempt("A"), attempt("Z")], [("undeclared_tool", 1), ("extra_call", 1)]),
        # The extra one is the one that fits worse, not the later one.
        (calls(X1), [attempt("A", x=2), attempt("A", x=1)], [("extra_call", 0)]),
        # Those that cannot be read count, too.
        (calls("A"), [malformed(), attempt("A")], [("malformed_call", 0), ("extra_call", 1)]),
        (calls("A"), [attempt("A"), unfinished()], [("unfinished_call", 1), ("extra_call", 1)]),
        (calls("A", forbid=("B",), extra_calls="allow"), [attempt("A"), attempt("B")],
         [("forbidden_tool", 1)]),
        (calls("A", "B", order="strict"), [attempt("B"), attempt("A")], [("wrong_order", None)]),
        (abstain(), [attempt("A"), malformed()],
         [("malformed_call", 1), ("unexpected_call", 0), ("unexpected_call", 1)]),
        (turn(abstain(), after_result=True), [attempt("A")], [("call_after_result", 0)]),
        (abstain("never said"), [], [("wrong_text", None)]),
    ],
)  # fmt: skip
def test_a_finding_names_the_call_it_is_about(
    expected: Any, attempts: list[Attempt], found: list[tuple[str, int | None]]
) -> None:
    result = judge_turn(expected, *attempts)

    assert found == [(finding.code, finding.call) for finding in result.findings]


def test_a_schema_violation_names_the_call_it_is_about() -> None:
    typed = tool("T", n={"type": "integer"})
    result = judge_turn(calls("T", "T"), attempt("T", n=1), attempt("T", n="x"), tools=[typed])

    assert [("schema_violation", 1)] == [(each.code, each.call) for each in result.findings]


# What is derived from findings, against its direct definition.


def made_directly(wanted: Sequence[Any], attempts: Sequence[Attempt]) -> bool:
    """
    The contract's words: the first calls have the expected tools, arguments aside.
    """
    first = attempts[: len(wanted)]
    return all(made.readable for made in first) and sorted(
        made.name or "" for made in first
    ) == sorted(call.tool for call in wanted)


@settings(deadline=None)
@given(WANTED, ATTEMPTS, st.sampled_from(["any", "strict"]))
def test_made_expected_calls_is_what_its_name_says(
    wanted: list[Any], attempts: list[Attempt], order: str
) -> None:
    result = judge_turn(calls(*wanted, order=order), *attempts)
    made = made_directly(wanted, attempts)

    assert made == result.made_expected_calls
    assert (len(attempts) - len(wanted) if made else 0) == len(result.second_call_kinds)


@settings(deadline=None)
@given(WANTED, ATTEMPTS, st.sampled_from(["any", "strict"]), st.sampled_from(["forbid", "allow"]))
def test_findings_follow_from_the_counts_of_calls(
    wanted: list[Any], attempts: list[Attempt], order: str, extra_calls: str
) -> None:
    result = judge_turn(calls(*wanted, order=order, extra_calls=extra_calls), *attempts)
    count = [finding.code for finding in result.findings].count

    assert {f.code for f in result.findings} <= FINDINGS.keys() - WARNINGS
    assert (not attempts) == (count("no_call") == 1)
    if attempts:
        undeclared = [a for a in attempts if a.readable and a.name == "Z"]
        assert len(undeclared) == count("undeclared_tool")
        assert sum(a.unfinished for a in attempts) == count("unfinished_call")
        assert sum(not a.readable for a in attempts) == (
            count("unfinished_call") + count("malformed_call")
        )
        if extra_calls == "forbid":
            assert max(0, len(attempts) - len(wanted)) == count("extra_call")
            assert max(0, len(wanted) - len(attempts)) == count("missing_call")
        else:
            assert 0 == count("extra_call") == count("wrong_tool")
    assert len(wanted) == len(result.pairs)


# Status.


@pytest.mark.parametrize(
    ("attempts", "status"),
    [
        ([attempt("A")], "correct"),
        ([], "incorrect"),
        ([attempt("B")], "incorrect"),
        ([attempt("A"), malformed()], "malformed"),
        ([malformed(), unfinished()], "truncated"),
        ([attempt("B"), unfinished()], "truncated"),
    ],
)
def test_status_by_precedence(attempts: list[Attempt], status: str) -> None:
    assert status == judge_turn(calls("A"), *attempts).status


def test_the_worst_turn_decides_a_case() -> None:
    asked = case(calls("A"), calls("B"), abstain())
    right, wrong = answer(attempt("A")), answer(attempt("C"))

    def status(*answers: Any) -> str:
        return judge(asked, *answers).status

    assert "correct" == status(right, answer(attempt("B")), answer())
    assert "incorrect" == status(right, wrong, answer())
    assert "malformed" == status(right, wrong, answer(malformed()))
    assert "truncated" == status(answer(unfinished()), wrong, answer(malformed()))
    assert "error" == status(None, wrong, answer(unfinished()))


def test_prose_that_hits_the_limit_is_judged_as_text() -> None:
    read = answer(text="Well, let me think about")

    assert "correct" == judge(case(abstain()), read, finish_reason="length").status
    assert ["no_call"] == codes(judge(case(calls("A")), read, finish_reason="length").turns[0])


def test_an_answer_that_broke_is_an_error_without_findings() -> None:
    result = judge(case(abstain()), None)

    assert ("error", "error", (), ()) == (
        result.status,
        result.status_lenient,
        result.turns[0].findings,
        result.turns[0].pairs,
    )
    assert not result.scored


def test_a_case_without_an_answer_is_an_error() -> None:
    def read(*_: object) -> Any:
        raise AssertionError("there is nothing to read")

    assert "error" == score_case(case(calls("A")), [None], read).status


def test_each_turn_has_its_own_answer() -> None:
    with pytest.raises(ValueError, match="zip"):
        judge(case(calls("A"), calls("B")), answer(attempt("A")))


# The lenient reading.


def test_a_repair_is_a_warning_and_the_strict_reading_decides() -> None:
    strict, lenient = answer(text="```A```"), answer(attempt("A"), repairs=["a code fence"])
    result = judge(case(calls("A")), (strict, lenient))

    assert ("incorrect", "correct") == (result.status, result.status_lenient)
    assert ["no_call", "repaired"] == codes(result.turns[0])
    assert "a code fence" == result.turns[0].findings[-1].detail
    assert () == result.turns[0].calls


def test_a_repair_alone_makes_nothing_wrong() -> None:
    read = answer(attempt("A"))
    result = judge(case(calls("A")), (read, answer(attempt("A"), repairs=["prose"])))

    assert ("correct", ["repaired"]) == (result.status, codes(result.turns[0]))


# What is kept.


def test_a_turn_keeps_what_was_measured_and_the_readable_calls() -> None:
    read = answer(attempt("Z", q=1), malformed(), attempt("A"))
    result: TurnResult = judge(
        case(turn(calls("A"), after_result=True)),
        read,
        output_tokens=7,
        finish_reason="stop",
        timing=(12.5, None),
    ).turns[0]

    assert (
        {"tool": "Z", "arguments": {"q": 1}},
        {"tool": "A", "arguments": {}},
    ) == result.calls
    assert (7, "stop", 12.5, None) == (
        result.output_tokens,
        result.finish_reason,
        result.latency_ms,
        result.ttft_ms,
    )
    assert ("calls", True) == (result.expects, result.follows_result)


def test_a_detail_stays_short_whatever_a_model_writes() -> None:
    result = judge_turn(calls("A"), attempt("B", x="y" * 10_000))

    assert 300 > len(result.findings[0].detail)
    assert "(+" in result.findings[0].detail


@pytest.mark.parametrize(
    ("expected", "forbids"),
    [
        (turn(calls("A")), True),
        (turn(calls("A", extra_calls="allow")), False),
        (turn(calls("A"), calls("B")), True),
        (turn(calls("A"), calls("B", extra_calls="allow")), False),
    ],
)
def test_any_of_forbids_extra_calls_if_all_alternatives_do(expected: Any, forbids: bool) -> None:
    assert forbids == judge(case(expected), answer()).forbids_extra_calls
