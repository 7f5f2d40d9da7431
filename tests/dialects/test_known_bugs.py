"""
Bugs that public parsers and servers had, a group each: what they lost, dropped or made up is read.

Groups that are about streaming alone have no test here, as nothing in this package reads a stream:
what a server says is judged as it arrived. (Doubled quotes in streamed arguments, vLLM 10395,
10589 and 21544; arguments of parallel calls under one index, SGLang 38198 and 35564, are held as
far as whole answers go by `test_group_8_parallel_calls_stay_apart`.)
"""

from typing import Any

import pytest

from harness.dialects.registry import dialect, names
from harness.messages import Tool, ToolCall

TEXT = {"type": "string"}
TOOLS = [
    Tool.from_schema({"name": name, "parameters": {"type": "object", "properties": properties}})
    for name, properties in {
        "look": {"query": TEXT, "path": TEXT},
        "edit": {"text": TEXT, "line": {"type": "integer"}, "zip": TEXT},
        "ping": {},
    }.items()
]
every = pytest.mark.parametrize("name", names())
LOOK = ToolCall(name="look", arguments={"query": "a"})
PING = ToolCall(name="ping", arguments={})


def said(name: str, output: str, *, lenient: bool = False) -> list[Any]:
    """
    What is read: (name, arguments) of a readable call, its problem of another.
    """
    member = dialect(name)
    reading = (member.read_leniently if lenient else member.read)(output, TOOLS)
    return [(one.name, one.arguments) if one.readable else one.problem for one in reading.attempts]


def rendered(name: str, *calls: ToolCall) -> str:
    """
    Write *calls*, or skip where an answer of this family holds one.
    """
    try:
        return dialect(name).render(calls)
    except ValueError as exc:
        pytest.skip(str(exc))


@pytest.mark.parametrize(
    "header",
    [
        "<|channel|>commentary to=functions.look <|constrain|>json",
        "<|channel|>commentary to=functions.look json",
        "<|channel|>commentary to=functions.look code",
        "<|channel|>commentary to=functions.look",
        "<|channel|>analysis to=functions.look <|constrain|>json",
        " to=functions.look<|channel|>commentary <|constrain|>json",
        "<|start|>assistant to=functions.look<|channel|>commentary",
    ],
)
def test_group_1_harmony_channels_and_recipients(header: str):
    output = f'<|channel|>analysis<|message|>Hm.<|end|>{header}<|message|>{{"query": "a"}}<|call|>'
    if header.startswith(" to="):
        output = output.removeprefix("<|channel|>analysis<|message|>Hm.<|end|>")

    assert [("look", {"query": "a"})] == said("harmony", output)


def test_group_1_harmony_preamble_is_not_a_call_and_a_channel_is_not_a_name():
    preamble = '<|channel|>commentary<|message|>I will call look({"query": "a"}).<|end|>'

    assert [] == said("harmony", preamble)
    assert ["the recipient '' names no tool"] == said(
        "harmony", "<|channel|>commentary to=<|channel|>x<|message|>{}<|call|>"
    )


def test_group_2_glm_a_missing_value_is_not_an_empty_object():
    (problem,) = said("glm-4.5", "<tool_call>look\n<arg_key>query</arg_key>\n</tool_call>")

    assert "expected <arg_value>" in problem


def test_group_2_glm_a_stray_tag_is_not_part_of_a_key():
    output = "<tool_call>look<arg_key>path</arg_key></arg_key><arg_value>a</arg_value></tool_call>"

    (problem,) = said("glm-4.5", output)

    assert "expected <arg_value>" in problem


@every
def test_group_3_a_closing_tag_inside_a_string(name: str):
    call = ToolCall(name="look", arguments={"query": "a </tool_call> b"})

    assert [("look", {"query": "a </tool_call> b"})] == said(name, rendered(name, call))


@every
def test_group_5_a_call_without_arguments_has_none(name: str):
    assert [("ping", {})] == said(name, rendered(name, PING))


def test_group_6_llama_nests_deeper_than_a_pattern():
    output = '{"name": "look", "parameters": {"query": {"a": {"b": {"c": [{}]}}}}}<|eot_id|>'

    assert [("look", {"query": {"a": {"b": {"c": [{}]}}}})] == said("llama3-json", output)


@pytest.mark.parametrize("separator", ["; ", ";", "\n", " ", ""])
def test_group_6_llama_takes_any_separator(separator: str):
    call = '{"name": "look", "parameters": {"query": "a"}}'

    assert [("look", {"query": "a"})] * 2 == said("llama3-json", call + separator + call)


def test_group_6_llama_a_later_brace_discards_nothing():
    output = '{"name": "look", "parameters": {"query": "a"}} as in {"x": {...}}<|eot_id|>'

    assert [("look", {"query": "a"})] == said("llama3-json", output)


def test_group_7_qwen_coder_the_second_call_of_one_tool():
    assert [("look", {"query": "a"})] * 2 == said(
        "qwen3-coder", dialect("qwen3-coder").render([LOOK, LOOK])
    )


def test_group_7_qwen_coder_a_closing_tag_in_the_content():
    text = "a</parameter> and </function> b"
    call = ToolCall(name="edit", arguments={"text": text, "line": 3})

    assert [("edit", {"text": text, "line": 3})] == said(
        "qwen3-coder", dialect("qwen3-coder").render([call])
    )


