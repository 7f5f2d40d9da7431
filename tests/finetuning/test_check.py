"""
What is said of rows before anything is trained.
"""

from dataclasses import replace

import pytest

from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import parse_reference
from harness.finetuning import Recipe, Row
from harness.finetuning.check import CheckedRows, Token, check_rows
from harness.finetuning.declarations import Declaration
from harness.messages import Message, ToolCall

from .conftest import END, SEARCH, SUM, TRAIN, VALID, hermes, row, searches


@pytest.fixture
def tokenizer(base):
    return load_tokenizer(locate(parse_reference(str(base))))


def checked(tokenizer, train=TRAIN, valid=VALID, **more) -> CheckedRows:
    more.setdefault("recipe", Recipe(max_length=1024))
    return check_rows(tokenizer, train=train, valid=valid, **more)


def codes(found: CheckedRows) -> list[tuple[str, str]]:
    return [(each.source, each.code) for each in found.findings]


def test_good_rows_have_no_findings_and_are_counted(tokenizer):
    found = checked(tokenizer, expected={"search": 3, "sum": 0})

    assert () == found.findings
    assert [("search", 4, 2, 3), ("sum", 0, 0, 0)] == [
        (kind.name, kind.train, kind.valid, kind.expected) for kind in found.kinds
    ]
    assert {END: 6} == found.stops
    assert found.lengths is not None
    assert found.lengths.shortest <= found.lengths.median <= found.lengths.longest


def test_the_tokens_of_an_example_are_its_text_and_the_learned_ones_its_answer(tokenizer):
    """
    A character of several tokens is not torn apart.
    """
    [shown] = checked(tokenizer, train=searches("un café"), valid=()).examples

    text = "".join(token.text for token in shown.tokens)
    learned = "".join(token.text for token in shown.tokens if token.learned)
    assert text.startswith("<|im_start|>system\nCall.")
    assert learned.startswith('<tool_call>\n{"name": "search"')
    assert learned.endswith(f"</tool_call>{END}")
    assert Token(text="é", learned=False) in shown.tokens
    assert Token(text=END, learned=True) in shown.tokens


def test_the_examples_are_of_different_tools_before_they_are_of_one(tokenizer):
    adds = row("1 and 2", ToolCall(name="sum", arguments={"terms": [1, 2]}), SUM)

    found = checked(tokenizer, train=(*TRAIN, adds))

    assert ["search", "sum", "search"] == [each.kind for each in found.examples]


def test_leaks_and_rows_that_nearly_ask_what_the_suite_asks_are_all_named(tokenizer):
    rows = searches("a cat", "the sun", "the harbour of Oslo today", "red")
    rows = tuple(replace(each, source=f"rows:{n}") for n, each in enumerate(rows, start=1))

    found = checked(
        tokenizer,
        train=rows,
        heldout_prompts={"Find  A cat", "find red", "find the harbour of Oslo"},
    )

    assert [("rows:1", "leak"), ("rows:4", "leak"), ("rows:3", "near_leak")] == codes(found)


def test_copies_contradictions_and_rows_on_both_sides_are_told_apart(tokenizer):
    cat, dog = searches("a cat")[0], searches("a dog")[0]
    other = row("find  A CAT", ToolCall(name="search", arguments={"query": "a lion"}), SEARCH)
    train = (cat, replace(cat, source="copy"), replace(other, source="other"), dog)

    found = checked(tokenizer, train=train, valid=(replace(dog, source="valid"),))

    assert [
        ("copy", "duplicate"),
        ("other", "contradiction"),
        ("valid", "both_sides"),
    ] == codes(found)


def test_what_the_suite_expects_and_no_row_teaches_is_a_finding(tokenizer):
    found = checked(tokenizer, expected={"search": 3, "sum": 2, "no call": 1})

    assert [
        "the suite: untaught: 1 turn of it expect answers without a call, and no row teaches any",
        "the suite: untaught: 2 turns of it expect calls of sum, and no row teaches any",
    ] == [str(each) for each in found.findings]


def test_every_row_that_cannot_be_learned_is_named_and_the_others_are_checked(tokenizer):
    long = replace(searches("x" * 2000)[0], source="long")

    found = checked(tokenizer, train=(long, *TRAIN))

    assert [("long", "too_long")] == codes(found)
    assert 5 == found.train
    assert found.lengths is not None
    assert found.lengths.longest > 2000


def test_a_template_that_drops_tools_or_marks_too_little_is_a_finding(tokenizer):
    tokenizer.chat_template = hermes().replace("for tool in tools", "for tool in []")
    dropped = checked(tokenizer)
    stop = "{{- '<|im_end|>' -}}\n{%- endgeneration -%}"
    moved = "{%- endgeneration -%}\n{{- '<|im_end|>' -}}"
    tokenizer.chat_template = hermes().replace(stop, moved)
    marked = checked(tokenizer, train=TRAIN[:1], valid=())

    assert [("the chat template", "template")] == codes(dropped)
    assert [("train.jsonl:1", "not_learned")] == codes(marked)
    assert "never learn to stop" in marked.findings[0].message


def test_tools_that_the_suite_shows_otherwise_are_a_finding(tokenizer):
    asked = Declaration.of(TRAIN[0].messages, (SEARCH, SUM))

    found = checked(tokenizer, asked=[asked])

    assert [("the suite", "other_declarations")] == codes(found)


def test_history_is_noted_and_no_finding(tokenizer):
    asked = TRAIN[0]
    two = Row(
        messages=(
            *asked.messages,
            Message(role="user", content="And now?"),
            Message(role="assistant", content="No."),
        ),
        tools=asked.tools,
        history=frozenset({2}),
    )

    found = checked(tokenizer, train=(two,))

    assert () == found.findings
    assert ("1 answer in 1 row shown and not learned (weight 0): a row",) == found.notes
