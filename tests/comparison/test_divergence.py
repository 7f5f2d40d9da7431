"""
Where two answers part.
"""

import pytest

from harness.comparison.divergence import FIRST, Divergence, divergences, same
from harness.transcript import Key, Transcript

A = Key("a")


def said(text: str | None, finish_reason: str = "stop", key: Key = A) -> Transcript:
    message = None if text is not None else {"role": "assistant", "content": "x"}
    return Transcript(key=key, output=text, message=message, finish_reason=finish_reason)


def parted(old: str, new: str) -> Divergence:
    [found] = divergences({A: said(old)}, {A: said(new)}, [A]).first
    return found


@pytest.mark.parametrize(
    ("old", "new", "before", "pieces"),
    [
        ("call search_web now", "call search_kb now", "call", (" search_web", " search_kb")),
        ('{"q": "two days"}', '{"q": "two weeks"}', '{"q": "two', (" days", " weeks")),
        (
            "</tool_call><|im_end|>",
            "</tool_call>\n<tool_call>",
            "</tool_call>",
            ("<|im_end|>", "\n"),
        ),
        ("yes", "yes, sir", "yes", ("", ",")),
        ("", "x", "", ("", "x")),
    ],
)
def test_the_first_piece_that_differs_is_a_word_a_sign_or_a_tag(
    old: str, new: str, before: str, pieces: tuple[str, str]
):
    found = parted(old, new)

    assert (before, *pieces) == (found.before, found.old, found.new)


def test_the_token_that_ends_an_answer_may_be_left_out_of_one():
    assert same(said("yes<|im_end|>"), said("yes"))
    assert same(said("yes"), said("yes<|im_end|>"))
    assert not same(said("yes<|im_end|>"), said("yes", "length"))
    assert not same(said("yes<tool_call>{}"), said("yes"))


def test_all_are_counted_and_the_first_are_looked_at():
    keys = [Key(f"c{number}") for number in range(FIRST + 5)]
    old = {key: said("left", key=key) for key in keys}
    new = {key: said("right", key=key) for key in keys} | {keys[0]: old[keys[0]]}

    found = divergences(old, new, keys)

    assert (FIRST + 5, FIRST + 4, FIRST) == (found.answers, found.differing, len(found.first))
    assert keys[1] == found.first[0].key


def test_messages_of_a_server_have_no_tokens_to_compare():
    found = divergences({A: said("x")}, {A: said(None)}, [A])

    assert (0, 0, ()) == (found.answers, found.differing, found.first)


def test_after_a_step_that_differs_the_next_were_asked_otherwise():
    keys = [Key("a", 0, 0, step) for step in range(3)]
    old = {key: said(f"old {key.step}", key=key) for key in keys}
    new = {key: said(f"new {key.step}", key=key) for key in keys} | {keys[0]: old[keys[0]]}

    found = divergences(old, new, keys)

    assert [keys[1]] == [each.key for each in found.first]
    assert (2, 1) == (found.answers, found.differing)
