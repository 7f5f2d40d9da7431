"""
Raw completions: ``completions:MODEL@URL``.

Prompts are rendered here by the tokenizer that ``--tokenizer`` names and answers are read here, so
the server's chat template and tool parser play no part; only its decoding does. Prompts are sent as
token ids where the server takes them, else as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.encoding import PromptEncoding
from harness.backends.engine.decoding import Answer, Prompt, Stops
from harness.backends.served.answers import (
    around_answer,
    check_answered,
    choice_of,
    finish_reason,
    usage,
)
from harness.backends.served.backend import REFUSED, ServedBackend, sampling
from harness.backends.served.client import RequestError
from harness.checkpoints.chat_template import chat_template, preflight, render
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.digests import tokenizer_digests
from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import Reference, parse_reference
from harness.dialects.registry import chosen, own_template
from harness.errors import BackendError, UsageError
from harness.transcript import Key, Timing, Transcript

_OPTIONAL = (
    "stop_token_ids",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "add_special_tokens",
    "return_token_ids",
    "stop",
)
"""Fields that only some servers know: what they ask for is what every answer needs."""

_MOST_STOPS = 4
# OpenAI's API takes no more.


class CompletionsBackend(ServedBackend):
    """
    A model as it writes, behind a server.
    """

    name = "completions"
    path = "/completions"

    _encoding: PromptEncoding
    _stops: Stops
    _as_ids = True
    _sent = 0

    def _opened(self, reference: Reference, options: BackendOptions) -> Checkpoint:
        if options.tokenizer is None:
            raise UsageError(
                f"{reference}: the prompt is rendered here; name the checkpoint whose tokenizer "
                "and chat template do it with --tokenizer REF"
            )
        located = locate(parse_reference(options.tokenizer), weights=False, notify=options.notify)
        tokenizer = load_tokenizer(located)
        spoken = chosen(options.dialect, chat_template(tokenizer), tokenizer)
        preflight(tokenizer, tools=options.declares_tools)
        self._encoding = PromptEncoding(tokenizer, spoken, self._identity.max_length)
        self._stops = self._encoding.stops(_settings(str(located.folder)))
        return Checkpoint(
            reference=str(reference),
            **dict[str, Any](tokenizer_digests(tokenizer)),
            dialect=spoken.name,
            dialect_version=spoken.version,
            response_template=own_template(spoken),
            extra={"tokenizer_of": options.tokenizer},
        )

    @property
    def tokenizer(self) -> Any:
        """
        The tokenizer that writes the prompts.
        """
        return self._encoding.tokenizer

    def _also(self) -> Mapping[str, Any]:
        return {"prompt": "token ids" if self._as_ids else "text"}

    def _optional(self) -> Sequence[str]:
        return _OPTIONAL

    def _settle(self, options: BackendOptions) -> None:
        try:
            super()._settle(options)
        except RequestError as exc:
            # llama-cpp-python's server says with 500 what others say with 422.
            if exc.status not in REFUSED and "Input should be a valid string" not in str(exc):
                raise
            self._as_ids = False
            super()._settle(options)

    def _settled(self, body: Mapping[str, Any]) -> None:
        try:
            choice_of(body)
        except ValueError as exc:
            raise BackendError(str(exc)) from exc
        read = usage(body, "prompt_tokens")
        if read is None or read == self._sent:
            return
        raise BackendError(
            f"the server read {read} tokens of a prompt that has {self._sent} by --tokenizer: it "
            "has another tokenizer, or adds tokens of its own"
        )

    def _probe(self) -> dict[str, Any]:
        ids = render(self._encoding.tokenizer, [{"role": "user", "content": "Hello"}], ())
        self._sent = len(ids)
        return {"model": self._model, **self._asked(ids), "max_tokens": 1}

    def _asked(self, ids: Sequence[int]) -> dict[str, Any]:
        """
        Return the prompt as it is sent, where its answer ends, and that nothing is left out of it.
        """
        tokenizer = self._encoding.tokenizer
        stops = [tokenizer.convert_ids_to_tokens(id_) for id_ in self._stops.ids]
        text = "" if self._as_ids else _text(tokenizer, ids)
        return {
            "prompt": list(ids) if self._as_ids else text,
            "stop": stops[:_MOST_STOPS],
            "stop_token_ids": list(self._stops.ids),
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "add_special_tokens": False,
            "return_token_ids": True,
        }

    def _check(self, requests: Sequence[Request]) -> None:
        self._encoding.preflight(requests)

    def _payload(
        self, request: Request, generation: Generation
    ) -> tuple[dict[str, Any], Prompt] | Transcript:
        prompts, failed = self._encoding.prompts([request], generation)
        if failed:
            return failed[0]
        [prompt] = prompts
        payload = {
            "model": self._model,
            **self._asked(prompt.ids),
            "max_tokens": generation.max_new_tokens,
            **sampling(generation, request.key),
        }
        return self._without_refused(payload), prompt

    def _transcript(
        self, key: Key, body: Mapping[str, Any], kept: Any, timing: Timing | None
    ) -> Transcript:
        prompt: Prompt = kept
        choice = choice_of(body)
        read = usage(body, "prompt_tokens")
        if read is not None and read != len(prompt.ids):
            raise ValueError(
                f"the server read {read} tokens of a prompt of {len(prompt.ids)}: it cuts prompts"
            )
        ended, ids = finish_reason(choice), choice.get("token_ids")
        check_answered({"content": choice.get("text") or ids}, choice)
        if isinstance(ids, list) and ids and all(type(id_) is int for id_ in ids):
            made = self._encoding.transcript(
                prompt, Answer(ids=ids, stopped=ended != "length"), timing
            )
            return replace(made, response=around_answer(body, choice))
        if not isinstance(choice.get("text"), str):
            raise ValueError("the server answered with a choice that has no text")
        return Transcript(
            key=key,
            output=choice["text"],
            opened=self._encoding.opened(prompt),
            output_tokens=usage(body, "completion_tokens"),
            finish_reason=ended,
            timing=timing,
            response=around_answer(body, choice),
        )


def _text(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _settings(folder: str) -> Any:
    """
    Return the checkpoint's generation settings; None if it has none.
    """
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(folder, local_files_only=True)
    except OSError:
        return None
