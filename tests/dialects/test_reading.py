"""
Reading a stored transcript: which dialect reads what.
"""

from typing import Any

import pytest

from harness.dialects.base import Dialect
from harness.dialects.command import COMMAND_A
from harness.dialects.harmony import HARMONY
from harness.dialects.hermes import HERMES
from harness.dialects.mistral import MISTRAL_V11
from harness.dialects.native import NATIVE
from harness.dialects.reading import opened_by, read
from harness.dialects.registry import dialect, names
from harness.messages import Tool, ToolCall
from harness.transcript import Key, Transcript

G = {"function": {"name": "g", "arguments": "{}"}}
CALL = '<tool_call>{"name": "f", "arguments": {"q": "a"}}</tool_call>'
FENCED = '```json\n{"name": "f", "arguments": {"q": "a"}}\n```'


TOOLS = [
    Tool.from_schema(
        {"name": "f", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
    )
]


def _transcript(**fields: Any) -> Transcript:
    return Transcript(key=Key("c-1"), **fields)


def test_raw_output_is_read_by_the_dialect():
    reading = read(HERMES, _transcript(output=CALL))

    assert HERMES.read(CALL) == reading
    assert ["f"] == [attempt.name for attempt in reading.attempts]


def test_a_lenient_reading_is_asked_for():
    assert () == read(HERMES, _transcript(output=FENCED)).attempts
    assert ["f"] == [
        attempt.name for attempt in read(HERMES, _transcript(output=FENCED), lenient=True).attempts
    ]


def test_a_message_with_calls_is_native_whatever_the_dialect():
    message = {"content": "Here.", "tool_calls": [{"function": {"name": "g", "arguments": "{}"}}]}

    reading = read(HERMES, _transcript(message=message))

    assert (["g"], "Here.") == ([each.name for each in reading.attempts], reading.text)


@pytest.mark.parametrize("made", [HERMES, NATIVE], ids=["its dialect", "native"])
@pytest.mark.parametrize(
    ("content", "first"),
    [
        (CALL, ("f", True)),
        (f"Well: {CALL}", ("f", True)),
        ('<tool_call>{"name": "f", "arguments": {</tool_call>', (None, False)),
    ],
    ids=["a call", "behind prose", "a broken one"],
)
def test_a_call_left_in_the_content_beside_others_counts(
    made: Any, content: str, first: tuple[str | None, bool]
):
    message = {"content": content, "tool_calls": [{"function": {"name": "g", "arguments": "{}"}}]}

    left, called = read(made, _transcript(message=message), TOOLS).attempts

    assert (first[1], "g") == (left.readable, called.name)
    assert left.name in (first[0], "f")


@pytest.mark.parametrize("made", [HERMES, NATIVE], ids=["its dialect", "native"])
@pytest.mark.parametrize("content", ["Calling g.", "print(x)", '{"name": "Bob", "age": 3}', ""])
def test_text_beside_calls_stays_text(made: Any, content: str):
    message = {"content": content, "tool_calls": [{"function": {"name": "g", "arguments": "{}"}}]}

    assert ["g"] == [each.name for each in read(made, _transcript(message=message), TOOLS).attempts]


@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
@pytest.mark.parametrize("name", sorted({*names()} - {"native", "anthropic"}))
def test_a_call_whose_closing_stop_token_was_stripped_is_read(name: str, reason: str):
    """
    Servers strip what stopped the model: harmony's calls end with such a token.
    """
    made = dialect(name)
    whole = made.render([ToolCall(name="f", arguments={"q": "a"})])
    stop = next((stop for stop in made.stops if whole.endswith(stop)), "")
    output = whole.removesuffix(stop)

    (attempt,) = read(made, _transcript(output=output, finish_reason=reason), TOOLS).attempts

    assert ("f", True) == (attempt.name, attempt.readable)
    assert attempt.raw == output[attempt.start : attempt.end]


def test_harmonys_call_without_its_stop_token_is_cut_off_where_the_limit_ended_it():
    output = HARMONY.render([ToolCall(name="f", arguments={"q": "a"})]).removesuffix("<|call|>")

    (attempt,) = read(HARMONY, _transcript(output=output, finish_reason="length")).attempts

    assert attempt.unfinished


UNBALANCED = '<tool_call>{"name": "f", "arguments": {"q": "a}}</tool_call> and more'


@pytest.mark.parametrize(
    ("output", "reason", "unfinished"),
    [
        ('<tool_call>{"name": "f", "arguments": {"q": "a', "stop", False),
        ('<tool_call>{"name": "f", "arguments": {"q": "a', "length", True),
        ('<tool_call>{"name": "f", "arguments": {"q": "a', None, True),
        ('<tool_call>{"name": "f", "arguments": {"q": "a<|im_end|>', None, False),
        (UNBALANCED, "stop", False),
        (UNBALANCED, "length", True),
    ],
)
def test_a_call_is_unfinished_only_where_the_answer_was_cut_off(
    output: str, reason: str | None, unfinished: bool
):
    (attempt,) = read(HERMES, _transcript(output=output, finish_reason=reason)).attempts

    assert not attempt.readable
    assert unfinished == attempt.unfinished


def test_a_call_left_in_the_content_is_read_by_the_dialect():
    reading = read(HERMES, _transcript(message={"content": CALL, "tool_calls": []}))

    assert ["f"] == [attempt.name for attempt in reading.attempts]


def test_native_takes_content_as_text():
    reading = read(NATIVE, _transcript(message={"content": CALL}))

    assert ((), CALL) == (reading.attempts, reading.text)


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "text", "text": CALL}], "tool_calls": [G]},
        {
            "content": [
                {"type": "text", "text": CALL},
                {"type": "tool_use", "name": "g", "input": {}},
            ]
        },
    ],
    ids=["parts of a message", "blocks of a message"],
)
def test_calls_left_in_parts_of_the_content_count_as_well(message: dict[str, Any]):
    reading = read(HERMES, _transcript(message=message))

    assert ["f", "g"] == [attempt.name for attempt in reading.attempts]


