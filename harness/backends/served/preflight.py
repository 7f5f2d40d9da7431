"""
What goes wrong with served tool calls in silence, looked for before anything is judged.

Each finding that is broken is one sentence and names the setting of the server that cures it; the
facts behind them are in docs/served.md.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from harness.backends.base import Finding, Stability
from harness.backends.served.answers import (
    choice_of,
    finish_reason,
    starts_answer,
    usage,
    whole,
)
from harness.backends.served.client import Client, Reply, RequestError
from harness.dialects.base import Attempt
from harness.dialects.native import NATIVE
from harness.dialects.readers.lost import is_lost
from harness.dialects.reading import read
from harness.messages import Tool
from harness.transcript import Key, Transcript

ALONE, OTHERS = 5, 8
"""How often one prompt is asked alone and among others, and how many others there are."""

_TOO_LONG = (400, 413, 422)
# What servers refuse a prompt with that is too long.
_FILLER = 64
# Words put in front of the longest case: a server that cuts prompts reads none of them.

_TEMPLATE = {
    "vllm": "start vLLM with --chat-template FILE that shows them",
    "sglang": "start SGLang with --chat-template FILE that shows them",
    "llama.cpp": "start llama-server with --jinja and, if need be, --chat-template-file FILE",
    "ollama": "give its Modelfile a TEMPLATE that shows .Tools",
    "tgi": "give the model's tokenizer_config.json a chat_template that shows them",
    "transformers serve": "give the model a chat_template.jinja that shows them",
}
_OWN_TEMPLATE = {
    "vllm": ": --chat-template FILE",
    "sglang": ": --chat-template FILE",
    "llama.cpp": ": --jinja --chat-template-file FILE",
    "ollama": ": TEMPLATE in its Modelfile",
}
_CONTEXT = {
    "vllm": "start vLLM with a larger --max-model-len",
    "sglang": "start SGLang with a larger --context-length",
    "llama.cpp": "start llama-server with a larger -c, or a smaller -np if it has several slots",
    "ollama": "set OLLAMA_CONTEXT_LENGTH, or num_ctx in its Modelfile",
    "tgi": "start TGI with larger --max-input-tokens and --max-total-tokens",
}
_PARSER = {
    "vllm": "start vLLM with --enable-auto-tool-choice and the --tool-call-parser of the family",
    "sglang": "start SGLang with the --tool-call-parser of the family",
    "llama.cpp": "start llama-server with --jinja",
    "ollama": "use a model whose TEMPLATE calls tools",
    "transformers serve": "declare how the model calls as response_template of its tokenizer",
}
_BATCH = {
    "vllm": "VLLM_BATCH_INVARIANT=1 makes vLLM's answers independent of it",
    "sglang": "--enable-deterministic-inference makes SGLang's answers independent of it",
}
_DEFAULTS = {
    "vllm": "--generation-config vllm leaves out those of the checkpoint",
    "sglang": "--sampling-defaults openai leaves out those of the checkpoint",
    "ollama": "PARAMETER temperature 0 in its Modelfile changes them",
}


def cures(kind: str) -> dict[str, str]:
    """
    Return what to do about each part of a server of *kind* that loses answers.
    """
    return {
        "template": f"give it the chat template of --tokenizer{_OWN_TEMPLATE.get(kind, '')}",
        "parser": parser_hint(kind),
        "sampling": "; ".join(
            each for table in (_DEFAULTS, _BATCH) if (each := table.get(kind)) is not None
        )
        or "`harness aa` measures how often the same prompt is answered otherwise",
    }


def parser_hint(kind: str) -> str:
    """
    Return how a server of *kind* is made to read tool calls.
    """
    return _PARSER.get(kind, "turn on its tool calls and choose the parser of the model's family")


def tools_are_read(ask: "Ask", request: Mapping[str, Any], kind: str) -> Finding:
    """
    Find out whether declared tools reach the model: they take tokens.
    """
    bare = {name: value for name, value in request.items() if name not in ("tools", "tool_choice")}
    with_tools, without = (usage(ask(each), "prompt_tokens") for each in (request, bare))
    what = "tool declarations"
    if with_tools is None or without is None:
        return Finding(what=what, finding="unknown: the server counts no prompt_tokens")
    if with_tools > without:
        return Finding(what=what, finding=f"shown: they take {with_tools - without} tokens")
    cure = _TEMPLATE.get(kind, "give the server a chat template that shows them")
    said = f"the server drops them: a prompt has {with_tools} tokens with and without; {cure}"
    return Finding(what=what, finding=said, broken=True)


def context_is_whole(
    ask: "Ask", longest: Mapping[str, Any], kind: str, expected: int | None
) -> Finding:
    """
    Find out whether the longest case is read whole: more text in it takes more tokens.
    """
    what = "context"
    cure = _CONTEXT.get(kind, "give the server a longer context")
    messages = [dict(row) for row in longest["messages"]]
    place = max(place for place, row in enumerate(messages) if row["role"] == "user")
    messages[place]["content"] = "again " * _FILLER + str(messages[place]["content"])
    try:
        plain, more = (
            usage(ask(each), "prompt_tokens")
            for each in (longest, {**longest, "messages": messages})
        )
    except RequestError as exc:
        if exc.status not in _TOO_LONG:
            raise
        said = f"the longest case does not fit with {_FILLER} words more: {exc}; {cure}"
        return Finding(what=what, finding=said, broken=True)
    if plain is None or more is None:
        return Finding(what=what, finding="unknown: the server counts no prompt_tokens")
    if more - plain < _FILLER // 2:
        said = (
            f"the server cuts prompts: the longest case has {plain} tokens, and {more} with "
            f"{_FILLER} words more; {cure}"
        )
        return Finding(what=what, finding=said, broken=True)
    if expected is not None and plain < expected:
        said = (
            f"the server reads {plain} tokens of the longest case, which has {expected} by "
            f"--tokenizer: its template leaves something out, or it cuts prompts; {cure}"
        )
        return Finding(what=what, finding=said, broken=True)
    if expected is not None and plain > expected:
        said = (
            f"the longest case is read whole, but with {plain - expected} tokens more than by "
            f"--tokenizer ({plain} and {expected}): the server's template adds something; `harness "
            "stack` measures what that costs"
        )
        return Finding(what=what, finding=said)
    return Finding(what=what, finding=f"the longest case is read whole: {plain} tokens")


def calls_arrive(
    ask: "Ask", stream: "Ask", request: Mapping[str, Any], what: str, kind: str
) -> Finding:
    """
    Find out whether a call arrives, in one piece and streamed. A model that does not call, or that
    answers otherwise when it is asked again, shows nothing.
    """
    tools = [Tool.from_schema(tool) for tool in request["tools"]]
    asked = [[_heard(each(request), tools) for _ in range(2)] for each in (ask, stream)]
    (plain, plain_again), (streamed, streamed_again) = asked
    if (plain, streamed) != (plain_again, streamed_again):
        return Finding(what=what, finding="unknown: the model answers otherwise when asked again")
    for how, found in (("", plain), ("streamed ", streamed)):
        if any(map(is_lost, found)):
            said = f"the server left a {how}call in the text; {parser_hint(kind)}"
            return Finding(what=what, finding=said, broken=True)
    if not plain and not streamed:
        return Finding(what=what, finding="unknown: the model does not call when asked to")
    if _shown(plain) != _shown(streamed):
        said = (
            f"it is {_shown(plain)} in one piece and {_shown(streamed)} streamed: the server's "
            f"parser loses it; {parser_hint(kind)}, of a version without this fault"
        )
        return Finding(what=what, finding=said, broken=True)
    if not all(attempt.readable for attempt in plain):
        said = f"its arguments do not arrive as an object: {_shown(plain)}; {parser_hint(kind)}"
        return Finding(what=what, finding=said, broken=True)
    return Finding(what=what, finding=f"arrives: {_shown(plain)}")


def _heard(body: Mapping[str, Any], tools: Sequence[Tool]) -> tuple[Attempt, ...]:
    """
    Return the calls in an answer, as the run would read them. Calls that the server says it sends,
    and does not, are none.
    """
    choice = choice_of(body)
    message = choice.get("message")
    transcript = Transcript(
        key=Key("preflight"),
        message=message if isinstance(message, Mapping) else {},
        finish_reason=finish_reason(choice),
    )
    return read(NATIVE, transcript, tools).attempts


def _shown(found: Sequence[Attempt]) -> str:
    return (
        ", ".join(
            f"{each.name} {json.dumps(each.arguments, sort_keys=True)}"
            if each.readable
            else f"{each.name} ({each.problem})"
            for each in found
        )
        or "nothing"
    )


def answers_are_stable(
    submit: "Submit", request: Mapping[str, Any], others: Sequence[Mapping[str, Any]], kind: str
) -> Finding:
    """
    Ask one prompt alone and among others: how far answers depend on what else is asked.
    """
    alone = [_answer(submit(request).result()) for _ in range(ALONE)]
    among: list[str] = []
    for _ in range(ALONE):
        futures = [submit(request), *(submit(each) for each in others)]
        among.append(_answer(futures[0].result()))
        for future in futures[1:]:
            future.exception()
    what = "same answer"
    differing = sum(answer != alone[0] for answer in (*alone, *among))
    stability = Stability(asked=len(alone) + len(among), differing=differing)
    if len(set(alone)) > 1:
        said = (
            f"no: {len(set(alone))} different answers to one prompt asked {ALONE} times alone; "
            "`harness aa` measures this noise"
        )
        return Finding(what=what, finding=said, stability=stability)
    apart = sum(answer != alone[0] for answer in among)
    if apart:
        cure = _BATCH.get(kind, "with --concurrency 1 they do not")
        said = (
            f"alone yes, but {apart} of {ALONE} differ among {len(others)} others: answers depend "
            f"on what else is asked; {cure}, and `harness aa` measures this noise"
        )
        return Finding(what=what, finding=said, stability=stability)
    said = f"yes: {ALONE} times alone and {ALONE} among {len(others)} others"
    return Finding(what=what, finding=said, stability=stability)


def defaults_are_greedy(
    submit: "Submit", request: Mapping[str, Any], settings: Sequence[str], kind: str
) -> Finding:
    """
    Ask one prompt without sampling settings: whoever sends none gets the server's.
    """
    greedy = _answer(submit(request).result())
    bare = {name: value for name, value in request.items() if name not in settings}
    apart = sum(_answer(submit(bare).result()) != greedy for _ in range(ALONE))
    what = "default sampling"
    if not apart:
        return Finding(what=what, finding="greedy, as far as one prompt shows")
    cure = _DEFAULTS.get(kind, "a run says its own in full")
    said = f"not greedy: {apart} of {ALONE} answers differ where a client says none; {cure}"
    return Finding(what=what, finding=said)


Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Posts a request and returns the body of its answer."""

