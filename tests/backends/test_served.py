"""
Checkpoints behind a URL: what is sent, what is read, and what is said where a server breaks.
"""

import json
import signal
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from harness.backends.base import Backend, BackendOptions, Generation, Request
from harness.backends.registry import open_backend
from harness.backends.served import client
from harness.backends.served.chat import ChatBackend
from harness.errors import BackendError, HarnessError, UsageError
from harness.messages import Message, Tool, ToolCall
from harness.transcript import Key, Transcript

from .fault_server import Asked, Fault, FaultServer, count, fault_server

SEARCH = Tool.from_schema(
    {"name": "search", "parameters": {"type": "object", "properties": {"query": {}}}}
)
GENERATION = Generation(max_new_tokens=16)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server() as running:
        yield running


def asked(count: int = 1, text: str = "question") -> list[Request]:
    return [
        Request(
            key=Key(f"case-{number}"),
            messages=(Message(role="user", content=f"{text} {number}"),),
            tools=(SEARCH,),
        )
        for number in range(count)
    ]


def opened(server: FaultServer, **options: Any) -> Backend:
    return open_backend(f"openai:cand@{server.url}", BackendOptions(**options))


def answers(backend: Backend, requests: list[Request]) -> dict[Key, Transcript]:
    found: dict[Key, Transcript] = {}
    for group in backend.answer(requests, GENERATION):
        for transcript in group:
            assert transcript.key not in found
            found[transcript.key] = transcript
    backend.close()
    return found


def error_of(server: FaultServer, **options: Any) -> str:
    [transcript] = answers(opened(server, **options), asked()).values()
    assert transcript.error is not None, transcript
    return transcript.error


# What is sent


def test_sampling_is_said_in_full(server: FaultServer):
    answers(opened(server), asked())

    [body] = server.answered
    said = {key: body[key] for key in body if key not in ("model", "messages", "tools")}
    assert {
        "tool_choice": "auto",
        "max_tokens": 16,
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": 1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "repeat_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": 0,
    } == said


def test_a_sampled_answer_has_a_seed_of_its_own(server: FaultServer):
    backend = opened(server)
    settings = replace(GENERATION, do_sample=True, temperature=0.7)

    list(backend.answer(asked(2), settings))
    list(backend.answer(asked(2), settings))
    backend.close()

    seeds = [body["seed"] for body in server.answered]
    assert 2 == len(set(seeds))
    assert sorted(seeds[:2]) == sorted(seeds[2:])
    assert {0.7} == {body["temperature"] for body in server.answered}


def test_a_history_of_calls_is_sent_as_the_api_has_it(server: FaultServer):
    history = (
        Message(role="developer", content="S"),
        Message(role="user", content="q"),
        Message(
            role="assistant",
            tool_calls=(ToolCall(name="a", arguments={"x": 1}), ToolCall(name="b", arguments={})),
        ),
        Message(role="tool", name="a", content="1"),
        Message(role="tool", name="b", content="2"),
    )

    answers(opened(server), [Request(key=Key("c"), messages=history, tools=(SEARCH,))])

    system, _, calls, first, second = server.answered[0]["messages"]
    assert "system" == system["role"]
    assert "" == calls["content"]
    assert '{"x": 1}' == calls["tool_calls"][0]["function"]["arguments"]
    assert [call["id"] for call in calls["tool_calls"]] == [
        first["tool_call_id"],
        second["tool_call_id"],
    ]
    assert "call00001" == first["tool_call_id"]


def refuses(*fields: str) -> Fault:
    def fault(request: Asked) -> bool:
        for field in fields:
            if request.body is not None and field in request.body:
                request.send({"detail": f"Unexpected fields in the request: {{'{field}'}}"}, 422)
                return True
        return False

    return fault


def test_a_refused_field_is_dropped_once_and_recorded(server: FaultServer):
    server.faults.append(refuses("min_p", "top_k"))
    said: list[str] = []
    backend = opened(server, notify=said.append)

    found = answers(backend, asked(3))

    assert all(transcript.error is None for transcript in found.values())
    assert ["min_p", "top_k"] == backend.describe()["server"]["refused"]
    assert ["the server refuses min_p: not sent", "the server refuses top_k: not sent"] == said
    assert not any("top_k" in body or "min_p" in body for body in server.answered)
    # One probe for each field, and one that is taken.
    assert 3 == sum(body is not None and body["max_tokens"] == 1 for _, body, _ in server.seen)


@pytest.mark.parametrize("status", [400, 500])
def test_a_server_that_refuses_the_role_developer_gets_system(
    server: FaultServer, tiny_model: Path, status: int
):
    def refuses(request: Asked) -> bool:
        roles = [row["role"] for row in (request.body or {}).get("messages", ())]
        if "developer" not in roles:
            return False
        request.send({"error": "role: Input should be 'system', not 'developer'"}, status)
        return True

    server.faults.append(refuses)
    told = Request(
        key=Key("a"),
        messages=(Message(role="developer", content="S"), Message(role="user", content="u")),
        tools=(),
    )
    said: list[str] = []
    backend = opened(server, tokenizer=str(tiny_model), notify=said.append)

    [transcript] = answers(backend, [told]).values()

    assert transcript.error is None
    assert ["system", "user"] == [row["role"] for row in server.answered[-1]["messages"]]
    assert ["developer"] == backend.describe()["server"]["refused"]
    assert "the server refuses the role developer: sent as system" in said


