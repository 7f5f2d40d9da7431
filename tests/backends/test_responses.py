"""
Responses of APIs, whole and in batches, read as the answers they are.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.backends.base import BackendOptions
from harness.backends.replay import ReplayBackend, read_transcripts
from harness.backends.responses import as_line, asked
from harness.checkpoints.reference import Reference
from harness.errors import DialectError, TranscriptError
from harness.testing.importers import paths, replaced
from harness.transcript import Key, Transcript

CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "search", "arguments": '{"query": "leave"}'},
}
MESSAGE = {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None}
OPENAI = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "tool_calls"}],
    "usage": {"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99},
}
BLOCKS = [
    {"type": "text", "text": "I look it up."},
    {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"query": "leave"}},
]
ANTHROPIC = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": BLOCKS,
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 300, "output_tokens": 41},
}
RESPONSES = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Search."}]},
        {
            "type": "function_call",
            "call_id": "call_1",
            "name": "search",
            "arguments": '{"query": "leave"}',
        },
        {"type": "message", "content": [{"type": "output_text", "text": "One moment."}]},
    ],
    "usage": {"input_tokens": 300, "output_tokens": 23},
}

FROM_OPENAI = Transcript(
    key=Key("a"), message=MESSAGE, output_tokens=17, finish_reason="tool_calls"
)
FROM_ANTHROPIC = Transcript(
    key=Key("a"),
    message={"role": "assistant", "content": BLOCKS},
    output_tokens=41,
    finish_reason="tool_calls",
)


def written(folder: Path, *lines: object) -> Path:
    path = folder / "answers.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def read(folder: Path, line: object) -> Transcript:
    (transcript,) = read_transcripts(written(folder, line)).values()
    return transcript


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"case": "a", **OPENAI}, FROM_OPENAI),
        ({"case": "a", "message": OPENAI}, FROM_OPENAI),
        ({"case": "a", "response": OPENAI}, FROM_OPENAI),
        ({"case": "a", "response": json.dumps(OPENAI)}, FROM_OPENAI),
        ({"case": "a", "response": {"body": json.dumps(OPENAI)}}, FROM_OPENAI),
        ({"case": "a", **ANTHROPIC}, FROM_ANTHROPIC),
        ({"case": "a", "message": ANTHROPIC}, FROM_ANTHROPIC),
        ({"case": "a", "response": ANTHROPIC}, FROM_ANTHROPIC),
        (
            {
                "id": "batch_req_1",
                "custom_id": "a",
                "response": {"status_code": 200, "request_id": "r", "body": OPENAI},
                "error": None,
            },
            FROM_OPENAI,
        ),
        ({"custom_id": "a", "result": {"type": "succeeded", "message": ANTHROPIC}}, FROM_ANTHROPIC),
        (
            {"case": "a", **RESPONSES},
            Transcript(
                key=Key("a"),
                message={
                    "role": "assistant",
                    "content": "One moment.",
                    "reasoning_content": "Search.",
                    "tool_calls": [CALL],
                },
                output_tokens=23,
                finish_reason="tool_calls",
            ),
        ),
        (
            {"case": "a", "choices": [{"text": "<tool_call>", "finish_reason": "length"}]},
            Transcript(key=Key("a"), output="<tool_call>", finish_reason="length"),
        ),
        (
            {"case": "a", "output": "Hi.", "usage": {"completion_tokens": 2}},
            Transcript(key=Key("a"), output="Hi.", output_tokens=2),
        ),
    ],
    ids=[
        "openai",
        "openai in message",
        "openai in response",
        "openai as text",
        "openai as text in body",
        "anthropic",
        "anthropic in message",
        "anthropic in response",
        "openai batch",
        "anthropic batch",
        "openai responses",
        "openai completions",
        "usage beside text",
    ],
)
def test_a_response_is_taken_as_it_is(tmp_path: Path, line: object, expected: Transcript):
    assert expected == read(tmp_path, line)


def test_what_the_line_says_itself_counts_more_than_the_response(tmp_path: Path):
    line = {"case": "a", "output_tokens": 5, "finish_reason": "stop", "repeat": 0, **OPENAI}

    found = read(tmp_path, line)

    assert (5, "stop") == (found.output_tokens, found.finish_reason)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (
            {"response": None, "error": {"code": "batch_expired", "message": "Not in time."}},
            "batch_expired: Not in time.",
        ),
        (
            {
                "response": {
                    "status_code": 429,
                    "body": {"error": {"type": "rate_limit", "message": "Too many."}},
                },
                "error": None,
            },
            "HTTP 429: rate_limit: Too many.",
        ),
        ({"response": {"status_code": 500, "body": None}}, "HTTP 500"),
        (
            {"error": {"message": "The server had an error.", "type": None}},
            "The server had an error.",
        ),
        (
            {
                "result": {
                    "type": "errored",
                    "error": {
                        "type": "error",
                        "error": {"type": "invalid_request_error", "message": "No tools."},
                    },
                }
            },
            "invalid_request_error: No tools.",
        ),
        ({"result": {"type": "expired"}}, "expired"),
        (
            {**RESPONSES, "usage": None, "error": {"code": "server_error", "message": "Oh."}},
            "server_error: Oh.",
        ),
        ({**RESPONSES, "usage": None, "status": "queued"}, "the response is queued"),
        ({"choices": [{"error": {"code": 502, "message": "Upstream."}}]}, "502: Upstream."),
        ({"choices": [{"message": MESSAGE, "error": "died"}]}, "died"),
        ({**OPENAI, "usage": None, "error": {"message": "Upstream."}}, "Upstream."),
        ({"response": {**OPENAI, "error": {"message": "Upstream."}}}, "Upstream."),
        ({"response": {"choices": [], "error": {"message": "Upstream."}}}, "Upstream."),
        ({"response": {"body": OPENAI}, "error": {"code": "expired"}}, "expired"),
        ({"response": {"status_code": 200, "body": None}}, "a response without a body"),
        ({**ANTHROPIC, "usage": None, "error": {"message": "Overloaded."}}, "Overloaded."),
        (
            {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]},
            "the answer was withheld: finish_reason content_filter",
        ),
        (
            {
                "object": "response",
                "output": [],
                "status": "incomplete",
                "incomplete_details": {"reason": "content_filter"},
            },
            "the answer was withheld: finish_reason content_filter",
        ),
    ],
)
def test_what_failed_at_the_api_is_an_error_of_its_case(
    tmp_path: Path, line: dict[str, Any], error: str
):
    assert Transcript(key=Key("a"), error=error) == read(tmp_path, {"custom_id": "a", **line})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"choices": OPENAI["choices"] * 2}, r'2 choices .* a line for each, with "repeat" from 0'),
        ({"choices": []}, "0 choices"),
        ({"choices": [{"delta": {"content": "x"}}]}, "one piece of a stream"),
        ({"choices": [{"index": 0}]}, "choices.0. has neither message nor text"),
        (
            {"response": {"status_code": 200, "body": {"text": "x"}}},
            'put the answer into "message"',
        ),
        ({"response": "{"}, "an object that is JSON text cannot be read: Expecting"),
        ({"output": [CALL]}, r'put tool calls into "message": .*"tool_calls"'),
        ({"output": MESSAGE}, r'put tool calls into "message"'),
        ({"output": BLOCKS}, r'put tool calls into "message"'),
    ],
)
def test_what_is_not_one_answer_is_refused_by_file_and_line(
    tmp_path: Path, line: dict[str, Any], said: str
):
    path = written(tmp_path, {"case": "b", "error": "x"}, {"case": "a", **line})

    with pytest.raises(TranscriptError, match=said) as caught:
        read_transcripts(path)

    assert str(caught.value).startswith(f"{path}:2: ")
    assert 1 == len(str(caught.value).splitlines())


def test_a_count_that_no_answer_has_is_unknown(tmp_path: Path):
    line = {"case": "a", **OPENAI, "usage": {"completion_tokens": -1}}

    assert read(tmp_path, line).output_tokens is None


@pytest.mark.parametrize("key", ["case", "custom_id"])
def test_an_id_that_looks_like_a_number_may_be_one(tmp_path: Path, key: str):
    assert Key("7") == read(tmp_path, {key: 7, "output": "Hi."}).key


LINES: dict[str, dict[str, Any]] = {
    "openai": {"case": "a", **OPENAI},
    "responses": {"case": "a", **RESPONSES, "incomplete_details": {"reason": "x"}},
    "anthropic": {"case": "a", **ANTHROPIC},
    "batch": {"custom_id": "a", "response": {"status_code": 200, "body": OPENAI}},
    "result": {"custom_id": "a", "result": {"type": "errored", "error": {"error": {"type": "x"}}}},
    "log": {"request": {"messages": [{"role": "user", "content": BLOCKS}]}, "response": OPENAI},
}


@pytest.mark.parametrize("name", LINES)
def test_a_value_of_another_shape_anywhere_is_read_or_refused_with_a_reason(name: str):
    line = LINES[name]
    for path in paths(line):
        for odd in (None, True, 7, "x", "{", [], [7], {}, {"a": None}):
            row = replaced(line, path, odd)
            with suppress(ValueError):
                asked(row)
                Transcript.from_row(as_line(row))


def test_a_response_without_a_case_says_how_answers_are_joined(tmp_path: Path):
    path = written(tmp_path, OPENAI)

    with pytest.raises(TranscriptError, match=r':1: .*needs "case".*"custom_id".*--match prompt'):
        read_transcripts(path)


@pytest.mark.parametrize("indent", [None, 2])
def test_one_json_list_is_read_like_lines(tmp_path: Path, indent: int | None):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps([{"case": "a", **OPENAI}], indent=indent), "utf-8")

    assert {Key("a"): FROM_OPENAI} == read_transcripts(path)


def test_one_response_over_several_lines_is_read(tmp_path: Path):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"case": "a", **OPENAI}, indent=2), "utf-8")

    assert {Key("a"): FROM_OPENAI} == read_transcripts(path)


def test_several_objects_over_several_lines_are_refused_with_the_way_out(tmp_path: Path):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"case": "a", **OPENAI}, indent=2) * 2, "utf-8")

    with pytest.raises(TranscriptError, match="one JSON object a line"):
        read_transcripts(path)


def opened(path: Path) -> str:
    reference = Reference(scheme="replay", target=str(path))
    return ReplayBackend.open(reference, BackendOptions()).checkpoint.dialect


def test_the_dialect_of_messages_is_that_of_their_api(tmp_path: Path):
    said = {"case": "b", "message": {"role": "assistant", "content": "Hi."}}

    assert "native" == opened(written(tmp_path, {"case": "a", **OPENAI}, said))
    assert "anthropic" == opened(written(tmp_path, {"case": "a", **ANTHROPIC}, said))
    with pytest.raises(DialectError, match=r"OpenAI's \(case 'c'\) and Anthropic's \(case 'a'\)"):
        opened(written(tmp_path, {"case": "a", **ANTHROPIC}, {"case": "c", **OPENAI}))


USER = {"role": "user", "content": "How much leave?"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": " How much leave?\n"}, ("How much leave?", False)),
        ({"messages": [{"role": "system", "content": "x"}, USER]}, ("How much leave?", False)),
        ({"request": {"messages": [USER]}}, ("How much leave?", False)),
        ({"request": {"method": "POST", "body": {"messages": [USER]}}}, ("How much leave?", False)),
        ({"body": {"input": "How much leave?"}}, ("How much leave?", False)),
        ({"request": json.dumps({"messages": [USER]})}, ("How much leave?", False)),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
            ("Hi", False),
        ),
        (
            {"messages": [USER, MESSAGE, {"role": "tool", "content": "12"}]},
            ("How much leave?", True),
        ),
        (
            {
                "messages": [
                    USER,
                    {"role": "assistant", "content": BLOCKS},
                    {"role": "user", "content": [{"type": "tool_result", "content": "12"}]},
                ]
            },
            ("How much leave?", True),
        ),
        ({"request": {"input": [USER, {"type": "function_call_output", "output": "12"}]}},
         ("How much leave?", True)),
        ({"messages": [{"role": "system", "content": "x"}]}, None),
        ({"case": "a"}, None),
    ],
)  # fmt: skip
def test_what_was_asked_is_the_last_user_message(row: dict[str, Any], expected: Any):
    assert expected == asked(row)
