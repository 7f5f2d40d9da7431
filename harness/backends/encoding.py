"""
Requests to prompts of token ids, and token ids of answers to transcripts, whatever runs the model.
"""

from collections.abc import Sequence
from typing import Any

from harness.backends.base import Generation, Request
from harness.backends.engine.decoding import Answer, Prompt, Stops
from harness.backends.margins import margin, watched_tokens
from harness.checkpoints.chat_template import chat_template, conversation, preflight, render
from harness.dialects.base import Dialect
from harness.dialects.reading import opened_by
from harness.errors import BackendError, TemplateError, boundary
from harness.messages import Tool
from harness.transcript import Timing, Transcript

_TAIL = 24
# Tokens at the end of a prompt in which text of the answer may begin.


class PromptEncoding:
    """
    One tokenizer, its chat template, and the dialect in which the model calls tools.
    """

    def __init__(self, tokenizer: Any, dialect: Dialect, context: int | None) -> None:
        self.tokenizer = tokenizer
        self._template = chat_template(tokenizer)
        self._dialect = dialect
        self._context = context
        """How many tokens a prompt and its answer may have together; None where that is unknown."""
        self._last_watched: tuple[tuple[Tool, ...], tuple[int, ...]] | None = None

    def stops(self, settings: Any) -> Stops:
        """
        Return what ends an answer: the stop tokens of the checkpoint's generation *settings*, if it
        has any, and those stops of the dialect that are single tokens of this tokenizer.
        """
        own = settings.eos_token_id if settings is not None else None
        ids = list(own) if isinstance(own, list) else [own]
        ids.append(self.tokenizer.eos_token_id)
        vocabulary = self.tokenizer.get_vocab()
        ids.extend(vocabulary.get(stop) for stop in self._dialect.stops)
        known = tuple(sorted({int(id_) for id_ in ids if id_ is not None}))
        pad = self.tokenizer.pad_token_id
        return Stops(ids=known, pad=int(pad) if pad is not None else (known or (0,))[0])

    def preflight(self, requests: Sequence[Request]) -> None:
        """
        Check that the template keeps everything these requests hold; that it keeps declarations was
        checked when the checkpoint was opened.

        Raises:
            TemplateError: if it drops any of it.
        """
        said = [message for request in requests for message in request.messages]
        preflight(
            self.tokenizer,
            tools=any(request.tools for request in requests),
            system=any(message.role in ("system", "developer") for message in said),
            calls=any(message.tool_calls for message in said),
            results=any(message.role == "tool" for message in said),
        )

    def prompts(
        self, requests: Sequence[Request], generation: Generation
    ) -> tuple[list[Prompt], list[Transcript]]:
        """
        Return the prompts, and for each request that cannot be asked a transcript with the reason.
        """
        prompts, failed = [], []
        for request in requests:
            try:
                rows = conversation(request.messages, self._template)
                ids = render(self.tokenizer, rows, [tool.schema for tool in request.tools])
            except TemplateError as exc:
                failed.append(Transcript(key=request.key, error=str(exc)))
                continue
            if self._context is not None and len(ids) + generation.max_new_tokens > self._context:
                reason = (
                    f"the prompt has {len(ids)} tokens and the answer may have "
                    f"{generation.max_new_tokens}; the model's context is {self._context}"
                )
                failed.append(Transcript(key=request.key, error=reason))
                continue
            prompts.append(
                Prompt(
                    key=request.key,
                    ids=ids,
                    draft=self._draft(request),
                    tools=request.tools,
                    # A margin says little about a sampled token.
                    watched=() if generation.do_sample else self._watched(request.tools),
                )
            )
        return prompts, failed

    def begun(self, request: Request, begun: Sequence[int]) -> list[int]:
        """
        Return the ids of the prompt of *request* and of *begun*, an answer's first tokens.

        Raises:
            TemplateError: if it cannot be rendered.
            BackendError: if it is longer than the context.
        """
        rows = conversation(request.messages, self._template)
        ids = [*render(self.tokenizer, rows, [tool.schema for tool in request.tools]), *begun]
        if self._context is not None and len(ids) >= self._context:
            raise BackendError(f"{len(ids)} tokens; the model's context is {self._context}")
        return ids

    def transcript(
        self, prompt: Prompt, answer: Answer, timing: Timing | None = None
    ) -> Transcript:
        """
        Return the transcript of an answer to *prompt*.

        Raises:
            BackendError: if the tokenizer cannot decode it.
        """
        with boundary(BackendError, f"case {prompt.key.case}: the answer cannot be decoded"):
            text: str = self.tokenizer.decode(
                answer.ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        opened = self.opened(prompt)
        return Transcript(
            key=prompt.key,
            output=text,
            opened=opened,
            output_tokens=len(answer.ids),
            finish_reason="stop" if answer.stopped else "length",
            timing=timing,
            margin=margin(
                self.tokenizer, self._dialect, prompt.tools, text, answer, prompt.watched, opened
            ),
        )

    def opened(self, prompt: Prompt) -> str | None:
        """
        Return the text of the answer that *prompt* begins itself, as `Transcript.opened`.
        """
        # The longest tag has a few tokens, and white space may follow it.
        end = self.tokenizer.decode(
            prompt.ids[-_TAIL:], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return opened_by(str(end))

    def _draft(self, request: Request) -> Sequence[int]:
        # Where the model writes the same text in other tokens, the draft is dropped there: no harm.
        if request.draft is None:
            return ()
        try:
            return list(self.tokenizer.encode(request.draft, add_special_tokens=False))
        except Exception:  # whatever a tokenizer raises on, say, half a surrogate pair
            return ()

    def _watched(self, tools: tuple[Tool, ...]) -> tuple[int, ...]:
        # Most cases of a suite have the same tools, as the same object.
        if self._last_watched is None or self._last_watched[0] is not tools:
            self._last_watched = (tools, watched_tokens(self.tokenizer, tools))
        return self._last_watched[1]
