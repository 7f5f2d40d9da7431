"""
What the dialects write, character by character, and what they refuse to write.
"""

from typing import Any

import pytest

from harness.dialects.functiongemma import FUNCTIONGEMMA
from harness.dialects.hermes import HERMES
from harness.dialects.native import NATIVE
from harness.messages import ToolCall

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


@pytest.mark.parametrize("value", [float("nan"), [float("-inf")]])
@pytest.mark.parametrize("member", [FUNCTIONGEMMA, HERMES, NATIVE], ids=lambda one: one.name)
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
