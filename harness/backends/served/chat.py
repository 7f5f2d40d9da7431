"""
Chat completions: ``openai:MODEL@URL``.

The server's chat template, tool parser and special settings are part of what is measured: what it
answers is what a product gets. `completions` takes them out of the way.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.served.answers import around_message, choice_of, finish_reason, usage
from harness.backends.served.backend import ServedBackend, sampling
from harness.checkpoints.chat_template import chat_template, knows_developer
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.digests import tokenizer_digests
from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import Reference, parse_reference
from harness.dialects.registry import dialect, own_template
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


class ChatBackend(ServedBackend):
    """
    A model as its server's chat API shows it.
    """

    name = "openai"
    path = "/chat/completions"

    _developer = False
    _length = "max_tokens"
    _declares = True

    def _opened(self, reference: Reference, options: BackendOptions) -> Checkpoint:
        self._declares = options.declares_tools
        template = self._identity.template
        known: dict[str, Any] = {}
        if options.tokenizer is not None:
            located = locate(
                parse_reference(options.tokenizer), weights=False, notify=options.notify
            )
            tokenizer = load_tokenizer(located)
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

    def _probe(self) -> dict[str, Any]:
        declared = {"tools": [_TOOL], "tool_choice": "auto"} if self._declares else {}
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": "What time is it?"}],
            **declared,
            "max_tokens": 1,
        }

    def _without_refused(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        sent = super()._without_refused(payload)
        if "max_tokens" in payload and "max_tokens" not in sent:
            sent["max_completion_tokens"] = payload["max_tokens"]
        return sent

    def _optional(self) -> Sequence[str]:
        # Newer models of OpenAI know only `max_completion_tokens`.
        return ("max_tokens",)

    def _payload(
        self, request: Request, generation: Generation
    ) -> tuple[dict[str, Any], None] | Transcript:
        declared = [dict(tool.schema) for tool in request.tools]
        payload = {
            "model": self._model,
            "messages": chat(request.messages, developer=self._developer),
            **({"tools": declared, "tool_choice": "auto"} if declared else {}),
            "max_tokens": generation.max_new_tokens,
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
        return Transcript(
            key=key,
            message={**message, "response": around_message(body, choice)},
            output_tokens=usage(body, "completion_tokens"),
            finish_reason=finish_reason(choice),
            timing=timing,
        )


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
