"""
Texts that trip readers of tool calls, and the fixed examples made of them.
"""

from harness.messages import ToolCall

NASTY = [
    "007", "10001", "null", "None", "true", "5", "", "  x", "x\n", "it's", '"', "\\", "\\n", "\\_",
    "}", "]", ";", ",", ":", "{}", "</tool_call>", "<tool_call>", "</parameter>", "<|im_end|>",
    '<tool_call>{"name": "g", "arguments": {}}</tool_call>', "<think>", "</think>", "```",
    "<start_function_call>call:g{}<end_function_call>", "<end_of_turn>", "<eos>",
    "<start_function_response>", "<esc", "🌍", "東京", "\u0000", "\u2028", "call:g{}",
    '{"name": "g", "arguments": {}}', "\ufffd", "<function_call>", "<|endoftext|>", "<|eot_id|>",
    "'", "'''", '"""', "[g()]", "g(a=1)", "#", "\r",
]  # fmt: skip
"""Values of arguments that look like something else."""

FRAGMENTS = [
    *NASTY, "<tool_call>", "</tool_call>", '{"name": "f", "arguments": {', '"a": 1', "}}", "'",
    "{'name': 'f', 'arguments': {'a': \"", "<function_call> ", "[f(", "g(a=", "h(b=1)", ", ",
    ")", "]", "```\n", "```python\n[f(", "<start_function_call>", "<end_function_call>",
    "call:f{", "a:<escape>", "<escape>", "}", "[", "True", "NaN", "1e999", "\\ud83d", "\n",
    '{"role": "assistant", "tool_calls": [', "```json\n", "-", "1.", '"arguments": "{}"', " ",
]  # fmt: skip
"""What answers are put together of."""

CALLS = [
    [ToolCall(name="get_weather", arguments={"city": "São Paulo", "days": 3})],
    [ToolCall(name="f", arguments={})],
    [ToolCall(name="get.it", arguments={"a-b": True, "größe": None, "n": -1.5e300})],
    [ToolCall(name="東京", arguments={"null": 0, "true": 2**53 + 1, "x": -(10**40)})],
    [ToolCall(name="f", arguments={"a": {"b": {"c": [1, {"d": []}, "x"]}}, "e": [None, False]})],
    [ToolCall(name="f", arguments={"q": "a"}), ToolCall(name="f", arguments={"q": "a"})],
    [ToolCall(name=name, arguments={"q": name, "n": 1}) for name in ("f", "g", "h")],
    *[[ToolCall(name="f", arguments={"q": text})] for text in NASTY],
    *[
        [ToolCall(name="f", arguments={"q": [text, {"k": text}]}), ToolCall(name="g", arguments={})]
        for text in NASTY
    ],
]
"""Answers, each a list of calls."""

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

HOSTILE = {
    "escape": "\x1b[2J\x1b[31mred\x1b[0m",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "c1": "\x9b31m and \x84",
    "bidi": "user\u202etxt.exe\u2066\u2069\u200f",
    "hidden": "a\u200bb\ufeffc\u00add\U000e0041",
    "html": "</details><script>alert(1)</script><img src=x onerror=y>",
    "backticks": "`a``b```c`",
    "only backticks": "``",
    "table": "a|b\\|c|--|\n|x|y|",
    "cdata": "]]><!-- --> &amp; <![CDATA[",
    "control": "nul\x00bell\x07back\x08del\x7f",
    "surrogate": "\ud800 and \udfff",
    "noncharacter": "\ufffe \uffff \U0001ffff",
    "lines": "one\ntwo\r\nthree\rfour\u2028five\x0bsix",
    "markdown": "# head\n* [link](http://evil.example) ![i](x) @all #1 org/r#2 $x$ :tada: ~~s",
    "blank": "   \t ",
    "json": '\\u003cscript>{"a": "\\"}], \\u2028//',
    "attribute": "\" onmouseover=alert(1) x=' style=color:red ",
    "template": "{{ 7 * 7 }}{% include '/etc/passwd' %}${alert(1)}",
    "commands": "::error::x\n::set-output name=a::b\n##[add-mask]x\n##vso[a.b]%0A::debug::",
    "url": "javascript:alert(1) data:text/html,<script>alert(1)</script>",
    "combining": "Z" + "\u0351\u0321" * 40,
    "wide": "\u6f22\u5b57\uff21\U0001f600",
    "tag": '<tool_call>{"name": "x"}</tool_call>',
}
"""What a model may write where nobody expects it, by what it tries."""
