"""
One line of transcripts.jsonl.
"""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.canonical import canonical_json
from harness.transcript import Key, Timing, ToolResult, Transcript

MILLISECONDS = st.floats(min_value=0, max_value=1e14)
ANSWERS = st.one_of(
    st.fixed_dictionaries({"output": st.text()}),
    st.fixed_dictionaries({"error": st.text()}),
    st.fixed_dictionaries({"message": st.fixed_dictionaries({"content": st.text()})}),
)
TRANSCRIPTS = st.builds(
    lambda answer, **fields: Transcript(**answer, **fields),
    ANSWERS,
    key=st.builds(
        Key, st.text(min_size=1), st.integers(0, 9), st.integers(0, 9), step=st.integers(0, 9)
    ),
    output_tokens=st.none() | st.integers(0, 4096),
    finish_reason=st.sampled_from([None, "stop", "length", "tool_calls"]),
    timing=st.none() | st.builds(Timing, latency_ms=MILLISECONDS, ttft_ms=st.none() | MILLISECONDS),
    results=st.none()
    | st.lists(
        st.builds(
            ToolResult,
            text=st.text(),
            length=st.none() | st.integers(0, 9999),
            documents=st.none() | st.lists(st.text()).map(tuple),
        )
    ).map(tuple),
)


@settings(deadline=None)
@given(TRANSCRIPTS)
def test_a_transcript_survives_its_line(transcript: Transcript) -> None:
    line = canonical_json(transcript.to_json())

    assert transcript == Transcript.from_json(line)
    assert "\n" not in line


ODD = st.sampled_from([None, 0, 7, -1, 1.5, True, "", "x", [], {}, {"content": "x"}, 2**53, 1e300])
ROWS = st.dictionaries(
    st.sampled_from(
        """
        case output message error opened repeat turn output_tokens finish_reason latency_ms ttft_ms
        margin comment
        """.split()
    ),
    ODD,
).flatmap(lambda row: st.sampled_from([row, {"case": "a", "output": "x", **row}]))


@given(ROWS)
def test_a_line_read_at_once_is_the_one_read_key_by_key(row: dict[str, Any]) -> None:
    line = json.dumps(row)
    try:
        expected = Transcript.from_row(row)
    except ValueError as exc:
        with pytest.raises(ValueError, match=re.escape(str(exc))):
            Transcript.from_json(line)
    else:
        assert expected == Transcript.from_json(line)


def test_a_line_leaves_out_what_is_unknown_and_what_is_first() -> None:
    assert {"case": "kb-1", "output": ""} == Transcript(key=Key("kb-1"), output="").to_json()


def test_a_count_of_no_tokens_is_not_an_unknown_count() -> None:
    line = Transcript(key=Key("kb-1"), output="", output_tokens=0).to_json()

    assert {"case": "kb-1", "output": "", "output_tokens": 0} == line


def test_repeat_and_turn_count_from_zero_and_unknown_keys_are_ignored() -> None:
    read = Transcript.from_json('{"case": "a", "output": "x", "comment": [1], "turn": 2}')

    assert Transcript(key=Key("a", 0, 2), output="x") == read


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([], "an object"),
        ({"output": "x"}, 'needs "case"'),
        ({"case": "", "output": "x"}, 'needs "case"'),
        ({"case": "a"}, "exactly one of output, message and error, not none"),
        ({"case": "a", "output": "", "error": "x"}, "not output and error"),
        ({"case": "a", "output": {}}, "'output' is the text as the model wrote it"),
        ({"case": "a", "message": "hi"}, "'message' has the wrong type"),
        ({"case": "a", "error": True}, "'error' has the wrong type"),
        ({"case": "a", "output": "", "repeat": -1}, "'repeat' must be a whole number"),
        ({"case": "a", "output": "", "turn": True}, "'turn' must be a whole number"),
        ({"case": "a", "output": "", "output_tokens": 1.5}, "'output_tokens' must be"),
        ({"case": "a", "output": "", "latency_ms": -1}, "'latency_ms' must be"),
        ({"case": "a", "output": "", "latency_ms": float("nan")}, "NaN is not JSON"),
        ({"case": "a", "output": "", "latency_ms": 1, "ttft_ms": "2"}, "'ttft_ms' must be"),
    ],
)
def test_a_line_that_is_not_a_transcript_is_refused_with_the_reason(row: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Transcript.from_json(json.dumps(row))


def test_a_byte_order_mark_is_not_part_of_a_line() -> None:
    read = Transcript.from_json('\ufeff{"case": "a", "output": "\ufeffx"}')

    assert Transcript(key=Key("a"), output="\ufeffx") == read


def test_a_line_that_is_not_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        Transcript.from_json('{"case": ')


@pytest.mark.parametrize(
    "line",
    [
        '{"case": "a", "output": "x", "output_tokens": 1' + "0" * 400 + "}",
        '{"case": "a", "message": {"role": NaN}}',
        '{"case": "a", "message": {"content": "x", "score": 1e999}}',
        '{"case": "a", "output": "x", "comment": -1e999}',
        '{"case": "a", "output": "x", "latency_ms": Infinity}',
    ],
)
def test_a_number_nothing_can_be_done_with_is_refused(line: str):
    with pytest.raises(ValueError, match=r"whole number|not JSON|too large"):
        Transcript.from_json(line)


def test_what_a_model_said_is_without_what_its_server_makes_anew():
    def answered(number: int) -> Transcript:
        call = {"id": f"call-{number}", "function": {"name": "f", "arguments": "{}"}}
        message = {"content": None, "tool_calls": [call], "response": {"usage": {"n": number}}}
        return Transcript(key=Key("a"), message=message)

    function = {"name": "f", "arguments": "{}"}
    assert {"content": None, "tool_calls": [{"function": function}]} == answered(1).said
    assert answered(1).said == answered(2).said
    assert "text" == Transcript(key=Key("a"), output="text").said
    assert None is Transcript(key=Key("a"), error="broke").said