def test_a_model_that_takes_only_the_new_name_of_the_limit_gets_it(server: FaultServer):
    server.faults.append(refuses("max_tokens"))
    backend = opened(server)

    list(backend.answer(asked(), GENERATION))
    backend.close()

    body = server.seen[-1][1]
    assert 16 == body["max_completion_tokens"]
    assert "max_tokens" not in body


# What is read


def test_the_message_is_kept_with_the_body_around_it(server: FaultServer):
    server.faults.append(
        lambda request: request.asks and not request.chat(content="hi", reasoning="hm", odd=[1])
    )

    [transcript] = answers(opened(server), asked()).values()

    assert {
        "role": "assistant",
        "content": "hi",
        "reasoning": "hm",
        "odd": [1],
        "response": {
            "model": "cand",
            "system_fingerprint": "fp-1",
            "usage": {"prompt_tokens": count(server.answered[0]), "completion_tokens": 3},
            "choices": [{"index": 0, "finish_reason": "stop"}],
        },
    } == transcript.message
    assert 3 == transcript.output_tokens


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thinking_is_kept_under_either_name_and_its_cut_off_end_is_known(
    server: FaultServer, name: str
):
    def thinks(request: Asked) -> bool:
        if not request.asks:
            return False
        message = {"role": "assistant", "content": None, name: "let me think"}
        request.choose({"message": message, "finish_reason": "length"})
        return True

    server.faults.append(thinks)
    [transcript] = answers(opened(server), asked()).values()

    assert "length" == transcript.finish_reason
    assert transcript.message is not None
    assert "let me think" == transcript.message[name]


def test_answers_do_not_depend_on_which_comes_first(server: FaultServer):
    def slow(request: Asked) -> bool:
        if request.asks and request.question.endswith(" 0"):
            time.sleep(0.2)
        return False

    server.faults.append(slow)
    backend = opened(server)
    groups = list(backend.answer(asked(12), GENERATION))
    backend.close()

    order = [transcript.key.case for group in groups for transcript in group]
    assert "case-0" == order[-1]
    said = {each.key.case: each.message for group in groups for each in group}
    assert all(
        f"question {case[5:]}" in message["tool_calls"][0]["function"]["arguments"]
        for case, message in said.items()
        if message is not None
    )


def test_no_more_requests_are_in_flight_than_asked_for(server: FaultServer):
    now, most = [0], [0]

    def counted(request: Asked) -> bool:
        if not request.asks:
            return False
        with server.lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with server.lock:
            now[0] -= 1
        return False

    server.faults.append(counted)
    answers(opened(server, concurrency=3), asked(30))

    assert 3 == most[0]


def test_few_prompts_are_made_ahead_of_their_answers(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
):
    made: list[str] = []
    plain = ChatBackend._payload

    def counted(self: ChatBackend, request: Request, generation: Generation) -> Any:
        made.append(request.key.case)
        return plain(self, request, generation)

    monkeypatch.setattr(ChatBackend, "_payload", counted)
    backend = opened(server, concurrency=3)
    running = backend.answer(asked(200), GENERATION)
    answered = len(next(running))

    # As many again as are in flight are at hand, and no more, however many are asked.
    assert len(made) <= 2 * 3
    for group in running:
        answered += len(group)
        assert len(made) <= answered + 2 * 3
    backend.close()
    assert 200 == answered


def test_alone_answers_are_streamed_and_timed(server: FaultServer):
    def late(request: Asked) -> bool:
        if request.asks:
            time.sleep(0.05)
        return False

    server.faults.append(late)
    backend = opened(server)
    plain = {each.key: each for [*group] in backend.answer(asked(2), GENERATION) for each in group}

    alone = list(backend.answer_alone(asked(2), GENERATION))
    backend.close()

    for transcript in alone:
        assert transcript.timing is not None
        assert transcript.timing.ttft_ms is not None
        assert 50 <= transcript.timing.ttft_ms <= transcript.timing.latency_ms
        assert plain[transcript.key].message == transcript.message
    assert [False, False, True, True, True] == [bool(b.get("stream")) for b in server.answered]


def test_a_server_without_stream_options_is_timed_all_the_same(server: FaultServer):
    server.faults.append(refuses("stream_options"))
    backend = opened(server)

    [transcript] = backend.answer_alone(asked(), GENERATION)
    backend.close()

    assert transcript.timing is not None


# Who the server is


def pages(**given: Any) -> dict[str, Any]:
    return {"/v1/models": {"data": [{"id": "cand"}]}, **given}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            pages(**{"/version": {"version": "0.32.0"}}),
            {"kind": "vllm", "version": "0.32.0", "max_length": None},
        ),
        (
            pages(
                **{
                    "/props": {
                        "build_info": "b1-abc",
                        "chat_template": "T",
                        "default_generation_settings": {"n_ctx": 512},
                    }
                }
            ),
            {"kind": "llama.cpp", "version": "b1-abc", "max_length": 512},
        ),
        (
            pages(
                **{
                    "/api/version": {"version": "0.9"},
                    "/api/tags": {"models": [{"name": "cand:latest", "digest": "sha256:1"}]},
                }
            ),
            {"kind": "ollama", "version": "0.9", "weights": "sha256:1"},
        ),
        (
            pages(**{"/get_server_info": {"version": "0.5", "context_length": 99}}),
            {"kind": "sglang", "version": "0.5", "max_length": 99},
        ),
        (
            pages(**{"/info": {"version": "3.0", "model_id": "m", "max_total_tokens": 9}}),
            {"kind": "tgi", "version": "3.0", "max_length": 9},
        ),
        (
            pages(**{"/openapi.json": {"paths": {"/load_model": {}}}}),
            {"kind": "transformers serve", "version": None},
        ),
        ({}, {"kind": "unknown", "max_length": None}),
    ],
)
def test_a_server_is_known_by_what_it_says(
    server: FaultServer, found: dict[str, Any], expected: dict[str, Any]
):
    server.pages = found
    backend = opened(server)
    backend.close()

    said = backend.describe()["server"]
    assert expected == {name: said[name] for name in expected}
    assert "cand" == said["model"]
    assert ["fp-1"] == said["fingerprints"]


