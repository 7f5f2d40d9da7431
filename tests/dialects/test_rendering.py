"""
What the dialects write, character by character, and what they refuse to write.
"""

from typing import Any

import pytest

from harness.dialects.functiongemma import FUNCTIONGEMMA
from harness.dialects.granite20b import GRANITE_20B
from harness.dialects.hermes import HERMES
from harness.dialects.native import NATIVE
from harness.dialects.pythonic import PYTHONIC
from harness.messages import ToolCall

MEMBERS = [FUNCTIONGEMMA, GRANITE_20B, HERMES, NATIVE, PYTHONIC]
TWO = [
    ToolCall(name="f", arguments={"b": '東京 "x"', "A": [1, True, None], "a": {"z": 1.5, "k": {}}}),
    ToolCall(name="g", arguments={}),
]


def test_hermes():
    assert (
        '<tool_call>\n{"name": "f", "arguments": {"b": "東京 \\"x\\"", "A": [1, true, null], '
        '"a": {"z": 1.5, "k": {}}}}\n</tool_call>\n'
        '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call><|im_end|>'
    ) == HERMES.render(TWO)


def test_functiongemma_sorts_keys_as_its_template_does():
    assert (
        '<start_function_call>call:f{A:[1,true,null],a:{k:{},z:1.5},b:<escape>東京 "x"<escape>}'
        "<end_function_call><start_function_call>call:g{}<end_function_call>"
        "<start_function_response>"
    ) == FUNCTIONGEMMA.render(TWO)


def test_native():
    assert (
        '{"role": "assistant", "content": null, "tool_calls": [{"id": "call_0", '
        '"type": "function", "function": {"name": "f", "arguments": "{\\"q\\": 1}"}}]}'
    ) == NATIVE.render([ToolCall(name="f", arguments={"q": 1})])


def test_granite_20b():
    assert (
        '<function_call> {"name": "f", "arguments": {"b": "東京 \\"x\\"", "A": [1, true, null], '
        '"a": {"z": 1.5, "k": {}}}} '
        '<function_call> {"name": "g", "arguments": {}}<|endoftext|>'
    ) == GRANITE_20B.render(TWO)


def test_granite_20b_says_that_there_is_no_call():
    assert (
        '<function_call> {"name": "no_function", "arguments": {}}<|endoftext|>'
        == GRANITE_20B.render([])
    )
    with pytest.raises(ValueError, match="no_function"):
        GRANITE_20B.render([ToolCall(name="no_function", arguments={})])


def test_pythonic():
    assert (
        "[f(b='東京 \"x\"', A=[1, True, None], a={'z': 1.5, 'k': {}}), g()]<|eot_id|>"
        == PYTHONIC.render(TWO)
    )


def test_pythonic_unpacks_names_that_are_no_identifiers():
    call = ToolCall(name="a.b-c", arguments={"x": 1, "a-b": 2, "class": 3})

    assert "[a.b-c(x=1, **{'a-b': 2, 'class': 3})]<|eot_id|>" == PYTHONIC.render([call])


@pytest.mark.parametrize("name", ["", "f g", "1f", "f("])
def test_pythonic_refuses_a_name_that_cannot_be_called(name: str):
    with pytest.raises(ValueError, match="tool name"):
        PYTHONIC.render([ToolCall(name=name, arguments={})])


@pytest.mark.parametrize("value", [float("nan"), [float("-inf")]])
@pytest.mark.parametrize("member", MEMBERS, ids=lambda one: one.name)
def test_refuses_numbers_json_does_not_know(member: Any, value: Any):
    with pytest.raises(ValueError, match=r"inf|nan|JSON"):
        member.render([ToolCall(name="f", arguments={"n": value})])


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("f", {"q": "a<escape>b"}, "<escape>"),
        ("f", {"q": [{"k": "<escape>"}]}, "<escape>"),
        ("f", {"a:b": 1}, "argument name 'a:b'"),
        ("f", {"": 1}, "argument name ''"),
        ("f", {" a": 1}, "argument name ' a'"),
        ("f", {"q": {1}}, "a set"),
        ("f g", {}, "tool name 'f g'"),
        ("", {}, "tool name ''"),
    ],
)
def test_functiongemma_refuses_what_it_cannot_hold(name: str, arguments: Any, reason: str):
    with pytest.raises(ValueError, match=reason):
        FUNCTIONGEMMA.render([ToolCall(name=name, arguments=arguments)])