def test_group_7_qwen_coder_a_tag_in_prose_is_reported():
    (problem,) = said("qwen3-coder", "Write <tool_call> to call a tool.")

    assert "expected <function=" in problem


@every
def test_group_8_parallel_calls_stay_apart(name: str):
    assert [("look", {"query": "a"}), ("ping", {})] == said(name, rendered(name, LOOK, PING))


@every
def test_group_9_an_unknown_tool_leaves_its_siblings_alone(name: str):
    unknown = ToolCall(name="search_the_web", arguments={"query": "x"})

    assert [("look", {"query": "a"}), ("search_the_web", {"query": "x"}), ("ping", {})] == said(
        name, rendered(name, LOOK, unknown, PING)
    )


def test_group_10_kimi_the_identity_is_the_name():
    def output(identity: str) -> str:
        return (
            f"<|tool_calls_section_begin|><|tool_call_begin|>{identity}"
            '<|tool_call_argument_begin|>{"line": 7, "zip": "007"}<|tool_call_end|>'
        )

    assert [("edit", {"line": 7, "zip": "007"})] == said("kimi-k2", output("functions.edit:0"))
    (problem,) = said("kimi-k2", output("call_9f3a"))
    assert "no name in 'call_9f3a'" in problem


def test_group_10_kimi_thinking_that_was_opened_by_the_prompt():
    output = "I should look.</think>" + dialect("kimi-k2").render([LOOK])

    assert [("look", {"query": "a"})] == said("kimi-k2", output)


def test_group_11_deepseek_an_empty_section_is_not_a_call():
    assert [] == said("deepseek-v3", "<｜tool▁calls▁begin｜><｜tool▁calls▁end｜>")


def test_group_11_deepseek_the_form_of_another_version_is_reported():
    newer = dialect("deepseek-v3.1").render([LOOK])

    (problem,) = said("deepseek-v3", newer)
    assert "expected function" in problem
    assert [("look", {"query": "a"})] == said("deepseek-v3", newer, lenient=True)


def test_group_11_deepseek_arguments_over_many_lines():
    output = (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>look\n```json\n"
        '{\n  "query": "a"\n}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
    )

    assert [("look", {"query": "a"})] == said("deepseek-v3", output)


@pytest.mark.parametrize("name", ["gemma-4", "functiongemma"])
def test_group_12_gemma_types_and_quotes(name: str):
    arguments = {"a": 42, "b": True, "c": "42", "d": "true", "e": [1, "x"], "f": {"g": None}}

    output = dialect(name).render([ToolCall(name="edit", arguments=arguments)])

    assert [("edit", arguments)] == said(name, output)
    assert repr(sorted(arguments.items())) == repr(sorted(said(name, output)[0][1].items()))


@every
def test_group_13_letters_of_other_scripts(name: str):
    call = ToolCall(name="look", arguments={"query": "東京 café 🌍"})

    output = rendered(name, call)

    assert [("look", {"query": "東京 café 🌍"})] == said(name, output)
    assert name == "native" or "東京 café 🌍" in output


@every
def test_group_14_indentation_survives(name: str):
    call = ToolCall(name="edit", arguments={"text": "    if x:\n        y()\n"})

    assert [("edit", {"text": "    if x:\n        y()\n"})] == said(name, rendered(name, call))


@every
def test_group_14_a_zip_code_stays_text(name: str):
    call = ToolCall(name="edit", arguments={"zip": "10001"})

    assert [("edit", {"zip": "10001"})] == said(name, rendered(name, call))


@every
def test_group_15_no_cut_is_a_crash(name: str):
    output = rendered(name, LOOK)

    for end in range(len(output)):
        said(name, output[:end])
        said(name, output[:end], lenient=True)


def test_group_16_mistral_the_list_and_the_marker_for_each_call():
    older = '[TOOL_CALLS] [{"name": "look", "arguments": {"query": "it\'s"}}] Done {x}.</s>'
    newer = 'Yes.[TOOL_CALLS]look{"query": "it\'s"}[TOOL_CALLS]ping[ARGS]{} Done {x}.</s>'

    assert [("look", {"query": "it's"})] == said("mistral", older) == said("mistral-v11", older)
    assert [("look", {"query": "it's"}), ("ping", {})] == said("mistral-v11", newer)
    assert "expected a list of calls" not in str(said("mistral", newer, lenient=True))


def test_group_17_llama_4_prose_nested_lists_and_json():
    nested = '<|python_start|>[edit(text="a", rows=[[1, 2], ["]"]])]<|python_end|><|eot|>'

    assert [("edit", {"text": "a", "rows": [[1, 2], ["]"]]})] == said("pythonic", nested)
    fenced = "I will look.\n```python\n[look(query='a')]\n```"
    assert ["opening tag missing: the answer does not begin with the list of calls"] == said(
        "pythonic", fenced
    )
    assert [("look", {"query": "a"})] == said("pythonic", fenced, lenient=True)


def test_group_17_llama_4_json_in_the_tags():
    output = '<|python_start|>{"name": "look", "parameters": {"query": "a"}}<|python_end|><|eot|>'

    assert [] == said("pythonic", output)
    assert [("look", {"query": "a"})] == said("pythonic", output, lenient=True)


@every
def test_group_18_nine_equal_calls_are_nine(name: str):
    assert [("look", {"query": "a"})] * 9 == said(name, rendered(name, *[LOOK] * 9))
