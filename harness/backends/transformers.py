"""
Hugging Face checkpoints in this process: folders, hub models, PEFT adapters, GGUF, embedded models.

Greedy answers are made by `harness.backends.engine` wherever a check finds that this model can be
run by it; sampled ones, and those of other models, in left-padded batches of prompts of like
length. At batch size 1 each prompt is answered by itself. A batch that does not fit in memory is
halved and nothing done so far is lost. Of the checkpoint's own generation settings only the tokens
that end an answer are used: a setting that turned on sampling or a penalty would change what is
measured without a word.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from harness.backends.agreement import agreement
from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.decoding import (
    Answer,
    OutOfMemory,
    Prompt,
    Stops,
    decode,
    decode_alone,
    free_bytes,
    free_memory,
)
from harness.backends.engine import Engine, answer_of
from harness.backends.margins import margin, watched
from harness.backends.prefixes import Group, groups
from harness.chat import chat_template, conversation, preflight, render
from harness.checkpoint import (
    Checkpoint,
    Reference,
    digests,
    load_model,
    load_tokenizer,
    locate,
)
from harness.dialects.base import Dialect
from harness.dialects.registry import chosen, own_template
from harness.errors import BackendError, TemplateError, UsageError, boundary
from harness.messages import Tool
from harness.transcript import Timing, Transcript

ROWS = 256
"""Answers open at once unless told otherwise: more gain little on a CPU and hold more memory."""

PADDED_ROWS = 64
"""Prompts in a left-padded batch: its cache grows by copying, and a row that is done stays."""

_LONGER = 1.25

DTYPES = ("float32", "bfloat16", "float16")


class TransformersBackend:
    """
    One loaded model with its tokenizer.
    """

    def __init__(
        self,
        *,
        checkpoint: Checkpoint,
        model: Any,
        tokenizer: Any,
        dialect: Dialect,
        batch_size: int | None = None,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        from transformers import GenerationConfig

        self._checkpoint = checkpoint
        self._model = model
        self._tokenizer = tokenizer
        self._template = chat_template(tokenizer)
        self._stops = _stops(model, tokenizer, dialect)
        # `generate` fills whatever a call leaves open from here.
        model.generation_config = GenerationConfig()
        self._batch_size = batch_size
        self._rows = batch_size or ROWS
        self._checked: int | None = 0
        # Up to how many tokens a prompt may have for what was found to hold; None: not this model.
        self._close = 0.0
        self._notify = notify
        self._answered = False
        self._dialect = dialect
        self._names: tuple[tuple[Tool, ...], tuple[int, ...]] | None = None

    @classmethod
    def open(cls, reference: Reference, options: BackendOptions) -> Self:
        """
        Load the checkpoint that *reference* names.

        Raises:
            CheckpointError: if it cannot be found, read or trusted, or its template drops tools.
            DialectError: if the dialect is not given and its template does not tell.
            UsageError: for a device or dtype that this machine does not have.
        """
        device = _device(options.device)
        dtype = _dtype(options.dtype, device)
        if options.batch_size is not None and options.batch_size < 1:
            raise UsageError(f"a batch of {options.batch_size} answers nothing; give 1 or more")
        located = locate(reference, progress=options.progress, notify=options.notify)
        tokenizer = load_tokenizer(located)
        template = chat_template(tokenizer)
        spoken = chosen(options.dialect, template, tokenizer)
        preflight(tokenizer, tools=options.declares_tools)
        options.notify(f"loading {reference} in {dtype} on {device}")
        model = load_model(located, dtype=dtype, device=device)
        checkpoint = Checkpoint(
            reference=str(reference),
            **digests(located, tokenizer),
            dialect=spoken.name,
            dialect_version=spoken.version,
            response_template=own_template(spoken),
        )
        return cls(
            checkpoint=checkpoint,
            model=model,
            tokenizer=tokenizer,
            dialect=spoken,
            batch_size=options.batch_size,
            notify=options.notify,
        )

    @property
    def checkpoint(self) -> Checkpoint:
        """
        What is being run.
        """
        return self._checkpoint

    def describe(self) -> Mapping[str, Any]:
        """
        Give the ``backend`` block of run.json; ``batch`` is what was asked for.
        """
        return {
            "name": "transformers",
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": self._model.device.type,
            "batch": self._batch_size or "auto",
            # Of the plain way, whose answers all others give.
            "attention": self._model.config._attn_implementation,
        }

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer *requests* in batches, those with a common prefix together.

        Raises:
            TemplateError: if the template drops something the requests hold.
            BackendError: if not even one prompt fits in memory, or the model breaks.
        """
        self._preflight(requests)
        prompts, failed = self._prompts(requests, generation)
        if failed:
            yield failed
        if generation.do_sample or self._batch_size == 1 or len(prompts) < 2:
            yield from self._in_plain_batches(prompts, generation)
            return
        for group in groups(prompts):
            yield from self._behind_a_prefix(group, generation)

    def _behind_a_prefix(
        self, group: Group, generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer a group by the engine, where this model can be run by it.
        """
        try:
            engine = self._engine(group, generation)
            rows = 0 if engine is None else self._fitting(engine)
        except OutOfMemory:
            engine = None
        if engine is None:
            free_memory()
            yield from self._in_plain_batches(group.prompts, generation)
            return
        close = []
        while engine.waiting:
            rows = min(rows, self._rows)
            try:
                for done in engine.run(rows):
                    close += [row.prompt for row in done if row.close]
                    self._answered = True
                    if sure := [row for row in done if not row.close]:
                        yield [
                            self._transcript(row.prompt, answer_of(row, self._stops))
                            for row in sure
                        ]
            except OutOfMemory:
                if rows == 1:
                    break
                self._fewer_rows(rows, rows // 2)
            free_memory()
        left = [row.prompt for row in engine.waiting]
        del engine
        free_memory()
        if close:
            self._notify(
                f"{len(close)} of {len(group.prompts)} answers are decided one at a time: two "
                "tokens were closer than what a batch rounds"
            )
        for prompt in close:
            yield from self._in_plain_batches([prompt], generation)
        yield from self._in_plain_batches(left, generation)

    def _engine(self, group: Group, generation: Generation) -> Engine | None:
        """
        Give an engine for *group* if its answers are sure to be those of the plain way.

        Raises:
            OutOfMemory: if there is no room to find out.
        """
        if group.prefix == 0 or self._checked is None:
            return None
        exact = str(self._model.dtype) == "torch.float32"
        try:
            engine = Engine(
                self._model,
                # In half precision a draft's rounding, not only its tokens, would show.
                group.prompts if exact else [replace(p, draft=()) for p in group.prompts],
                prefix=group.prefix,
                stops=self._stops,
                most=generation.max_new_tokens,
            )
        except AttributeError:
            self._checked = None
            return None
        # Longer prompts may meet what shorter ones did not, such as the end of a sliding window.
        longest = max(len(prompt.ids) for prompt in group.prompts)
        if longest > self._checked:
            found = agreement(self._model, engine, group.prompts)
            if found.noise is None:
                self._notify(f"prompts are answered in left-padded batches: {found.reason}")
                self._checked = None
                return None
            self._checked = int(longest * _LONGER)
            self._close = max(self._close, found.close)
        engine.noise = self._close if exact else 0.0
        return engine

    def _fitting(self, engine: Engine) -> int:
        """
        How many rows may be open at once: as many as were asked for, or as fit in half the memory.
        """
        if self._batch_size is not None:
            return self._rows
        return max(1, min(self._rows, free_bytes(self._model.device) // 2 // engine.row_bytes()))

    def _fewer_rows(self, before: int, now: int) -> None:
        free_memory()
        self._rows = now
        self._notify(f"a batch of {before} does not fit in memory; on with {now}")

    def _in_plain_batches(
        self, prompts: Sequence[Prompt], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer in left-padded batches through `generate`, the longest prompts first: what does not
        fit shows at once.
        """
        # Stable, so the same requests always make the same batches.
        waiting = sorted(prompts, key=lambda prompt: -len(prompt.ids))
        while waiting:
            size = min(self._rows, self._batch_size or PADDED_ROWS, len(waiting))
            batch = waiting[:size]
            try:
                answers = decode(self._model, batch, generation, self._stops)
            except OutOfMemory:
                answers = None  # handled below, where the failed attempt's tensors are gone
            if answers is not None:
                self._answered = True
                waiting = waiting[size:]
                yield [self._transcript(p, a) for p, a in zip(batch, answers, strict=True)]
            elif size > 1:
                self._fewer_rows(size, size // 2)
            else:
                free_memory()
                # The prompt was too long by itself, so the batch size was not to blame.
                self._rows = self._batch_size or ROWS
                waiting = waiting[1:]
                yield [self._out_of_memory(batch[0])]

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Answer *requests* one at a time by the clock, after one answer that is not counted.

        Raises:
            TemplateError: if the template drops something the requests hold.
            BackendError: if the first prompt does not fit in memory, or the model breaks.
        """
        self._preflight(requests)
        prompts, failed = self._prompts(requests, generation)
        yield from failed
        for index, prompt in enumerate(prompts):
            try:
                if index == 0:
                    decode_alone(self._model, prompt, generation, self._stops)
                answer, timing = decode_alone(self._model, prompt, generation, self._stops)
            except OutOfMemory:
                yield self._out_of_memory(prompt)
            else:
                self._answered = True
                yield self._transcript(prompt, answer, timing)

    def close(self) -> None:
        """
        Free the model. The backend is not used afterwards.
        """
        del self._model
        free_memory()

    def _preflight(self, requests: Sequence[Request]) -> None:
        """
        Check the template for what these requests hold, beyond the declarations checked at open.
        """
        said = [message for request in requests for message in request.messages]
        preflight(
            self._tokenizer,
            tools=any(request.tools for request in requests),
            system=any(message.role in ("system", "developer") for message in said),
            calls=any(message.tool_calls for message in said),
            results=any(message.role == "tool" for message in said),
        )

    def _prompts(
        self, requests: Sequence[Request], generation: Generation
    ) -> tuple[list[Prompt], list[Transcript]]:
        """
        Tokenize; a request that cannot be put to the model is a transcript with the reason.
        """
        prompts, failed = [], []
        context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        for request in requests:
            try:
                rows = conversation(request.messages, self._template)
                ids = render(self._tokenizer, rows, [tool.schema for tool in request.tools])
            except TemplateError as exc:
                failed.append(Transcript(key=request.key, error=str(exc)))
                continue
            if context is not None and len(ids) + generation.max_new_tokens > context:
                reason = (
                    f"the prompt has {len(ids)} tokens and the answer may have "
                    f"{generation.max_new_tokens}; the model's context is {context}"
                )
                failed.append(Transcript(key=request.key, error=reason))
                continue
            prompts.append(
                Prompt(
                    key=request.key,
                    ids=ids,
                    draft=self._draft(request),
                    tools=request.tools,
                    # A draw's tokens are no matter of which was likeliest.
                    watched=() if generation.do_sample else self._watched(request.tools),
                )
            )
        return prompts, failed

    def _draft(self, request: Request) -> Sequence[int]:
        # Where the model spells the same text in other tokens, the draft departs there: no harm.
        if request.draft is None:
            return ()
        with boundary(BackendError, f"case {request.key.case}: the draft cannot be tokenized"):
            return list(self._tokenizer.encode(request.draft, add_special_tokens=False))

    def _watched(self, tools: tuple[Tool, ...]) -> tuple[int, ...]:
        # Most cases of a suite have the same tools, as the same object.
        if self._names is None or self._names[0] is not tools:
            self._names = (tools, watched(self._tokenizer, tools))
        return self._names[1]

    def _transcript(
        self, prompt: Prompt, answer: Answer, timing: Timing | None = None
    ) -> Transcript:
        with boundary(BackendError, f"case {prompt.key.case}: the answer cannot be decoded"):
            text: str = self._tokenizer.decode(
                answer.ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        return Transcript(
            key=prompt.key,
            output=text,
            output_tokens=len(answer.ids),
            finish_reason="stop" if answer.stopped else "length",
            timing=timing,
            margin=margin(
                self._tokenizer, self._dialect, prompt.tools, text, answer, prompt.watched
            ),
        )

    def _out_of_memory(self, prompt: Prompt) -> Transcript:
        reason = f"no memory for one prompt of {len(prompt.ids)} tokens"
        if not self._answered:
            raise BackendError(
                f"{self._checkpoint.reference}: {reason}; take a smaller dtype, another device or "
                "fewer new tokens"
            )
        return Transcript(key=prompt.key, error=reason)


def _stops(model: Any, tokenizer: Any, dialect: Dialect) -> Stops:
    """
    Gather what ends an answer: the checkpoint's own tokens, and those of the dialect it has.
    """
    settings = model.generation_config
    own = settings.eos_token_id if settings is not None else None
    ids = list(own) if isinstance(own, list) else [own]
    ids.append(tokenizer.eos_token_id)
    vocabulary = tokenizer.get_vocab()
    ids.extend(vocabulary.get(stop) for stop in dialect.stops)
    known = tuple(sorted({int(id_) for id_ in ids if id_ is not None}))
    pad = tokenizer.pad_token_id
    return Stops(ids=known, pad=int(pad) if pad is not None else (known or (0,))[0])


def _device(asked: str | None) -> str:
    import torch

    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked is None:
        return next(name for name in ("cuda", "mps", "cpu") if has[name])
    kind = asked.partition(":")[0]
    if not has.get(kind, False):
        there = ", ".join(sorted(name for name in has if has[name]))
        raise UsageError(f"there is no device {asked!r} here; there is {there}")
    return asked


def _dtype(asked: str | None, device: str) -> str:
    if asked is None:
        return "bfloat16" if device.startswith("cuda") else "float32"
    if asked not in DTYPES:
        raise UsageError(f"dtype {asked!r} is none of {', '.join(DTYPES)}")
    return asked