def test_the_name_that_answers_give_the_model_is_kept_where_it_is_another(server: FaultServer):
    plain = opened(server)
    server.faults.append(
        lambda r: (
            r.body is not None
            and not r.choose(
                {"message": {"content": "x"}, "finish_reason": "stop"}, model="cand-2027-01"
            )
        )
    )
    alias = opened(server)
    for each in (plain, alias):
        each.close()

    assert {} == plain.checkpoint.extra
    assert {"answers_as": "cand-2027-01"} == alias.checkpoint.extra


def test_a_server_that_is_updated_meanwhile_is_noticed(server: FaultServer):
    backend = opened(server)
    assert [] == list(backend.changes())  # type: ignore[attr-defined]

    server.pages["/version"] = {"version": "0.33.0"}
    server.fingerprint = "fp-2"
    list(backend.answer(asked(), GENERATION))

    assert [
        "version was 0.32.0 and is 0.33.0",
        "system_fingerprint of an answer was fp-1 and is fp-2",
    ] == list(backend.changes())  # type: ignore[attr-defined]
    backend.close()


@pytest.mark.parametrize("path", ["/version", "/v1/models"])
@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("often", [1, 99])
def test_a_server_that_does_not_say_who_it_is_at_the_end_has_not_changed(
    server: FaultServer, path: str, status: int, often: int
):
    said: list[str] = []
    backend = opened(server, notify=said.append)
    left = [status] * often

    def busy(request: Asked) -> bool:
        if request.path == path and left:
            request.send({}, left.pop())
            return True
        return False

    server.faults.append(busy)

    assert [] == list(backend.changes())  # type: ignore[attr-defined]
    assert often == 1 or said[0].startswith("note: the server cannot be asked again who it is: ")
    backend.close()


def test_which_changes_are_named_does_not_depend_on_the_order_of_answers(server: FaultServer):
    backend = opened(server)
    requests = asked(20)
    for turned in (requests, requests[::-1]):
        server.faults[:] = [
            only_cases(
                lambda r: r.choose(
                    {"message": {"content": "x"}, "finish_reason": "stop"}, model=r.question
                )
            )
        ]
        for request in turned:
            list(backend.answer([request], GENERATION))
    named = list(backend.changes())  # type: ignore[attr-defined]
    backend.close()

    assert sorted(f"model of an answer was cand and is question {n}" for n in range(20))[:8] == (
        named
    )


def test_a_server_that_loads_its_model_is_waited_for(server: FaultServer):
    left = {"/v1/models": 9, "/v1/chat/completions": 9}

    def loads(request: Asked) -> bool:
        if not left.get(request.path):
            return False
        left[request.path] -= 1
        request.send({"error": {"code": 503, "message": "Loading model"}}, 503)
        return True

    server.faults.append(loads)
    said: list[str] = []
    backend = opened(server, notify=said.append)

    assert [f"{server.url}/models loads its model: waiting for it"] == said
    assert "vllm" == backend.describe()["server"]["kind"]
    assert all(each.error is None for each in answers(backend, asked()).values())


def test_a_server_that_never_loads_its_model_is_given_up(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client, "LOADING", 0.1)
    server.faults.append(
        lambda request: bool(request.body) and not request.send({"error": "loading"}, 503)
    )

    with pytest.raises(BackendError, match=r"HTTP 503: loading \(5 tries\)"):
        opened(server)


def test_a_server_that_loads_is_not_waited_for_after_an_interrupt(server: FaultServer):
    def loads(request: Asked) -> bool:
        request.send({}, 503, Retry_After="60")
        return True

    server.faults.append(loads)
    # Where tests run in several processes, theirs do not listen to the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            opened(server)
    finally:
        signal.signal(signal.SIGINT, before)

    assert time.monotonic() - began < 30


# What goes wrong: one fault, one message


def test_fault_a_model_that_is_not_served(server: FaultServer):
    with pytest.raises(BackendError, match=r"/v1 does not serve other; it serves cand"):
        open_backend(f"openai:other@{server.url}", BackendOptions())


def test_fault_a_refused_connection():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(BackendError, match=r"refuses connections; is the server running\?"):
        open_backend(f"openai:cand@http://127.0.0.1:{port}/v1", BackendOptions())


def test_a_server_that_cannot_list_its_models_is_asked_all_the_same(server: FaultServer):
    """
    `transformers serve` answers HTTP 500 where the hub's cache is not there.
    """

    def breaks(request: Asked) -> bool:
        if request.path == "/v1/models":
            request.send({}, 500)
            return True
        return False

    server.faults.append(breaks)
    backend = opened(server)

    assert "vllm" == backend.describe()["server"]["kind"]
    assert all(each.error is None for each in answers(backend, asked()).values())


def only_cases(act: Any) -> Fault:
    def fault(request: Asked) -> bool:
        if not request.asks:
            return False
        act(request)
        return True

    return fault


