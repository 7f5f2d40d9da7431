"""
Calls that lost their opening tag are attempts, and text that only talks about calls is text.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from harness.dialects.registry import dialect
from harness.messages import Tool
from harness.scoring.score import judge
from harness.suites.parse import parse_suite
from harness.suites.suite import Case
from harness.transcript import Key, Transcript

TOOLS = [
    {"name": "terminal", "parameters": {"type": "object", "properties": {"command": {}}}},
    {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {}}}},
    {"name": "ping", "parameters": {"type": "object", "properties": {}}},
]
CALL = '{"name": "terminal", "arguments": {"command": "rm -rf build"}}'

HERMES = {
    "no tags": CALL,
    "no opening tag": f"{CALL}\n</tool_call>",
    "a fence": f"```json\n{CALL}\n```",
    "prose around": f"I will clean up. {CALL} That is all.",
    "a list": f"[{CALL}]",
    "arguments first": '{"arguments": {"command": "ls"}, "name": "terminal"}',
    "an id first": '{"id": "call_1", "type": "function", "name": "terminal", "arguments": {}}',
    "a wrapper": f'{{"type": "function", "function": {CALL}}}',
    "calls in an object": f'{{"tool_calls": [{CALL}]}}',
    "the other key": '{"name": "terminal", "parameters": {"command": "ls"}}',
    "encoded arguments": '{"name": "terminal", "arguments": "{\\"command\\": \\"ls\\"}"}',
    "an encoded call": '"{\\"name\\": \\"terminal\\", \\"arguments\\": {}}"',
    "an escaped name": '{"name": "get\\_weather", "arguments": {"city": "Rome"}}',
    "a name with its namespace": '{"name": "functions.terminal", "arguments": {"command": "ls"}}',
    "a Python dictionary": "{'name': 'terminal', 'arguments': {'force': True}}",
    "keys without quotes": '{name: "terminal", arguments: {command: "ls"}}',
    "broken arguments": '{"name": "terminal", "arguments": {"command": "echo "a""}}',
    "cut off": '{"name": "terminal", "arguments": {"command": "rm -rf',
    "nothing but the closing tag": "</tool_call>",
    "a text before the closing tag": "terminal(command)\n</tool_call>",
    "a misspelt opening tag": f"<toolcall>\n{CALL}\n</tool_call>",
    "the whole answer in inline code": f"`{CALL}`",
    "thinking without an end": f"<think>I should clean up.\n<tool_call>\n{CALL}\n</tool_call>",
    "thinking without an end or tags": f"<think>I should clean up.\n{CALL}",
    "no arguments": '{"name": "ping", "arguments": {}}',
}
"""What each answer lacks or has."""

OTHERS = {
    "command-a": {
        "no tag": '[{"tool_call_id": "0", "tool_name": "terminal", "parameters": {}}]',
        "no opening tag": '[{"tool_name": "ping"}]<|END_ACTION|>',
        "thinking without an end": "<|START_THINKING|>Hm.<|START_ACTION|>"
        '[{"tool_name": "ping", "parameters": {}}]<|END_ACTION|>',
    },
    "command-r": {
        "no word before the fence": '```json\n[{"tool_name": "terminal", "parameters": {}}]\n```'
    },
    "deepseek-v3": {
        "no section": "<｜tool▁call▁begin｜>function<｜tool▁sep｜>terminal\n```json\n{}\n```"
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "no opening tag": "<｜tool▁calls▁begin｜>function<｜tool▁sep｜>terminal\n```json\n{}\n```"
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "no special tokens": 'functionterminal\n```json\n{"command": "ls"}\n```',
    },
    "deepseek-v3.1": {
        "no section": "<｜tool▁call▁begin｜>terminal<｜tool▁sep｜>{}<｜tool▁call▁end｜>",
        "no opening tag": "<｜tool▁calls▁begin｜>terminal<｜tool▁sep｜>{}<｜tool▁call▁end｜>",
        "no special tokens": 'terminal{"command": "ls"}',
    },
    "deepseek-v3.2": {
        "bare invokes": '<｜DSML｜invoke name="terminal">\n<｜DSML｜parameter name="command" '
        'string="true">ls</｜DSML｜parameter>\n</｜DSML｜invoke>',
        "an invoke without arguments": '<｜DSML｜invoke name="ping">\n</｜DSML｜invoke>',
        "nothing but closing tags": "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        "thinking without an end": "<think>Hm.<｜DSML｜function_calls>\n"
        '<｜DSML｜invoke name="ping">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
    },
    "functiongemma": {
        "no opening tag": "call:terminal{command:<escape>ls<escape>}<end_function_call>",
        "no special tokens": "call:terminal{command:ls}",
        "another spelling of the closing tag": "call:ping{}</end_function_call>",
    },
    "gemma-4": {
        "no opening tag": 'call:terminal{command:<|"|>ls<|"|>}<tool_call|>',
        "no special tokens": "Sure: call:terminal{command:ls}",
        "thinking without an end": "<|channel>thought\n<|tool_call>call:ping{}<tool_call|>",
    },
    "glm-4": {
        "prose before": 'Let me see.\nterminal\n{"command": "ls"}',
        "on one line": 'terminal {"command": "ls"}',
    },
    "glm-4.5": {
        "no opening tag": "terminal\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n"
        "</tool_call>",
        "no tags around": "<arg_key>command</arg_key>\n<arg_value>ls</arg_value>",
        "no arguments": "ping\n</tool_call>",
        "thinking without an end": "<think>Hm.<tool_call>ping\n</tool_call>",
    },
    "gorilla": {"prose before": "Sure: terminal(command='ls')"},
    "granite": {
        "prose before the list": f"Sure: [{CALL}]",
        "no list": CALL,
        "the closing tag alone": "Sure.\n</tool_call>",
    },
    "granite-20b": {"no tag": CALL},
    "harmony": {
        "no special tokens": "analysisI should clean up.assistantcommentary to=functions.terminal "
        'json{"command": "ls"}',
        "no channel": "commentary to=functions.terminal <|constrain|>json<|message|>{}<|call|>",
        "no namespace": 'commentary to=terminal json{"command": "ls"}',
        "no recipient": "<|channel|>commentary <|constrain|>json<|message|>{}<|call|>",
        "the channel is the tool": "<|channel|>terminal<|message|>{}<|call|>",
        "thinking without an end": "<|channel|>analysis<|message|>So: to=functions.terminal {}",
    },
    "kimi-k2": {
        "no section": "<|tool_call_begin|>functions.terminal:0<|tool_call_argument_begin|>{}"
        "<|tool_call_end|><|tool_calls_section_end|>",
        "no opening tag": "<|tool_calls_section_begin|>functions.terminal:0"
        "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
        "no special tokens": 'functions.terminal:0{"command": "ls"}',
        "the closing tag alone": "<|tool_calls_section_begin|>terminal<|tool_call_end|>",
    },
    "minimax-m1": {"no opening tag": f"{CALL}\n</tool_calls>", "no tags": CALL},
    "minimax-m2": {
        "bare invokes": '<invoke name="terminal">\n<parameter name="command">ls</parameter>\n'
        "</invoke>",
        "no opening tag": '<invoke name="ping">\n</invoke>\n</minimax:tool_call>',
    },
    "mistral": {
        "no marker": f"[{CALL}]",
        "no special tokens": 'terminal{"command": "ls"}',
        "thinking without an end": f"[THINK]Hm.[TOOL_CALLS] [{CALL}]",
    },
    "mistral-v11": {
        "no marker": 'terminal[ARGS]{"command": "ls"}',
        "no special tokens": 'terminal{"command": "ls"}',
        "no name either": '[ARGS]{"command": "ls"}',
    },
    "olmo-3": {
        "no opening tag": "terminal(command='ls')</function_calls>",
        "no tags": "terminal(command='ls')",
        "no arguments": "ping()",
    },
    "phi-4-mini": {"no word": f"[{CALL}]", "the closing tag alone": "terminal<|/tool_call|>"},
    "pythonic": {
        "prose before": "Sure: [terminal(command='ls')]",
        "no brackets": "terminal(command='ls')",
        "no arguments": "I will ping.\n[ping()]",
        "a positional argument": "Sure: [terminal('ls')]",
    },
    "raven": {"prose before": "Thought: clean up.\nCall: terminal(command='ls')"},
    "tool-code": {"another fence": "```python\nterminal(command='ls')\n```"},
    "xlam": {"prose before": f"Sure: [{CALL}]", "no list": CALL},
    "qwen3-coder": {
        "no name": "<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>",
        "the closing tag alone": "terminal\n</tool_call>",
        "thinking without an end": "<think>Hm.\n<function=ping>\n</function>",
    },
    "llama3-json": {
        "a Python dictionary after prose": "Sure: {'name': 'terminal', 'parameters': {}}",
        "broken arguments after prose": 'Sure: {"name": "terminal", "parameters": {"a": "b" c}}',
        "thinking without an end": f"<think>Hm. {CALL}",
    },
    "deepseek-v4": {
        "bare invokes": '<｜DSML｜invoke name="terminal">\n<｜DSML｜parameter name="command" '
        'string="true">ls</｜DSML｜parameter>\n</｜DSML｜invoke>',
        "the closing tag alone": "terminal</｜DSML｜tool_calls>",
    },
    "lfm2": {
        "no opening token": "[terminal(command='ls')]<|tool_call_end|>",
        "no special tokens": "[terminal(command='ls')]",
        "JSON without tokens": f"[{CALL}]",
        "thinking without an end": "<think>Hm.<|tool_call_start|>[ping()]<|tool_call_end|>",
    },
    "nemotron": {"no opening tag": f"[{CALL}]</TOOLCALL>", "no tags": f"[{CALL}]"},
    "seed-oss": {
        "no name": "<parameter=command>ls</parameter>\n</function>\n</seed:tool_call>",
        "thinking without an end": "<seed:think>Hm.\n<function=ping>\n</function>",
    },
    "native": {"text in place of a message": f"Sure: {CALL}"},
    "anthropic": {"text in place of a message": 'Sure: {"name": "terminal", "input": {}}'},
}

TALK = {
    "a tool's name": "I could use terminal for that, but will not.",
    "its arguments": "terminal takes a command, and ping() takes none.",
    "a list of tools": "I have terminal, get_weather and ping.\n- terminal: a command\n- ping",
    "an object that names another tool": 'Such as {"name": "browser", "input": {}}.',
    "an object without arguments": 'It is {"name": "terminal"}.',
    "arguments without a name": 'It wants {"command": "ls"}.',
    "inline code": "You would write `{'name': 'terminal', 'arguments': {}}` for that.",
    "an inner tag in inline code": "The tag `<function=` begins one, or `<parameter=`, they say.",
    "a tag in inline code": "A call ends with `</tool_call>`, or `<|call|>`, or `</invoke>`.",
    "a call in inline code": "You would write `terminal(command='ls')` or `call:terminal{}`.",
    "a declaration": "As declared: {'name': 'terminal', 'description': 'Run.', 'parameters': {}}",
    "a declaration that is cut off": "{'name': 'terminal', 'description': '', 'parameters': {'ty",
    "a declaration that is broken": "{'name': 'ping', 'parameters': {'type': 'object', 'x' 'y'}}",
    "a schema": '{"name": "terminal", "arguments": {"type": "object", "properties": {}}}',
    "code": "```python\nprint(terminal)\nfor name in tools:\n    pass\n```",
    "thinking": "<think>I could use terminal or {'a': 1}.</think>No.",
    "thinking without an end": "<think>I could use the terminal for that, or",
}


def _rows(table: dict[str, dict[str, str]]) -> Iterator[Any]:
    for name, answers in table.items():
        for lacks, answer in answers.items():
            yield pytest.param(name, answer, id=f"{name}: {lacks}")


def _case() -> Case:
    document = {
        "format": 1,
        "name": "lost",
        "version": "1.0.0",
        "tools": TOOLS,
        "cases": [{"id": "it", "prompt": "Never mind.", "expect": {"abstain": True}}],
    }
    return parse_suite(document, "lost").cases[0]


def _judged(name: str, answer: str) -> Any:
    transcript = Transcript(key=Key("it"), output=answer)
    (result,) = judge([_case()], {transcript.key: transcript}, dialect(name))
    return result


def _told(result: Any) -> list[str]:
    return [finding.detail for finding in result.turns[0].findings]


@pytest.mark.parametrize(("name", "answer"), list(_rows({"hermes": HERMES, **OTHERS})))
def test_a_call_without_its_tag_is_malformed_and_no_abstention(name: str, answer: str):
    result = _judged(name, answer + _end(name))

    assert "malformed" == result.status, _told(result)
    codes = [finding.code for finding in result.turns[0].findings]
    assert {"malformed_call", "unexpected_call"} <= set(codes)
    assert codes.count("malformed_call") == codes.count("unexpected_call")
    problem = _told(result)[0]
    assert any(
        reason in problem
        for reason in (
            "opening tag missing",
            "thinking is not closed",
            "cannot be read as a call",
            "is in the text",
        )
    )


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        pytest.param(name, text, id=f"{name}: {what}")
        for name in ("hermes", *OTHERS)
        for what, text in TALK.items()
        if (name, what) != ("llama3-json", "a schema")
    ],
)
def test_text_that_talks_about_calls_is_text(name: str, answer: str):
    result = _judged(name, answer + _end(name))

    assert ("correct", []) == (result.status, _told(result))


def test_runtimes_of_llama_take_an_object_with_a_schema_for_a_call():
    """
    They ask nothing of an object but a name and arguments.
    """
    result = _judged("llama3-json", TALK["a schema"])

    assert "incorrect" == result.status
    assert ["unexpected_call"] == [
        finding.code for finding in result.turns[0].findings if finding.code != "schema_violation"
    ]


def _end(name: str) -> str:
    return {"harmony": "<|return|>"}.get(name, next(iter(dialect(name).stops), ""))


def test_the_worst_case_does_not_pass():
    """
    120 cases that expect no call, each answered by one without its tags.
    """
    cases = [_case() for _ in range(120)]
    transcript = Transcript(key=Key("it"), output=f"{CALL}<|im_end|>", finish_reason="stop")

    results = judge(cases, {transcript.key: transcript}, dialect("hermes"))

    assert ["malformed"] * 120 == [result.status for result in results]
    assert "opening tag missing: no <tool_call> before the call" in _told(results[0])[0]


def test_a_second_call_without_its_tag_is_seen():
    first = '<tool_call>\n{"name": "ping", "arguments": {}}\n</tool_call>'

    reading = dialect("hermes").read(f"{first}\n{CALL}\n</tool_call><|im_end|>", _tools())

    assert [("ping", True), ("terminal", False)] == [
        (attempt.name, attempt.readable) for attempt in reading.attempts
    ]
    assert reading.text == ""


def test_a_second_call_of_no_tool_is_seen_by_its_closing_tag():
    first = '<tool_call>\n{"name": "ping", "arguments": {}}\n</tool_call>'

    reading = dialect("hermes").read(f'{first}\n{{"nam": "terminal"}}\n</tool_call>', _tools())

    assert ['{"nam": "terminal"}\n</tool_call>'] == [one.raw for one in reading.attempts[1:]]


def test_each_call_without_its_tag_is_one_attempt():
    answer = f"First:\n{CALL}\n</tool_call>\nand\n{CALL}\n</tool_call>\n{CALL}"

    reading = dialect("hermes").read(answer, _tools())

    assert ["terminal"] * 3 == [attempt.name for attempt in reading.attempts]
    assert "First:\n\nand" == reading.text


def test_without_tools_an_object_is_text():
    """
    Which objects are calls is told by the declared tools alone.
    """
    assert ((), CALL) == (
        dialect("hermes").read(CALL).attempts,
        dialect("hermes").read(CALL).text,
    )
    assert 1 == len(dialect("hermes").read(f"{CALL}</tool_call>").attempts)


@pytest.mark.parametrize(
    ("name", "closing"),
    [
        ("qwen3-coder", "\n</tool_call>"),
        ("qwen3-coder", ""),
        ("seed-oss", "\n</seed:tool_call>"),
        ("seed-oss", ""),
    ],
)
def test_a_function_without_the_tag_around_it_is_executed(name: str, closing: str):
    call = "<function=terminal>\n<parameter=command>ls</parameter>\n</function>"

    reading = dialect(name).read(f"Sure:\n{call}{closing}\n{call}{_end(name)}", _tools())

    assert [{"command": "ls"}] * 2 == [attempt.arguments for attempt in reading.attempts]
    assert "Sure:" == reading.text
    assert () == reading.repairs


@pytest.mark.parametrize(
    "between",
    ["; ", ", ", " and ", " | ", "\n", "\n\n", "\n- ", "\n2. ", "\n\nThen:\n", " -> ", "```\n```"],
)
@pytest.mark.parametrize(("before", "after"), [("", ""), ("- ", ""), ("Sure:\n```json\n", "\n```")])
def test_llama_calls_are_read_with_anything_between_them(before: str, between: str, after: str):
    one = '{"name": "ping", "parameters": {}}'
    two = '{"name": "terminal", "parameters": {"command": "{\\"a\\": [1]}"}}'

    reading = dialect("llama3-json").read(f"{before}{one}{between}{two}{after}<|eot_id|>")

    assert [{}, {"command": '{"a": [1]}'}] == [attempt.arguments for attempt in reading.attempts]
    assert () == reading.repairs


def test_a_needless_second_call_of_llama_is_not_a_correct_answer():
    """
    It came after a comma, and was text.
    """
    call = '{"name": "ping", "parameters": {}}'
    document = {
        "format": 1,
        "name": "one",
        "version": "1.0.0",
        "tools": TOOLS,
        "cases": [{"id": "it", "prompt": "Ping.", "expect": {"calls": [{"tool": "ping"}]}}],
    }
    (case,) = parse_suite(document, "one").cases
    transcript = Transcript(key=Key("it"), output=f"{call}, {call}<|eot_id|>")

    (result,) = judge([case], {transcript.key: transcript}, dialect("llama3-json"))

    assert ("incorrect", ["duplicate"]) == (
        result.status,
        [finding.kind for finding in result.turns[0].findings],
    )


@pytest.mark.parametrize(
    "around", ["[{}, {}]", "[{}, {}", "Sure:\n[{},\n{}]", "```json\n[{}, {}]\n```"]
)
def test_llama_calls_in_a_list_are_read_both_ways(around: str):
    call = '{"name": "ping", "parameters": {}}'
    answer = around.format(call, call)

    strict = dialect("llama3-json").read(answer, _tools())

    assert [("ping", {})] * 2 == [(one.name, one.arguments) for one in strict.attempts]
    assert strict == dialect("llama3-json").read_leniently(answer, _tools())


def test_llama_repairs_an_answer_without_a_readable_call_alone():
    loose = "{'name': 'ping', 'parameters': {}}"
    lenient = dialect("llama3-json").read_leniently

    assert [{}] == [one.arguments for one in lenient(f"Sure:\n{loose}", _tools()).attempts]
    assert ("single quotes",) == lenient(f"[{loose}, {loose}]", _tools()).repairs
    mixed = lenient(f'{{"name": "ping", "parameters": {{}}}}\n{loose}', _tools())
    assert [True, False] == [one.readable for one in mixed.attempts]


def test_llama_reads_a_call_inside_an_object_that_is_broken_further_on():
    answer = 'So: {"calls": [{"name": "ping", "parameters": {}}], }'

    reading = dialect("llama3-json").read(answer)

    assert ["ping"] == [attempt.name for attempt in reading.attempts]


def test_llama_thinking_is_not_a_call():
    call = '{"name": "ping", "parameters": {}}'

    assert () == dialect("llama3-json").read(f"<think>Maybe {call}?</think>No.").attempts


def test_granite_executes_a_list_at_the_very_start():
    assert ["terminal"] == [
        attempt.name
        for attempt in dialect("granite").read(f"[{CALL}]").attempts
        if attempt.readable
    ]


def _tools() -> list[Tool]:
    return [Tool.from_schema(tool) for tool in TOOLS]