Submit = Callable[[Mapping[str, Any]], "Future[Reply]"]


def asking(client: Client, path: str, url: str) -> tuple[Ask, Ask, Submit]:
    """
    Return how *path* of *url* is asked: for a whole answer, for a streamed one, and without
    waiting.
    """

    def submit(payload: Mapping[str, Any]) -> "Future[Reply]":
        return client.submit(path, payload, at=url)

    def ask(payload: Mapping[str, Any]) -> Mapping[str, Any]:
        return submit(payload).result().body

    def stream(payload: Mapping[str, Any]) -> Mapping[str, Any]:
        streamed = {**payload, "stream": True}
        reply = client.submit(path, streamed, starts=starts_answer, at=url).result()
        return reply.body if reply.pieces is None else client.clean(whole(reply.pieces))

    return ask, stream, submit


def tried(checks: Sequence[tuple[str, Callable[[], Finding]]]) -> Iterator[Finding]:
    """
    Yield what each check finds. One that the server does not answer finds nothing: the same request
    in the run is an error of its case.
    """
    for what, check in checks:
        try:
            yield check()
        except (RequestError, ValueError) as exc:
            yield Finding(what=what, finding=f"unknown: {exc}")


def _answer(reply: Reply) -> str:
    """
    Return what an answer says, to be compared with another.
    """
    choice = choice_of(reply.body)
    message = choice.get("message")
    if not isinstance(message, Mapping):
        return str(choice.get("text"))
    calls = message.get("tool_calls")
    # The ids of calls are new each time.
    called = [each.get("function") for each in calls or () if isinstance(each, Mapping)]
    return json.dumps([called, message.get("content")], sort_keys=True)