def cut(request: Asked) -> None:
    """
    Promise more than is sent.
    """
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"choices": [')
    request.drop()


def endless(request: Asked) -> None:
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" " * 65536)


def drip(request: Asked) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    for _ in range(100):
        request.wfile.write(b" ")
        request.wfile.flush()
        time.sleep(0.05)


def drip_headers(request: Asked) -> None:
    for _ in range(100):
        request.wfile.write(b"H")
        request.wfile.flush()
        time.sleep(0.05)


def choice(value: Any, **around: Any) -> Any:
    return lambda request: request.send({"choices": value, **around})


FAULTS: dict[str, tuple[Any, str]] = {
    "a bad request": (
        lambda r: r.send({"error": {"message": "prompt too long", "code": 400}}, 400),
        "/v1/chat/completions: HTTP 400: prompt too long",
    ),
    "a bad request in FastAPI's words": (
        lambda r: r.send({"detail": [{"loc": ["body"], "msg": "no"}]}, 422),
        'HTTP 422: [{"loc": ["body"], "msg": "no"}]',
    ),
    "a refused key": (
        lambda r: r.send({"error": "bad key"}, 401),
        "HTTP 401: bad key; name the environment variable that holds the key with --api-key-env",
    ),
    "a forbidden model": (lambda r: r.send({}, 403), "HTTP 403: {}; name the environment"),
    "a wrong path": (
        lambda r: r.send({"detail": "Not Found"}, 404),
        "HTTP 404: Not Found; the URL of most servers ends in /v1",
    ),
    "a server that stays down": (
        lambda r: r.send({"error": "loading"}, 503),
        "HTTP 503: loading (5 tries)",
    ),
    "a server that stays busy": (lambda r: r.send({}, 429, Retry_After="0"), "HTTP 429: {} (5 tr"),
    "a long wait": (lambda r: r.send({}, 429, Retry_After="3600"), "HTTP 429: {} (1 try)"),
    "a web page": (
        lambda r: r.raw(b"<html>hello</html>", kind="text/html"),
        "answered with a web page instead of JSON; the URL of most servers ends in /v1",
    ),
    "nothing": (lambda r: r.raw(b""), "/v1/chat/completions answered with nothing"),
    "half of JSON": (
        lambda r: r.raw(b'{"choices": [{"mess'),
        "answered with what is not valid JSON: ",
    ),
    "bytes that are not text": (
        lambda r: r.raw(b'{"a": "\xff"}'),
        "what is not valid JSON: 'utf-8",
    ),
    "a number that JSON lacks": (lambda r: r.raw(b'{"a": NaN}'), "NaN is not JSON"),
    "JSON without end": (lambda r: r.raw(b"[" * 100_000), "what is not valid JSON"),
    "JSON that is not an object": (
        lambda r: r.send([1]),
        "answered with JSON that is not an object",
    ),
    "an error in a good answer": (
        lambda r: r.send({"error": {"message": "out of memory"}}),
        "the server answered with an error: out of memory",
    ),
    "no choices": (lambda r: r.send({"id": "x"}), "the server answered without choices"),
    "empty choices": (choice([]), "the server answered without choices"),
    "two choices": (choice([{}, {}]), "the server answered with 2 choices instead of one"),
    "a choice that is text": (choice(["x"]), "a choice that is not an object"),
    "no message": (choice([{"text": "x"}]), "a choice that has no message"),
    "a message of nothing": (
        choice([{"message": {"role": "assistant"}}]),
        "is not an assistant's: it has neither content nor tool_calls",
    ),
    "a message of the user": (
        choice([{"message": {"role": "user", "content": "x"}}]),
        "is not an assistant's",
    ),
    "a broken choice": (
        choice([{"error": {"message": "overloaded"}}]),
        "the server answered with an error: overloaded",
    ),
    "an answer that a filter withheld": (
        choice([{"message": {"content": None}, "finish_reason": "content_filter"}]),
        "the answer was withheld: finish_reason content_filter",
    ),
    "an answer that was given up": (
        choice([{"message": {"content": "The"}, "finish_reason": "abort"}]),
        "the answer was broken off: finish_reason abort",
    ),
    "an answer that ended in an error": (
        choice([{"message": {"content": ""}, "finish_reason": "error"}]),
        "the answer was broken off: finish_reason error",
    ),
    "calls that are missing": (
        choice([{"message": {"content": None, "tool_calls": []}, "finish_reason": "tool_calls"}]),
        "the calls are missing: finish_reason tool_calls and neither call nor text",
    ),
    "content that is an object": (
        choice([{"message": {"content": {"error": "x"}}, "finish_reason": "stop"}]),
        "the content of the message is neither text nor a list",
    ),
    "calls that are text": (
        choice([{"message": {"content": None, "tool_calls": "x"}, "finish_reason": "stop"}]),
        "the tool_calls of the message are not a list",
    ),
    "a reset in the middle": (cut, "broke off in the middle of its answer: "),
    "a reset before the answer": (
        lambda r: r.drop(),
        "closed the connection before it answered (5 tries)",
    ),
    "an endless body": (endless, "answered with more than 50 MB"),
    "a slow drip": (drip, "did not finish its answer in 0.3 s (--request-timeout)"),
    "headers that drip": (drip_headers, "gave no answer in 0.3 s (--request-timeout)"),
    "silence": (lambda r: time.sleep(1), "gave no answer in 0.3 s (--request-timeout)"),
    "redirects in a circle": (
        lambda r: r.send({}, 307, Location=r.path),
        "redirects more than three times",
    ),
    "a redirect to nowhere": (
        lambda r: r.send({}, 307, Location="ftp://host/x"),
        "redirects to something that is not a web address",
    ),
    "another's answer": (
        lambda r: r.send(
            {"choices": [{"message": {"content": "x"}}]},
            X_Request_Id=r.headers["X-Request-Id"] + "0",
        ),
        "gave the answer to another request",
    ),
}