def test_calls_in_parts_of_the_content_alone_are_read_by_the_dialect():
    message = {"content": [{"type": "text", "text": CALL}]}

    assert ["f"] == [
        attempt.name for attempt in read(HERMES, _transcript(message=message)).attempts
    ]


@pytest.mark.parametrize(
    ("reason", "cut"), [("stop", False), ("tool_calls", False), ("length", True), (None, True)]
)
def test_arguments_that_a_server_broke_off_are_malformed_unless_cut_off(
    reason: str | None, cut: bool
):
    message = {"tool_calls": [{"function": {"name": "g", "arguments": '{"q": "a'}}]}

    (attempt,) = read(NATIVE, _transcript(message=message, finish_reason=reason)).attempts

    assert (False, cut) == (attempt.readable, attempt.unfinished)


@pytest.mark.parametrize(("reason", "cut"), [("length", True), ("stop", False), (None, False)])
def test_a_call_in_thinking_is_unfinished_where_the_answer_was_cut_off(
    reason: str | None, cut: bool
):
    reading = read(HERMES, _transcript(output=f"<think>Maybe {CALL}", finish_reason=reason))

    assert [cut] == [attempt.unfinished for attempt in reading.attempts]


@pytest.mark.parametrize("dialect", [NATIVE, HERMES])
@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("content", [None, ""])
def test_a_message_that_was_cut_off_while_the_model_thought_is_unfinished(
    dialect: Dialect, key: str, content: str | None
):
    def found(message: dict[str, Any], reason: str | None = "length") -> list[bool]:
        reading = read(dialect, _transcript(message=message, finish_reason=reason))
        return [attempt.unfinished for attempt in reading.attempts]

    thought = {"role": "assistant", "content": content, key: "Let me see"}

    assert [True] == found(thought)
    assert [] == found(thought, "stop")
    assert [] == found({**thought, "content": "It is"})
    assert [] == found({**thought, key: ""})
    assert [False] == found(
        {**thought, "tool_calls": [{"function": {"name": "g", "arguments": "{}"}}]}
    )


