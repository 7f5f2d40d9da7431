"""
Validation rows from training rows: of every tool a part, by a seed, and nothing twice.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import TrainingError
from harness.finetuning import Row, Split, split_off
from harness.finetuning.split import NO_CALL, nested
from harness.messages import Message, ToolCall

from .conftest import SEARCH, SUM, row


def searches(count: int) -> list[Row]:
    return [row(f"find {n}", ToolCall(name="search", arguments={}), SEARCH) for n in range(count)]


def sums(count: int) -> list[Row]:
    return [row(f"add {n}", ToolCall(name="sum", arguments={}), SUM) for n in range(count)]


def chats(count: int) -> list[Row]:
    said = Message(role="assistant", content="Hello.")
    return [Row(messages=(Message(role="user", content=f"hi {n}"), said)) for n in range(count)]


def test_a_fifth_of_each_tool_is_split_off():
    rows = [*searches(10), *sums(5), *chats(5)]

    train, valid, split = split_off(rows, seed=1)

    assert {"search": (8, 2), "sum": (4, 1), NO_CALL: (4, 1)} == split.kinds
    assert (16, 4) == (len(train), len(valid))
    assert sorted(map(repr, rows)) == sorted(map(repr, [*train, *valid]))


def test_the_rows_keep_their_order_and_the_seed_decides():
    rows = searches(40)

    train, valid, _ = split_off(rows, seed=1)

    assert [one for one in rows if one in train] == list(train)
    assert [one for one in rows if one in valid] == list(valid)
    assert (train, valid) == split_off(rows, seed=1)[:2]
    assert valid != split_off(rows, seed=2)[1]


def test_another_order_of_the_rows_or_a_further_tool_changes_no_choice():
    rows = searches(20)
    _, valid, _ = split_off(rows, seed=1)

    assert set(map(repr, valid)) == set(map(repr, split_off(rows[::-1], seed=1)[1]))
    with_others = split_off([*sums(10), *rows], seed=1)[1]
    assert set(map(repr, valid)) <= set(map(repr, with_others))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2))), st.data())
def test_another_order_changes_no_choice_where_prompts_are_answered_in_several_ways(
    said: list[tuple[int, int]], data: st.DataObject
):
    rows = [row(f"do {n}", ToolCall(name=f"t{tool}", arguments={}), SEARCH) for n, tool in said]
    rows += searches(4)
    shuffled = data.draw(st.permutations(rows))

    train, valid, split = split_off(rows, seed=1)
    other_train, other_valid, other_split = split_off(shuffled, seed=1)

    assert split == other_split
    assert sorted(map(repr, train)) == sorted(map(repr, other_train))
    assert sorted(map(repr, valid)) == sorted(map(repr, other_valid))


def test_a_prompt_that_is_answered_by_two_tools_is_of_both_kinds():
    either = [
        row(f"do {n}", ToolCall(name=name, arguments={}), SEARCH, SUM)
        for n in range(5)
        for name in ("sum", "search")
    ]

    _, _, split = split_off(either, seed=1)

    assert {"search + sum": (8, 2)} == split.kinds


def test_rows_with_the_same_prompt_stay_on_one_side():
    rows = [*searches(10), *searches(10)]

    train, valid, _ = split_off(rows, seed=1)

    assert set() == {one.prompts for one in train} & {one.prompts for one in valid}
    assert 4 == len(valid)


def test_a_tool_with_a_single_row_is_trained_on():
    train, valid, split = split_off([*searches(9), *sums(1)], seed=1)

    assert (1, 0) == split.kinds["sum"]
    assert 2 == len(valid)
    assert "add 0" in {one.prompts[0] for one in train}


@pytest.mark.parametrize("rows", [[*searches(1), *sums(1)], [*searches(1), *searches(1)]])
def test_where_no_row_can_be_spared_it_is_an_error_that_says_what_to_do(rows: list[Row]):
    with pytest.raises(TrainingError, match="--valid"):
        split_off(rows, seed=1)


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=4).filter(lambda counts: max(counts) > 1),
    st.integers(0, 9),
)
def test_about_a_fifth_is_split_off_and_every_tool_keeps_a_row(counts: list[int], seed: int):
    rows = [
        row(f"{name} {n}", ToolCall(name=f"t{name}", arguments={}), SEARCH)
        for name, count in enumerate(counts)
        for n in range(count)
    ]

    train, valid, split = split_off(rows, seed=seed)

    spared = sum(max(0, count - 1) for count in counts)
    assert min(spared, max(1, round(0.2 * len(rows)))) == len(valid)
    assert all(kept >= 1 for kept, _ in split.kinds.values())
    assert all(taken <= 0.2 * (kept + taken) + 1 for kept, taken in split.kinds.values())
    assert len(rows) == len(train) + len(valid)


def test_a_split_is_said_in_words_and_stored():
    _, _, split = split_off([*searches(10), *sums(5)], seed=42)

    assert "3 of 15 rows, split off by tool with seed 42 (2 of 10 search, 1 of 5 sum)" == str(split)
    assert split == Split.from_json(split.to_json())


def test_fewer_rows_are_a_part_of_more_and_of_each_kind_its_share():
    rows = [*searches(12), *sums(4)]

    drawn = {many: nested(rows, many, seed=1) for many in (4, 8, 16)}

    prompts = [{each.prompts for each in drawn[many]} for many in drawn]
    assert prompts[0] < prompts[1] < prompts[2]
    assert [(3, 1), (6, 2), (12, 4)] == [_shares(each) for each in drawn.values()]
    assert drawn[4] != nested(rows, 4, seed=2)
    assert prompts[0] == {each.prompts for each in nested(rows[::-1], 4, seed=1)}
    with pytest.raises(TrainingError, match="16 rows to train on, not 17"):
        nested(rows, 17, seed=1)


def _shares(rows) -> tuple[int, int]:
    called = [row.messages[-1].tool_calls[0].name for row in rows]
    return called.count("search"), called.count("sum")