def test_the_id_of_a_request_is_a_uuid_as_some_servers_take_no_other(server: FaultServer):
    answers(opened(server), asked(2))

    sent = [headers["X-Request-Id"] for _, _, headers in server.seen]
    assert {4} == {UUID(id_).version for id_ in sent}
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize("name", FAULTS)
def test_fault(server: FaultServer, name: str):
    act, message = FAULTS[name]
    server.faults.append(only_cases(act))
    quick = {"request_timeout": 0.3} if "0.3 s" in message else {}

    assert message in error_of(server, **quick)


def test_a_model_that_says_nothing_is_silent(server: FaultServer):
    server.faults.append(
        only_cases(choice([{"message": {"content": ""}, "finish_reason": "stop"}]))
    )

    [transcript] = answers(opened(server), asked()).values()

    assert transcript.error is None


def test_a_count_that_no_answer_has_is_unknown(server: FaultServer):
    said = [{"message": {"content": "x"}, "finish_reason": "stop"}]
    server.faults.append(only_cases(choice(said, usage={"completion_tokens": 10**20})))

    [transcript] = answers(opened(server), asked()).values()

    assert (None, None) == (transcript.error, transcript.output_tokens)


def test_a_stream_whose_calls_are_numbered_oddly_is_read(server: FaultServer):
    function = {"name": "search", "arguments": "{}"}
    delta = {"tool_calls": [{"index": [1], "function": function}]}
    end = {"choices": [{"delta": delta, "finish_reason": "tool_calls"}]}
    server.faults.append(only_cases(lambda request: request.stream([end])))
    backend = opened(server)

    [transcript] = backend.answer_alone(asked(), GENERATION)
    backend.close()

    assert transcript.message is not None
    assert [{"function": function}] == transcript.message["tool_calls"]


def test_a_stream_that_says_why_it_ended_is_whole(server: FaultServer):
    """
    `transformers serve` sends no ``[DONE]``.
    """
    end = {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}
    server.faults.append(only_cases(lambda request: request.stream([end], done=False)))
    backend = opened(server)

    [transcript] = backend.answer_alone(asked(), GENERATION)
    backend.close()

    assert transcript.message is not None
    assert "hi" == transcript.message["content"]


STREAM_FAULTS: dict[str, tuple[Any, str]] = {
    "cut off": (
        lambda r: r.stream([{"choices": [{"delta": {"content": "x"}}]}], done=False),
        "ended its stream before the answer had ended",
    ),
    "done too soon": (
        lambda r: r.stream([{"choices": [{"delta": {"content": "x"}}]}]),
        "the server ended its stream before the answer had ended",
    ),
    "an error": (
        lambda r: r.stream([{"error": {"message": "died"}}]),
        "the server streamed an error: died",
    ),
    "not JSON": (
        lambda r: r.raw(b"data: {x\n\ndata: [DONE]\n\n", kind="text/event-stream"),
        "streamed what is not valid JSON",
    ),
    "not an object": (lambda r: r.stream([1]), "streamed JSON that is not an object"),
}


@pytest.mark.parametrize("name", STREAM_FAULTS)
def test_fault_of_a_stream(server: FaultServer, name: str):
    act, message = STREAM_FAULTS[name]
    server.faults.append(only_cases(act))
    backend = opened(server)

    [transcript] = backend.answer_alone(asked(), GENERATION)
    backend.close()

    assert message in str(transcript.error)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_a_failure_that_may_pass_is_tried_again(server: FaultServer, status: int):
    failures = [status] * 4

    def fails(request: Asked) -> bool:
        if request.asks and failures:
            request.send({}, failures.pop())
            return True
        return False

    server.faults.append(fails)
    [transcript] = answers(opened(server), asked()).values()

    assert transcript.error is None
    assert 5 == len(server.answered)


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refusal_is_not_tried_again(server: FaultServer, status: int):
    server.faults.append(only_cases(lambda request: request.send({}, status)))

    error_of(server)

    assert 1 == len(server.answered)


def test_retry_after_is_obeyed(server: FaultServer):
    times: list[float] = []

    def busy(request: Asked) -> bool:
        if not request.asks:
            return False
        times.append(time.monotonic())
        if len(times) == 1:
            request.send({}, 429, Retry_After="0.4")
            return True
        return False

    server.faults.append(busy)
    answers(opened(server), asked())

    assert 0.4 <= times[1] - times[0]


def test_arguments_that_are_not_json_are_malformed_not_an_error(server: FaultServer):
    call = {"function": {"name": "search", "arguments": '{"query": '}}
    server.faults.append(only_cases(lambda request: request.chat(content=None, tool_calls=[call])))

    [transcript] = answers(opened(server), asked()).values()

    assert transcript.error is None
    assert transcript.message is not None
    assert '{"query": ' == transcript.message["tool_calls"][0]["function"]["arguments"]


