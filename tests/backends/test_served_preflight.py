"""
What a server does in silence is found before anything is judged, and the cure is named.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.backends.base import BackendOptions, Finding, Preflighted, Request
from harness.backends.registry import open_backend
from harness.errors import BackendError
from harness.messages import Message, Tool
from harness.transcript import Key

from .fault_server import Asked, FaultServer, count, fault_server

SEARCH = Tool.from_schema(
    {"name": "search", "parameters": {"type": "object", "properties": {"query": {}}}}
)


def asked(text: str) -> Request:
    return Request(
        key=Key(text[:9]), messages=(Message(role="user", content=text),), tools=(SEARCH,)
    )


CASES = [asked("short"), asked("long " * 200), *(asked(f"other {number}") for number in range(9))]

ARGUMENTS = {
    "current_time": "{}",
    "set_alarm": '{"time": {"hour": 7, "minute": 30}, "days": ["Monday"]}',
}


def calling(body: Mapping[str, Any]) -> dict[str, Any]:
    """
    Call the tool that is asked for.
    """
    if not body.get("tools"):
        return {"content": "four"}
    name = body["tools"][0]["function"]["name"]
    call = {"name": name, "arguments": ARGUMENTS.get(name, '{"query": "x"}')}
    return {
        "content": None,
        "tool_calls": [{"id": "call00001", "type": "function", "function": call}],
    }


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server() as running:
        running.model = calling
        yield running


def found(server: FaultServer, requests: list[Request] = CASES) -> dict[str, Finding]:
    backend = open_backend(f"openai:cand@{server.url}", BackendOptions())
    assert isinstance(backend, Preflighted)
    checked = {each.what: each for each in backend.preflight(requests)}
    backend.close()
    return checked


def test_nothing_is_found_with_a_server_that_works(server: FaultServer):
    checked = found(server)

    assert {
        "context",
        "tool declarations",
        "call without arguments",
        "call with nested arguments",
        "same answer",
        "default sampling",
    } == set(checked)
    assert not any(each.broken for each in checked.values())
    assert "arrives: current_time {}" == checked["call without arguments"].finding
    assert "yes: 5 times alone and 5 among 8 others" == checked["same answer"].finding
    assert "greedy, as far as one prompt shows" == checked["default sampling"].finding


def test_without_cases_the_server_is_checked_by_questions_of_its_own(server: FaultServer):
    checked = found(server, [])

    assert "context" not in checked
    assert "call with nested arguments" in checked


KINDS: list[tuple[dict[str, Any], str]] = [
    ({"/version": {"version": "1"}}, "start vLLM with --chat-template FILE"),
    ({"/props": {"default_generation_settings": {}}}, "start llama-server with --jinja"),
    ({"/api/version": {"version": "1"}}, "give its Modelfile a TEMPLATE that shows .Tools"),
    ({}, "give the server a chat template that shows them"),
]


@pytest.mark.parametrize(("pages", "cure"), KINDS)
def test_fault_tools_dropped(server: FaultServer, pages: dict[str, Any], cure: str):
    server.pages = pages
    server.count = lambda body: count({**body, "tools": None})
    finding = found(server)["tool declarations"]

    assert finding.broken
    assert finding.finding.startswith("the server drops them: a prompt has ")
    assert cure in finding.finding


def test_fault_context_cut(server: FaultServer):
    server.count = lambda body: min(count(body), 100)
    finding = found(server)["context"]

    assert finding.broken
    assert (
        "the server cuts prompts: the longest case has 100 tokens, and 100 with 64 words more; "
        "start vLLM with a larger --max-model-len"
    ) == finding.finding


def test_fault_context_refused(server: FaultServer):
    def too_long(request: Asked) -> bool:
        if request.body is not None and count(request.body) > 350:
            request.send({"error": "maximum context length is 350"}, 400)
            return True
        return False

    server.faults.append(too_long)
    finding = found(server)["context"]

    assert finding.broken
    assert "the longest case does not fit with 64 words more: " in finding.finding
    assert "maximum context length is 350; start vLLM with a larger" in finding.finding


@pytest.mark.parametrize(
    ("more", "broken", "said"),
    [
        (0, False, "the longest case is read whole: "),
        (-9, True, "its template leaves something out, or it cuts prompts; start vLLM with"),
        (9, False, "the longest case is read whole, but with 9 tokens more than by --tokenizer"),
    ],
)
def test_the_longest_case_is_counted_by_the_tokenizer_too(
    server: FaultServer, tiny_model: Path, more: int, broken: bool, said: str
):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def tokens(body: Mapping[str, Any]) -> int:
        encoded = tokenizer.apply_chat_template(
            body["messages"], tools=body.get("tools"), add_generation_prompt=True, return_dict=True
        )
        return len(encoded["input_ids"]) + more

    server.count = tokens
    options = BackendOptions(tokenizer=str(tiny_model))
    backend = open_backend(f"openai:cand@{server.url}", options)
    assert isinstance(backend, Preflighted)
    [finding] = [each for each in backend.preflight(CASES) if each.what == "context"]
    backend.close()

    assert broken is finding.broken
    assert said in finding.finding


@pytest.mark.parametrize("status", [404, 503])
def test_a_failure_while_the_context_is_checked_is_no_refusal(server: FaultServer, status: int):
    def fails(request: Asked) -> bool:
        if request.body is not None and "again again" in request.question:
            request.send({"error": "no luck"}, status, Retry_After="0")
            return True
        return False

    server.faults.append(fails)
    finding = found(server)["context"]

    assert not finding.broken
    assert finding.finding.startswith("unknown: ")


def test_each_of_several_servers_is_checked(server: FaultServer):
    with fault_server() as other:
        other.model = calling
        other.count = lambda body: count({**body, "tools": None})
        backend = open_backend(f"openai:cand@{server.url},{other.url}", BackendOptions())
        assert isinstance(backend, Preflighted)
        broken = [each.what for each in backend.preflight(CASES) if each.broken]
        backend.close()

        assert [f"tool declarations of {other.url}"] == broken


def test_a_server_that_counts_nothing_is_unknown_not_broken(server: FaultServer):
    server.count = lambda body: None  # type: ignore[assignment,return-value]
    checked = found(server)

    for what in ("context", "tool declarations"):
        assert "unknown: the server counts no prompt_tokens" == checked[what].finding
        assert not checked[what].broken


@pytest.mark.parametrize(
    ("pages", "status", "said", "cure"),
    [
        (
            {"/version": {"version": "1"}},
            400,
            '"auto" tool choice requires a parser to be set',
            "start vLLM with --enable-auto-tool-choice and the --tool-call-parser of the family",
        ),
        (
            {"/props": {"default_generation_settings": {}}},
            500,
            "tools param requires --jinja flag",
            "start llama-server with --jinja",
        ),
        (
            {"/api/version": {"version": "1"}},
            400,
            "registry.ollama.ai/library/cand does not support tools",
            "use a model whose TEMPLATE calls tools",
        ),
    ],
)
def test_fault_tools_refused(
    server: FaultServer, pages: dict[str, Any], status: int, said: str, cure: str
):
    def refuses(request: Asked) -> bool:
        if request.body is not None and request.body.get("tool_choice") == "auto":
            request.send({"message": said}, status, Retry_After="0")
            return True
        return False

    server.pages = pages
    server.faults.append(refuses)
    with pytest.raises(BackendError, match=f"{re.escape(said)}.*; {re.escape(cure)}"):
        found(server)


def loses(how: Callable[[dict[str, Any]], Any], *, streamed: bool) -> Callable[[Asked], bool]:
    """
    Let the parser do *how* to the message of a call, when it streams or when it does not.
    """

    def fault(request: Asked) -> bool:
        if not request.body or not request.body.get("tools"):
            return False
        if bool(request.body.get("stream")) is not streamed:
            return False
        message = request.server.model(request.body)
        changed = how(message)
        request.chat(**changed)
        return True

    return fault


def without_empty_calls(message: dict[str, Any]) -> dict[str, Any]:
    calls = [each for each in message["tool_calls"] if each["function"]["arguments"] != "{}"]
    return {"content": None, "tool_calls": calls}


def flattened(message: dict[str, Any]) -> dict[str, Any]:
    """
    Lose what is nested, as a parser by regular expressions does.
    """
    [call] = message["tool_calls"]
    function = call["function"]
    if function["name"] == "set_alarm":
        function = {**function, "arguments": '{"days": []}'}
    return {"content": None, "tool_calls": [{**call, "function": function}]}


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("how", "what"),
    [
        (without_empty_calls, "call without arguments"),
        (flattened, "call with nested arguments"),
    ],
)
def test_fault_a_parser_loses_a_call(
    server: FaultServer, how: Callable[[dict[str, Any]], Any], what: str, streamed: bool
):
    server.faults.append(loses(how, streamed=streamed))
    checked = found(server)

    assert [what] == [name for name, each in checked.items() if each.broken]
    assert "the server's parser loses it" in checked[what].finding


def test_fault_empty_arguments(server: FaultServer):
    def emptied(message: dict[str, Any]) -> dict[str, Any]:
        [call] = message["tool_calls"]
        function = {**call["function"], "arguments": ""}
        return {"content": None, "tool_calls": [{**call, "function": function}]}

    server.faults += [loses(emptied, streamed=True), loses(emptied, streamed=False)]
    finding = found(server)["call without arguments"]

    assert finding.broken
    assert (
        "its arguments do not arrive as an object: current_time (the arguments are empty"
        in finding.finding
    )


def test_fault_a_call_left_in_the_text(server: FaultServer):
    def unread(message: dict[str, Any]) -> dict[str, Any]:
        [call] = message["tool_calls"]
        return {"content": f"<tool_call>{json.dumps(call['function'])}</tool_call>"}

    server.faults += [loses(unread, streamed=True), loses(unread, streamed=False)]
    finding = found(server)["call without arguments"]

    assert finding.broken
    assert "the server left a call in the text; start vLLM with --enable-auto" in finding.finding


def test_a_model_that_does_not_call_shows_nothing(server: FaultServer):
    server.model = lambda body: {"content": "I do not know."}
    finding = found(server)["call without arguments"]

    assert not finding.broken
    assert finding.finding.startswith("unknown: ")


def test_a_model_that_answers_otherwise_when_asked_again_shows_nothing(server: FaultServer):
    number = itertools.count()
    server.model = lambda body: calling(body) if next(number) % 2 else {"content": "I do not know."}
    finding = found(server)["call without arguments"]

    assert not finding.broken
    assert "unknown: the model answers otherwise when asked again" == finding.finding


@pytest.mark.parametrize(
    "said",
    [
        "You can use current_time(now) or set_alarm {x}.",
        "The tool current_time (without arguments) tells it, as {this} does.",
    ],
)
def test_text_that_talks_about_a_tool_is_not_a_call_left_in_it(server: FaultServer, said: str):
    server.model = lambda body: {"content": said}

    assert not any(each.broken for each in found(server).values())


def test_fault_answers_that_depend_on_others(server: FaultServer):
    flying = itertools.count()
    here: list[int] = []

    def crowded(request: Asked) -> bool:
        if request.body is None or request.question != "short":
            # The others of a crowd are on their way before its first is answered.
            here.append(next(flying))
            return False
        if len(here) > 16 and "temperature" in request.body:
            request.chat(content="another")
            return True
        return False

    server.faults.append(crowded)
    finding = found(server)["same answer"]

    assert not finding.broken
    assert "differ among 8 others" in finding.finding
    assert "VLLM_BATCH_INVARIANT=1" in finding.finding


def test_fault_answers_that_change(server: FaultServer):
    number = itertools.count()

    def drifts(request: Asked) -> bool:
        if request.body is None or request.body["messages"][-1]["content"] != "short":
            return False
        request.chat(content=f"answer {next(number)}")
        return True

    server.faults.append(drifts)

    assert "no: 5 different answers to one prompt asked 5 times alone" in (
        found(server)["same answer"].finding
    )


def test_fault_default_sampling(server: FaultServer):
    number = itertools.count()

    def samples(request: Asked) -> bool:
        if request.body is None or "temperature" in request.body:
            return False
        request.chat(content=f"answer {next(number)}")
        return True

    server.faults.append(samples)
    finding = found(server)["default sampling"]

    assert not finding.broken
    assert "not greedy: 5 of 5 answers differ" in finding.finding
    assert "--generation-config vllm" in finding.finding


def test_a_check_that_is_not_answered_finds_nothing(server: FaultServer):
    def refuses(request: Asked) -> bool:
        if request.body is not None and request.question == "short":
            request.send({"error": "not this one"}, 400)
            return True
        return False

    server.faults.append(refuses)
    checked = found(server)

    assert checked["same answer"].finding.endswith("HTTP 400: not this one")
    assert checked["same answer"].finding.startswith("unknown: ")
    assert not any(each.broken for each in checked.values())
