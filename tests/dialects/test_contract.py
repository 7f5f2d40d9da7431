"""
What every dialect promises (`harness.dialects.base.Dialect`), held for all of them.
"""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.dialects.base import Attempt, Dialect, Reading
from harness.dialects.native import NATIVE
from harness.dialects.readers.json_calls import mend_call
from harness.dialects.registry import dialect, names
from harness.messages import ToolCall

from .forms import FORMS, MESSAGES, agree, begun, declared
from .strategies import answers, calls, json_like, strings

Read = Callable[[str], Reading]

CUT_EVERYWHERE = [
    '<tool_call>{"name": "f", "arguments": {"q": "<|im_end|><tool_call>[]</tool_call>\\u00e9"}}'
    '</tool_call>x<tool_call>{"name": "g", "arguments": {"n": -1.5e3}}</tool_call><|im_end|>',
    "<tool_call>{'name': 'f', 'arguments': {'q': '</tool_call><tool_call>"
    '{"name": "g", "arguments": {}}</tool_call>\'}}</tool_call>',
    '<tool_call>```json\n{"name": "f", "arguments": {}}\n```</tool_call>',
    '<think>{"name": "f", "arguments": {}}\n<tool_call>{"name": "g", "arguments": {}}</tool_call>'
    '</think>{"name": "h", "arguments": {}} and <tool_call>x',
    '[{"name": "f", "arguments": {}},\n{"name": "g", "arguments": {}},\n5]\n[{\n"name": 1',
    "<start_function_call>call:f{q:<escape><start_function_call>call:g{}<end_function_call><escape>,"
    "n:[1,{k:<escape>}<end_of_turn><escape>}]}<end_function_call>call:h{n:1}<start_function_response>",
    'call:f{n:1}\ncall:g{q:"call:h{}\\n",b:<escape>\ncall:h{}<escape>}',
    '{"role": "assistant", "content": "{}", "tool_calls": [{"function": {"name": "f", "arguments": '
    '"{\\"a\\": 1}"}}, {"function": {"name": "g", "arguments": {"q": "}]}"}}}]} and more',
    '{"function_call": {"name": "f", "arguments": "{}"}, "tool_calls": []}',
    '<function_call> {"name": "f", "arguments": {"q": "<function_call> {}<|endoftext|>"}} x '
    '<function_call> {"name": "no_function", "arguments": {}}<function_call> {"name": "g" "}}',
    "[f(q='[g()]<|eot_id|>', n=-1.5e3), a.b(c=[1, {'k': \"it's\"}], **{'a-b': 'x'}), h(1), k(), 5]",
    "[f(a=1).x, g()]",
    "Sure:\n```python\n[f(a=1),\n g(q='''\n```\n[h(x=1),\n''')]\n```\n"
    "and\n```\nk(z=1)\n```<|eot_id|>x",
    "f(a=1), g(q='''\n```\n[h(x=1), h()]''')\n```\n[k(z=1)]\n```",
]
"""Whole answers with every trap for a reader that is cut off: tags in strings, strings in tags."""

members = pytest.mark.parametrize("member", [dialect(name) for name in names()], ids=names())
readings = pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])


def _reader(member: Dialect, lenient: bool, calls: list[ToolCall] | None = None) -> Read:
    read = member.read_leniently if lenient else member.read
    tools = declared(calls or [])
    return lambda output: read(output, tools)


def _rendered(member: Dialect, calls: list[ToolCall]) -> str:
    """
    Render *calls*, if this format can hold them and says what they are.
    """
    form = FORMS.get(member.name)
    assume(form is None or not form.by_schema or agree(calls))
    try:
        return member.render(calls)
    except ValueError:
        assume(False)
        raise


def _said(attempts: tuple[Attempt, ...]) -> list[str]:
    # repr tells 1 from 1.0 and True, as a call does; key order is no part of a call.
    return [f"{a.name!r} {_sorted(a.arguments)!r}" for a in attempts if a.readable]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(item)) for key, item in value.items())
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _is_among(some: list[str], all_of_them: list[str]) -> bool:
    rest = iter(all_of_them)
    return all(any(item == other for other in rest) for item in some)


@members
def test_is_a_dialect(member: Dialect):
    assert isinstance(member, Dialect)
    assert member.version >= 1


@members
@readings
@given(wanted=calls)
def test_reads_back_what_it_renders(member: Dialect, lenient: bool, wanted: list[ToolCall]):
    reading = _reader(member, lenient, wanted)(_rendered(member, wanted))

    assert _said(
        tuple(Attempt(name=call.name, arguments=call.arguments, raw="", start=0) for call in wanted)
    ) == _said(reading.attempts)
    assert len(wanted) == len(reading.attempts)
    assert reading.text == ""
    assert reading.repairs == ()


@members
def test_holds_an_everyday_call(member: Dialect):
    everyday = [ToolCall(name="get_weather", arguments={"city": "São Paulo", "days": 3})]

    assert _said(_reader(member, False, everyday)(member.render(everyday)).attempts) == [
        "'get_weather' [('city', 'São Paulo'), ('days', 3)]"
    ]


@members
def test_renders_an_answer_without_calls(member: Dialect):
    assert Reading() == member.read(member.render([]))