def test_a_closed_backend_does_not_wait_for_a_silent_server(server: FaultServer):
    server.faults.append(only_cases(lambda request: time.sleep(5)))
    backend = opened(server)
    running = backend.answer(asked(4), GENERATION)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("harness.backends.served.backend.wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            next(running)
    began = time.monotonic()
    backend.close()

    assert time.monotonic() - began < 2


# Several servers of one model


def test_a_server_that_fails_three_times_is_set_aside(server: FaultServer):
    said: list[str] = []
    with fault_server(only_cases(lambda request: request.send({}, 500))) as broken:
        reference = f"openai:cand@{broken.url},{server.url}"
        backend = open_backend(reference, BackendOptions(concurrency=2, notify=said.append))
        found = answers(backend, asked(20))

        assert all(transcript.error is None for transcript in found.values())
        assert [f"{broken.url} is set aside: it failed 3 times in a row"] == said
        assert len(broken.answered) < 6


@pytest.mark.parametrize(
    "act",
    [
        lambda r: r.send({}, 404),
        lambda r: r.send({}, 401),
        lambda r: r.raw(b"<html>", kind="text/html"),
        lambda r: r.send({"id": 1}),
        lambda r: r.send({"error": "out of memory"}),
        lambda r: time.sleep(0.6),
    ],
    ids=["not found", "unauthorized", "a web page", "no choices", "an error", "silence"],
)
def test_a_server_that_answers_nothing_is_set_aside(server: FaultServer, act: Any):
    said: list[str] = []
    with fault_server(only_cases(act)) as broken:
        reference = f"openai:cand@{broken.url},{server.url}"
        options = BackendOptions(concurrency=1, request_timeout=0.5, notify=said.append)
        answers(open_backend(reference, options), asked(20))

        assert [f"{broken.url} is set aside: it failed 3 times in a row"] == said
        assert 3 == len(broken.answered)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_server_that_refuses_requests_is_not_set_aside(server: FaultServer, status: int):
    said: list[str] = []
    with fault_server(only_cases(lambda request: request.send({}, status))) as other:
        reference = f"openai:cand@{other.url},{server.url}"
        answers(open_backend(reference, BackendOptions(notify=said.append)), asked(20))

    assert [] == said


def test_work_goes_to_the_server_with_the_least_of_it(server: FaultServer):
    with fault_server(only_cases(lambda request: time.sleep(0.3) or request.answer())) as slow:
        backend = open_backend(
            f"openai:cand@{slow.url},{server.url}", BackendOptions(concurrency=4)
        )
        answers(backend, asked(30))

        assert len(slow.answered) * 3 < len(server.answered)


def test_a_field_that_one_of_several_servers_refuses_is_sent_to_none(server: FaultServer):
    with fault_server(refuses("top_k")) as other:
        backend = open_backend(f"openai:cand@{server.url},{other.url}", BackendOptions())
        found = answers(backend, asked(20))

        assert all(each.error is None for each in found.values())
        assert ["top_k"] == backend.describe()["server"]["refused"]
        assert not any("top_k" in body for body in [*server.answered, *other.answered])


@pytest.mark.parametrize("fingerprint", ["fp-2", None])
def test_servers_whose_answers_are_not_alike_are_refused(
    server: FaultServer, fingerprint: str | None
):
    for order in (1, -1):
        with fault_server() as other:
            other.fingerprint = fingerprint
            urls = ",".join([server.url, other.url][::order])
            if fingerprint is None and order == 1:
                open_backend(f"openai:cand@{urls}", BackendOptions()).close()
                continue
            with pytest.raises(BackendError, match=r"are not the same: .*system_fingerprint"):
                open_backend(f"openai:cand@{urls}", BackendOptions())


def test_servers_that_are_not_alike_are_refused(server: FaultServer):
    with fault_server() as other:
        other.pages["/version"] = {"version": "0.9"}
        with pytest.raises(BackendError, match=r"are not the same: version 0\.32\.0 and 0\.9"):
            open_backend(f"openai:cand@{server.url},{other.url}", BackendOptions())


# What is never told


CANARY = "sk-canary-7f3a91"


def test_a_key_goes_to_its_server_and_nowhere_else(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SERVED_KEY", CANARY)
    said: list[str] = []
    with fault_server() as other:
        where = other.url + "/chat/completions"
        server.faults.append(only_cases(lambda r: r.send({}, 307, Location=where)))
        backend = opened(server, api_key_env="SERVED_KEY", notify=said.append)
        [transcript] = answers(backend, asked()).values()

        assert transcript.error is None
        assert all(f"Bearer {CANARY}" == each[2]["Authorization"] for each in server.seen)
        assert other.seen
        assert all("Authorization" not in headers for *_, headers in other.seen)
    everything = [repr(backend.__dict__), repr(transcript), json.dumps(backend.describe()), *said]
    assert not any(CANARY in text for text in everything)


@pytest.mark.parametrize(
    "act",
    [
        lambda r: r.send({"error": f"no such key {CANARY}"}, 401),
        lambda r: r.send({"error": f"no such key {CANARY}"}, 500),
        lambda r: r.raw(f"<html>{CANARY}".encode(), kind="text/html"),
        lambda r: r.raw(f"{{{CANARY}".encode()),
        lambda r: r.send({"error": {"message": CANARY}}),
        lambda r: r.chat(content=f"your key is {CANARY}"),
        lambda r: r.stream(
            [{"choices": [{"delta": {"content": CANARY}, "finish_reason": "stop"}]}]
        ),
        lambda r: r.stream(
            [
                {"choices": [{"delta": {"content": CANARY[:5]}}]},
                {"choices": [{"delta": {"content": CANARY[5:]}, "finish_reason": "stop"}]},
            ]
        ),
        lambda r: r.send({}, 307, Location=f"http://127.0.0.1:1/{CANARY}"),
        lambda r: r.send({}, 307, Location=f"ftp://h/{CANARY}"),
        cut,
    ],
)
def test_a_key_that_a_server_repeats_is_not_kept(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, act: Any
):
    monkeypatch.setenv("SERVED_KEY", CANARY)
    server.faults.append(only_cases(act))
    said: list[str] = []
    backend = opened(server, api_key_env="SERVED_KEY", notify=said.append)

    streamed = list(backend.answer_alone(asked(), GENERATION))
    found = answers(backend, asked())

    assert CANARY not in repr([streamed, found, said])


@pytest.mark.parametrize("value", [CANARY, f"{CANARY} käse"])
def test_a_key_is_in_no_traceback_that_shows_variables(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, value: str
):
    monkeypatch.setenv("SERVED_KEY", value)
    server.faults.append(lambda r: r.body is not None and not r.send({"error": CANARY}, 401))

    with pytest.raises(HarnessError) as caught:
        opened(server, api_key_env="SERVED_KEY")
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)

    # This test names the key itself.
    ours = [frame for frame in told.stack if "/harness/" in frame.filename]
    assert ours
    assert CANARY not in str([frame.locals for frame in ours]) + str(caught.value)


@pytest.mark.parametrize("key", ["test", "none", "null", "EMPTY", "1700", "stop", "content"])
def test_a_key_that_is_a_word_changes_no_answer(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, key: str
):
    said = f"The {key} of 1700 tests"
    server.faults.append(only_cases(lambda request: request.chat(content=said)))
    [plain] = answers(opened(server), asked()).values()
    monkeypatch.setenv("SERVED_KEY", key)
    backend = opened(server, api_key_env="SERVED_KEY")
    streamed = list(backend.answer_alone(asked(), GENERATION))
    [with_key] = answers(backend, asked()).values()

    assert plain == with_key
    assert [plain.message] == [each.message for each in streamed]


@pytest.mark.parametrize("key", ["sk/abcdef", "sk/abcdef-0123456789"])
def test_a_key_in_an_error_is_removed_however_it_is_written(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, key: str
):
    monkeypatch.setenv("SERVED_KEY", key)
    body = json.dumps({"error": {"message": f"bad key {key}"}}).replace("/", "\\/").encode()
    server.faults.append(
        only_cases(lambda r: r.raw(body, status=200 if r.question.endswith("0") else 401))
    )
    found = answers(opened(server, api_key_env="SERVED_KEY"), asked(2))

    assert 2 == sum("bad key [key]" in str(each.error) for each in found.values())


@pytest.mark.parametrize("value", ["", "two\nlines", "käse-käse", "abc"])
def test_a_key_that_cannot_be_one_is_refused_unseen(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, value: str
):
    monkeypatch.setenv("SERVED_KEY", value)

    with pytest.raises(UsageError, match="--api-key-env SERVED_KEY") as caught:
        opened(server, api_key_env="SERVED_KEY")

    assert value == "" or value not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{CANARY}@host/v1",
        f"http://{CANARY}@host/v1",
        f"http://host/v1?key={CANARY}",
        f"http://host/v1#{CANARY}",
        f"http://host/v1,http://x:{CANARY}@host/v1",
    ],
)
def test_a_url_that_holds_a_secret_is_refused_without_repeating_it(url: str):
    with pytest.raises(UsageError, match="--api-key-env") as caught:
        open_backend(f"openai:cand@{url}", BackendOptions())

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "reference",
    [
        f"http://me:{CANARY}@host/v1",
        f"openai:http://me:{CANARY}@host/v1",
        f"openai:http://{CANARY}@http://host/v1",
        f"completions:https://host/{CANARY}",
        f"vllm:openai:cand@https://me:{CANARY}@host/v1",
        f"hf:https://me:{CANARY}@host/v1",
        f"openai:{CANARY}@host/v1",
    ],
)
def test_a_misspelled_reference_is_not_repeated(reference: str):
    with pytest.raises(UsageError) as caught:
        open_backend(reference, BackendOptions())

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "reference",
    ["openai:cand", "openai:cand@localhost", "completions:m@ftp://h", "openai:m@http://"],
)
def test_a_reference_without_a_url_says_how_it_is_written(reference: str):
    with pytest.raises(UsageError, match=r"MODEL@URL|begins with http"):
        open_backend(reference, BackendOptions())


