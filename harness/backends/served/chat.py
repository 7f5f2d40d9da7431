"""
Chat completions: ``openai:MODEL@URL``.

The server's chat template, tool parser and special settings are part of what is measured: what it
answers is what a product gets. `completions` takes them out of the way.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from harness.backends.base import BackendOptions, Finding, Generation, Request
from harness.backends.served.answers import (
    around_answer,
    check_answered,
    choice_of,
    finish_reason,
    usage,
)
from harness.backends.served.backend import ServedBackend, sampling
from harness.backends.served.client import RequestError
from harness.backends.served.preflight import (
    asking,
    calls_arrive,
    context_is_whole,
    parser_hint,
    tools_are_read,
)
from harness.checkpoints.chat_template import (
    chat_template,
    conversation,
    knows_developer,
    render,
)
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.digests import tokenizer_digests
from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import Reference, parse_reference
from harness.dialects.registry import dialect, own_template
from harness.errors import BackendError
from harness.messages import Message
from harness.transcript import Key, Timing, Transcript, is_answer

_TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "current_time",
        "description": "Return the time.",
        "parameters": {"type": "object", "properties": {}},
    },
}


_NESTED: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "set_alarm",
        "description": "Set an alarm.",
        "parameters": {
            "type": "object",
            "properties": {
                "time": {
                    "type": "object",
                    "properties": {"hour": {"type": "integer"}, "minute": {"type": "integer"}},
                    "required": ["hour", "minute"],
                },
                "days": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["time", "days"],
        },
    },
}
_CALLS = (
    ("call without arguments", _TOOL, "What time is it? Call current_time."),
    ("call with nested arguments", _NESTED, "Set an alarm for 7:30 on Monday and Friday."),
)
_ONE = Generation(max_new_tokens=1)

DEVELOPER = "developer"


class ChatBackend(ServedBackend):
    """
    A model as its server's chat API shows it.
    """

    name = "openai"
    path = "/chat/completions"

    _developer = False
    _declares = True
    _tokenizer: Any = None
    _traces: Mapping[str, Any] = MappingProxyType({})

    def _opened(self, reference: Reference, options: BackendOptions) -> Checkpoint:
        self._declares = options.declares_tools
        self._traces = {"return_token_ids": True} if options.traced else {}
        template = self._identity.template
        known: dict[str, Any] = {}
        if options.tokenizer is not None:
            located = locate(
                parse_reference(options.tokenizer), weights=False, notify=options.notify
            )
            tokenizer = self._tokenizer = load_tokenizer(located)
            template = chat_template(tokenizer)
            known = {**tokenizer_digests(tokenizer), "extra": {"tokenizer_of": options.tokenizer}}
        self._developer = template is not None and knows_developer(template)
        spoken = dialect(options.dialect or "native")
        return Checkpoint(
            reference=str(reference),
            dialect=spoken.name,
            dialect_version=spoken.version,
            response_template=own_template(spoken),
            **known,
        )

    def _settle(self, options: BackendOptions) -> None:
        try:
            super()._settle(options)
        except RequestError as exc:
            if exc.status is None or not re.search(r"\btool", str(exc)):
                raise
            raise BackendError(f"{exc}; {parser_hint(self._identity.kind)}") from None
        if self._developer:
            self._settle_developer(options)

    def _settle_developer(self, options: BackendOptions) -> None:
        """
        Find out whether each server takes the role ``developer``, which the template knows:
        llama-cpp-python's takes none. It is sent as ``system`` then.
        """
        probe = self._probe()
        probe["messages"] = [{"role": DEVELOPER, "content": "Be brief."}, *probe["messages"]]
        payload = self._without_refused({**probe, **sampling(_ONE, None)})
        for url in self._urls:
            try:
                self._client.submit(self.path, payload, at=url).result()
            except RequestError as exc:
                # Any other failure is that of the cases, if it stays.
                if exc.status is not None and DEVELOPER in str(exc):
                    self._developer = False
                    self._refused = (*self._refused, DEVELOPER)
                    options.notify(f"the server refuses the role {DEVELOPER}: sent as system")
                    return

    def _checks(
        self, requests: Sequence[Request], url: str
    ) -> list[tuple[str, Callable[[], Finding]]]:
        ask, stream, _ = asking(self._client, self.path, url)
        kind = self._identity.kind
        checks = super()._checks(requests, url)
        if any(request.tools for request in requests) or (not requests and self._declares):
            probe = self._without_refused({**self._probe(), **sampling(_ONE, None)})
            calls = [
                (what, partial(calls_arrive, ask, stream, self._call(tool, words), what, kind))
                for what, tool, words in _CALLS
            ]
            declared = ("tool declarations", partial(tools_are_read, ask, probe, kind))
            checks = [declared, *calls, *checks]
        if requests:
            longest = max(requests, key=_size)
            payload = self._payload(longest, _ONE)
            if not isinstance(payload, Transcript):
                expected = self._tokens(longest)
                whole = partial(context_is_whole, ask, payload[0], kind, expected)
                checks.insert(0, ("context", whole))
        return checks

    def _call(self, tool: Mapping[str, Any], words: str) -> dict[str, Any]:
        """
        Return a request that asks the model to call *tool*.
        """
        return self._without_refused(
            {
                "model": self._model,
                "messages": [{"role": "user", "content": words}],
                "tools": [tool],
                "tool_choice": "auto",
                "max_tokens": 128,
                **sampling(_ONE, None),
            }
        )

    def _tokens(self, request: Request) -> int | None:
        """
        Return how many tokens *request* has by --tokenizer; None without one.
        """
        if self._tokenizer is None:
            return None
        rows = conversation(request.messages, chat_template(self._tokenizer))
        return len(render(self._tokenizer, rows, [tool.schema for tool in request.tools]))

    def _probe(self) -> dict[str, Any]:
        declared = {"tools": [_TOOL], "tool_choice": "auto"} if self._declares else {}
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": "What time is it?"}],
            **declared,
            "max_tokens": 1,
            **self._traces,
        }

    def _without_refused(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        sent = super()._without_refused(payload)
        if "max_tokens" in payload and "max_tokens" not in sent:
            sent["max_completion_tokens"] = payload["max_tokens"]
        return sent

    def _also(self) -> Mapping[str, Any]:
        # What shows more of an answer changes none: two runs do not differ by it.
        return {"refused": [name for name in self._refused if name not in self._traces]}

    def _optional(self) -> Sequence[str]:
        # Newer models of OpenAI know only `max_completion_tokens`.
        return ("max_tokens", *self._traces)

    def _payload(
        self, request: Request, generation: Generation
    ) -> tuple[dict[str, Any], None] | Transcript:
        declared = [dict(tool.schema) for tool in request.tools]
        payload = {
            "model": self._model,
            "messages": chat(request.messages, developer=self._developer),
            **({"tools": declared, "tool_choice": "auto"} if declared else {}),
            "max_tokens": generation.max_new_tokens,
            **self._traces,
            **sampling(generation, request.key),
        }
        return self._without_refused(payload), None

    def _transcript(
        self, key: Key, body: Mapping[str, Any], kept: Any, timing: Timing | None
    ) -> Transcript:
        choice = choice_of(body)
        message = choice.get("message")
        if not isinstance(message, Mapping):
            raise ValueError("the server answered with a choice that has no message")
        if not is_answer(message):
            raise ValueError(
                "the server's message is not an assistant's: it has neither content nor tool_calls"
            )
        check_answered(message, choice)
        return Transcript(
            key=key,
            message={**message, "response": around_answer(body, choice)},
            output_tokens=usage(body, "completion_tokens"),
            finish_reason=finish_reason(choice),
            timing=timing,
        )


def _size(request: Request) -> int:
    """
    Return about how long a request is, in letters.
    """
    declared = sum(len(json.dumps(tool.schema)) for tool in request.tools)
    return declared + sum(len(json.dumps(message.to_chat())) for message in request.messages)


def chat(messages: Sequence[Message], *, developer: bool) -> list[dict[str, Any]]:
    """
    Return a conversation as OpenAI's API takes it: arguments as JSON text, an id for each call, and
    text in each message. Without *developer*, that role becomes system.
    """
    rows: list[dict[str, Any]] = []
    waiting: list[str] = []
    calls = 0
    for message in messages:
        row = message.to_chat()
        if message.role == "developer" and not developer:
            row["role"] = "system"
        row.setdefault("content", "")
        if message.tool_calls:
            waiting = []
            for call in row["tool_calls"]:
                calls += 1
                # Nine letters and digits, as some templates require.
                call.setdefault("id", f"call{calls:05}")
                waiting.append(call["id"])
                arguments = call["function"]["arguments"]
                call["function"]["arguments"] = json.dumps(arguments, ensure_ascii=False)
        if message.role == "tool":
            if "tool_call_id" in row and row["tool_call_id"] in waiting:
                waiting.remove(row["tool_call_id"])
            elif "tool_call_id" not in row:
                row["tool_call_id"] = waiting.pop(0) if waiting else f"call{calls:05}"
        rows.append(row)
    return rows