@members
@readings
@given(output=answers)
def test_reads_any_text(member: Dialect, lenient: bool, output: str):
    """
    No text raises, and every attempt is where it says it is and is either readable or explained.
    """
    reading = _reader(member, lenient)(output)

    after = 0
    for attempt in reading.attempts:
        assert attempt.start >= after
        after = attempt.end
        if member.name not in MESSAGES:
            assert output[attempt.start : attempt.end] == attempt.raw
        if attempt.readable:
            assert attempt.name
            assert attempt.arguments is not None
            assert not attempt.unfinished
        else:
            assert attempt.problem
            assert attempt.arguments is None
    assert not any(attempt.unfinished for attempt in reading.attempts[:-1])


@members
@given(output=answers)
def test_both_readings_are_one_where_nothing_is_mended(member: Dialect, output: str):
    """
    And a lenient reading only ever adds readable calls.
    """
    strict, lenient = member.read(output), member.read_leniently(output)

    assert strict.repairs == ()
    if not lenient.repairs:
        assert _said(strict.attempts) == _said(lenient.attempts)
        assert strict.text == lenient.text


@members
@readings
@given(before=strings | answers, wanted=calls, after=strings | answers, data=st.data())
def test_cutting_never_adds(
    member: Dialect,
    lenient: bool,
    before: str,
    wanted: list[ToolCall],
    after: str,
    data: st.DataObject,
):
    read = _reader(member, lenient, wanted)
    whole = before + _rendered(member, wanted) + after
    cut = whole[: data.draw(st.integers(0, len(whole)))]

    assert _is_among(_said(read(cut).attempts), _said(read(whole).attempts))


@members
@readings
@pytest.mark.parametrize("text", CUT_EVERYWHERE)
def test_cutting_never_adds_wherever_it_cuts(member: Dialect, lenient: bool, text: str):
    read = _reader(member, lenient)
    said = _said(read(text).attempts)

    for end in range(len(text)):
        assert _is_among(_said(read(text[:end]).attempts), said), text[:end]


@members
@readings
@given(wanted=calls, data=st.data())
def test_a_call_that_is_begun_is_reported(
    member: Dialect, lenient: bool, wanted: list[ToolCall], data: st.DataObject
):
    """
    Cut inside its n-th call, an answer holds n - 1 readable calls and one that is not.
    """
    read = _reader(member, lenient, wanted)
    whole = _rendered(member, wanted)
    if member.name in MESSAGES:
        sign = MESSAGES[member.name]
        start = whole.index(sign) + len(sign)
        cut = whole[: data.draw(st.integers(start, len(whole) - 1))]
        assert [True] == [attempt.unfinished for attempt in read(cut).attempts]
        return
    done = data.draw(st.integers(0, len(wanted) - 1))
    call = read(whole).attempts[done]
    closer = FORMS[member.name].closer
    start = call.start + begun(member.name, wanted[done], call.raw)
    cut = whole[: data.draw(st.integers(start, call.end - 1))]

    *before, last = read(cut).attempts

    assert done == len(before)
    assert all(attempt.readable for attempt in before)
    assert not last.readable
    # A string that ends in the closing tag looks closed.
    assert last.unfinished or (closer is not None and last.raw.rstrip().endswith(closer))
    assert last.name in (None, call.name)


@members
@readings
@given(wanted=calls, data=st.data())
def test_a_broken_character_is_never_a_crash(
    member: Dialect, lenient: bool, wanted: list[ToolCall], data: st.DataObject
):
    """
    One character of a good answer replaced by another.
    """
    whole = _rendered(member, wanted)
    at = data.draw(st.integers(0, len(whole) - 1))
    char = data.draw(st.sampled_from("'\"{}[],:\\<>|0-eN \n"))

    _reader(member, lenient)(whole[:at] + char + whole[at + 1 :])


@members
@readings
@pytest.mark.parametrize("piece", ["[", '{"a":', "{a:", "<tool_call>", '"', "\\", "1", "-", "x."])
def test_deep_or_long_input_does_not_exhaust_the_stack(member: Dialect, lenient: bool, piece: str):
    f = ToolCall(name="f", arguments={})
    own = FORMS[member.name].opener(f) if member.name in FORMS else '{"tool_calls":'
    for before in ("", own, "<start_function_call>call:f{a:", "[f(a="):
        reading = _reader(member, lenient)(before + piece * 20_000)

        assert [] == _said(reading.attempts)


@given(
    message=st.dictionaries(
        st.sampled_from(["content", "tool_calls", "function_call", "role"]), json_like
    ),
    finish_reason=st.sampled_from([None, "length"]),
)
def test_a_message_of_any_shape_is_read(message: dict[str, Any], finish_reason: str | None):
    strict = NATIVE.read_message(message, finish_reason)
    lenient = NATIVE.read_message_leniently(message, finish_reason)

    assert len(strict.attempts) == len(lenient.attempts)
    assert _is_among(_said(strict.attempts), _said(lenient.attempts))


@pytest.mark.parametrize("name", ["hermes", "functiongemma"])
@given(output=answers)
def test_a_second_reading_is_left_out_only_where_it_would_be_the_same(name: str, output: str):
    """
    The lenient reading of an answer with nothing to mend is the strict one, to the last field.
    """
    module = importlib.import_module(f"harness.dialects.{name}")
    strict = dialect(name).read(output)

    if not module._may_be_mended(strict):
        body = mend_call if name == "hermes" else module._BRACES.mend
        assert strict == module.read_tagged(output, module._TAGS, body, module._BARE)