def test_a_server_with_an_untrusted_certificate_is_asked_nothing(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SERVED_KEY", CANARY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parent / "self_signed.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http://", "https://")

    with pytest.raises(BackendError, match="has no TLS certificate that can be verified: "):
        open_backend(f"openai:cand@{url}", BackendOptions(api_key_env="SERVED_KEY"))
    assert [] == server.seen


# Raw completions


def raw(server: FaultServer, tokenizer: Path, **options: Any) -> Backend:
    return open_backend(
        f"completions:cand@{server.url}", BackendOptions(tokenizer=str(tokenizer), **options)
    )


def test_a_raw_prompt_is_sent_as_token_ids(server: FaultServer, tiny_model: Path):
    backend = raw(server, tiny_model)
    [transcript] = answers(backend, asked()).values()

    [body] = server.answered
    assert isinstance(body["prompt"], list)
    assert transcript.output == f"echo {len(str(body['prompt']))}"
    assert {
        "model": "cand",
        "system_fingerprint": "fp-1",
        "usage": {"prompt_tokens": len(body["prompt"]), "completion_tokens": 3},
        "choices": [{"index": 0, "finish_reason": "stop"}],
    } == transcript.response
    assert transcript == Transcript.from_row(transcript.to_json())
    assert ["<|endoftext|>", "<|im_end|>"] == body["stop"]
    assert [0, 2] == body["stop_token_ids"]
    assert body["skip_special_tokens"] is False
    assert "token ids" == backend.describe()["server"]["prompt"]
    assert "hermes" == backend.checkpoint.dialect
    assert backend.checkpoint.template is not None
    assert backend.checkpoint.weights is None


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "prompt must be a string"),
        (500, "2 validation errors: {'loc': ('prompt',), 'msg': 'Input should be a valid string'}"),
    ],
)
def test_a_server_that_takes_no_token_ids_gets_text(
    server: FaultServer, tiny_model: Path, status: int, said: str
):
    def only_text(request: Asked) -> bool:
        if request.body is not None and isinstance(request.body["prompt"], list):
            request.send({"error": {"message": said}}, status)
            return True
        return False

    server.faults.append(only_text)
    backend = raw(server, tiny_model)
    answers(backend, asked())

    [body] = server.answered
    assert body["prompt"].endswith("<|im_start|>assistant\n")
    assert "question 0" in body["prompt"]
    assert "text" == backend.describe()["server"]["prompt"]