def test_a_call_in_the_content_that_nobody_reads_is_an_attempt():
    tool = Tool.from_schema({"name": "f", "parameters": {"type": "object", "properties": {}}})

    reading = read(NATIVE, _transcript(message={"content": f"Sure: {CALL}"}), [tool])

    (attempt,) = reading.attempts
    assert ("f", None) == (attempt.name, attempt.arguments)
    assert "the call is in the text" in (attempt.problem or "")


def test_the_finish_reason_reaches_the_reader():
    message = {"tool_calls": [{"function": {"name": "g", "arguments": ""}}]}

    reading = read(HERMES, _transcript(message=message, finish_reason="length"))

    assert reading.attempts[0].unfinished


@pytest.mark.parametrize("lenient", [False, True])
def test_an_error_is_never_read(lenient: bool):
    with pytest.raises(ValueError, match=r"c-1.*timed out"):
        read(HERMES, _transcript(error="timed out"), lenient=lenient)


# Thinking that the prompt opened


DRAFT = f"Shall I? {CALL} No."
"""Thinking with a call that is drafted and dropped."""


# Of answers that are messages the thinking is a field of its own.
@pytest.mark.parametrize("name", sorted({*names()} - {"native", "anthropic"}))
def test_a_call_drafted_in_thinking_that_the_prompt_opened_is_not_a_call(name: str):
    """
    Whatever the dialect knows of thinking; the call behind it is read, at its place in the output.
    """
    made = dialect(name)
    call = ToolCall(name="f", arguments={"q": "a"})
    drafted, written = made.render([call]), made.render([call])
    output = f"Maybe {drafted} or not.</think>\n\n{written}"

    reading = read(made, _transcript(output=output, opened="<think>\n"), TOOLS)

    assert ["f"] == [attempt.name for attempt in reading.attempts]
    (attempt,) = reading.attempts
    assert output.index("</think>") < attempt.start
    assert attempt.raw == output[attempt.start : attempt.end]
    assert "Maybe" not in reading.text


@pytest.mark.parametrize(
    ("made", "opened", "closed"),
    [
        (HERMES, "<think>\n", "</think>"),
        (HERMES, "<think>", "</think>"),
        (MISTRAL_V11, "[THINK]", "[/THINK]"),
        (COMMAND_A, "<|START_THINKING|>", "<|END_THINKING|>"),
    ],
)
def test_an_abstentions_text_is_what_follows_the_thinking(made: Any, opened: str, closed: str):
    transcript = _transcript(output=f"It rains.{closed}Take a coat.", opened=opened)

    assert "Take a coat." == read(made, transcript).text
    assert "Take a coat." == read(made, transcript, lenient=True).text


def test_thinking_that_the_prompt_opened_in_a_message_is_not_part_of_it():
    transcript = _transcript(message={"content": f"{DRAFT}</think>No."}, opened="<think>\n")

    assert ((), "No.") == (read(HERMES, transcript).attempts, read(HERMES, transcript).text)


def test_mistrals_thinking_is_neither_call_nor_text():
    call = MISTRAL_V11.render([ToolCall(name="f", arguments={"q": "a"})])
    reading = MISTRAL_V11.read(f"[THINK]Try {call.removesuffix('</s>')}?[/THINK]Well: {call}")

    assert ["f"] == [attempt.name for attempt in reading.attempts]
    assert "Well:" == reading.text


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("<|im_start|>assistant\n<think>\n", "<think>\n"),
        ("<|im_start|>assistant\n<think>", "<think>"),
        ("[/INST][THINK]", "[THINK]"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", None),
        ("<|im_start|>assistant\n", None),
        ("What does <think> mean?<|im_end|>", None),
    ],
)
def test_what_a_prompt_has_begun_of_the_answer(prompt: str, expected: str | None):
    assert expected == opened_by(prompt)
