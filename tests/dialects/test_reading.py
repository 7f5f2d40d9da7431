"""
Reading a stored transcript: which dialect reads what.
"""

from typing import Any

import pytest

from harness.dialects.hermes import HERMES
from harness.dialects.native import NATIVE
from harness.dialects.reading import read
from harness.transcript import Key, Transcript

CALL = '<tool_call>{"name": "f", "arguments": {"q": "a"}}</tool_call>'
FENCED = '```json\n{"name": "f", "arguments": {"q": "a"}}\n```'


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
    message = {"content": CALL, "tool_calls": [{"function": {"name": "g", "arguments": "{}"}}]}

    reading = read(HERMES, _transcript(message=message))

    assert ["g"] == [attempt.name for attempt in reading.attempts]


def test_a_call_left_in_the_content_is_read_by_the_dialect():
    reading = read(HERMES, _transcript(message={"content": CALL, "tool_calls": []}))

    assert ["f"] == [attempt.name for attempt in reading.attempts]


def test_native_takes_content_as_text():
    reading = read(NATIVE, _transcript(message={"content": CALL}))

    assert ((), CALL) == (reading.attempts, reading.text)


def test_the_finish_reason_reaches_the_reader():
    message = {"tool_calls": [{"function": {"name": "g", "arguments": ""}}]}

    reading = read(HERMES, _transcript(message=message, finish_reason="length"))

    assert reading.attempts[0].unfinished


@pytest.mark.parametrize("lenient", [False, True])
def test_an_error_is_never_read(lenient: bool):
    with pytest.raises(ValueError, match=r"c-1.*timed out"):
        read(HERMES, _transcript(error="timed out"), lenient=lenient)