@pytest.mark.parametrize("status", [401, 413, 500])
def test_a_server_that_fails_is_not_asked_with_text_instead(
    server: FaultServer, tiny_model: Path, status: int
):
    def fails(request: Asked) -> bool:
        if request.body is not None and isinstance(request.body["prompt"], list):
            request.send({"error": "no"}, status, Retry_After="0")
            return True
        return False

    server.faults.append(fails)

    with pytest.raises(BackendError, match=f"HTTP {status}: no"):
        raw(server, tiny_model)


def test_an_adapter_without_tokenizer_has_its_bases(
    server: FaultServer, tiny_model: Path, tmp_path: Path
):
    config = {"base_model_name_or_path": str(tiny_model)}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    backend = raw(server, tmp_path)
    plain = raw(server, tiny_model)

    assert plain.checkpoint.tokenizer == backend.checkpoint.tokenizer
    assert plain.checkpoint.template == backend.checkpoint.template
    for each in (backend, plain):
        each.close()


def test_an_adapter_with_a_tokenizer_needs_no_base(
    server: FaultServer, tiny_model: Path, tmp_path: Path
):
    config = {"base_model_name_or_path": str(tmp_path / "on-another-machine")}
    for file in tiny_model.iterdir():
        if file.suffix in (".json", ".jinja") and "generation" not in file.name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    said: list[str] = []
    raw(server, tmp_path, notify=said.append).close()

    assert said[0].startswith("note: the adapter's own tokenizer is used, without settings of its")


def test_token_ids_of_an_answer_are_decoded_here(server: FaultServer, tiny_model: Path):
    def with_ids(request: Asked) -> bool:
        if not request.asks:
            return False
        read = len(request.body["prompt"])
        chosen = {"text": "", "token_ids": [70, 71, 2], "finish_reason": "stop"}
        request.choose(chosen, read=read)
        return True

    server.faults.append(with_ids)
    [transcript] = answers(raw(server, tiny_model), asked()).values()

    assert transcript.output is not None
    assert transcript.output.endswith("<|im_end|>")
    assert 3 == transcript.output_tokens


def test_fault_a_raw_answer_that_was_given_up(server: FaultServer, tiny_model: Path):
    given_up = {"text": "", "token_ids": [70, 71], "finish_reason": "abort"}
    server.faults.append(only_cases(lambda r: r.choose(given_up, read=len(r.body["prompt"]))))

    [transcript] = answers(raw(server, tiny_model), asked()).values()

    assert "the answer was broken off: finish_reason abort" in str(transcript.error)


def test_fault_a_cut_prompt(server: FaultServer, tiny_model: Path):
    server.faults.append(
        only_cases(lambda r: r.choose({"text": "x", "finish_reason": "stop"}, read=7))
    )

    [transcript] = answers(raw(server, tiny_model), asked()).values()

    assert "the server read 7 tokens of a prompt of " in str(transcript.error)


def test_fault_another_tokenizer(server: FaultServer, tiny_model: Path):
    def more(request: Asked) -> bool:
        if request.body is None:
            return False
        request.choose({"text": "x", "finish_reason": "stop"}, read=len(request.body["prompt"]) + 1)
        return True

    server.faults.append(more)
    with pytest.raises(BackendError, match=r"by --tokenizer: it has another tokenizer"):
        raw(server, tiny_model)


def test_raw_completions_need_a_tokenizer(server: FaultServer):
    with pytest.raises(UsageError, match="--tokenizer REF"):
        open_backend(f"completions:cand@{server.url}", BackendOptions())


@pytest.mark.parametrize("option", ["tokenizer", "concurrency", "api_key_env", "request_timeout"])
def test_what_only_servers_have_is_refused_elsewhere(option: str):
    value: Any = 3 if option in ("concurrency", "request_timeout") else "x"

    with pytest.raises(HarnessError, match=rf"--{option.replace('_', '-')} is for a model behind"):
        open_backend("replay:x", BackendOptions(**{option: value}))
