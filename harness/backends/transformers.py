"""
Hugging Face checkpoints in this process: folders, hub models, PEFT adapters, GGUF, embedded models.

Greedy answers are made by `harness.backends.engine.engine` if a check shows that it can run this
model. Sampled answers, and those of other models, are made in left-padded batches of prompts of
similar length, if another check shows that padding changes nothing. At batch size 1 each prompt is
answered by itself, and so is one whose answer may pass the length at which LongRoPE re-encodes all
positions. A batch that does not fit in memory is halved; nothing done so far is lost. Of the
checkpoint's own generation settings only the stop tokens are used: a setting that turned on
sampling or a penalty would silently change what is measured.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.encoding import PromptEncoding
from harness.backends.engine.agreement import Checked, Support, agreement, padding_agreement
from harness.backends.engine.decoding import (
    OutOfMemory,
    Prompt,
    decode,
    decode_alone,
    free_bytes,
    free_memory,
)
from harness.backends.engine.engine import Engine, answer_of
from harness.backends.engine.memory import Memory
from harness.backends.engine.prefixes import Group, groups, together
from harness.checkpoints.chat_template import chat_template, preflight
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.digests import digests
from harness.checkpoints.loading import load_model, load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import Reference
from harness.dialects.base import Dialect
from harness.dialects.registry import chosen, own_template
from harness.errors import BackendError, UsageError, boundary
from harness.transcript import Transcript

ROWS = 256
"""Answers decoded at once by default: more gain little on a CPU and take more memory."""

PADDED_ROWS = 64
"""Prompts in a left-padded batch: its cache grows by copying, and finished rows stay in it."""

_LONGER = 1.25
"""How much longer than the current prompts a model is checked for: the next are often a little
longer."""

DTYPES = ("float32", "bfloat16", "float16")


class TransformersBackend:
    """
    One loaded model with its tokenizer.
    """

    name = "transformers"

    def __init__(
        self,
        *,
        checkpoint: Checkpoint,
        model: Any,
        tokenizer: Any,
        dialect: Dialect,
        batch_size: int | None = None,
        notify: Callable[[str], None] = lambda _: None,
        memory: Memory | None = None,
    ) -> None:
        from transformers import GenerationConfig

        self._checkpoint = checkpoint
        self._model = model
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._longrope = _longrope_length(model.config.get_text_config())
        self._longest = min((n for n in (context, self._longrope) if n is not None), default=None)
        self._encoding = PromptEncoding(tokenizer, dialect, context)
        self._stops = self._encoding.stops(model.generation_config)
        # `generate` takes whatever a call does not set from here.
        model.generation_config = GenerationConfig()
        self._batch_size = batch_size
        self._rows = batch_size or ROWS
        self._exact = str(model.dtype) == "torch.float32"
        self._memory = memory
        self._engine_checked = Checked() if memory is None else memory.recall()
        self._padding = Support.UNCHECKED
        self._notify = notify
        self._answered = False

    @classmethod
    def open(cls, reference: Reference, options: BackendOptions) -> Self:
        """
        Load the checkpoint that *reference* names.

        Raises:
            CheckpointError: if it cannot be found, read or trusted, or its template drops tools.
            DialectError: if the dialect is not given and cannot be found from the chat template.
            UsageError: for a device or dtype that this machine does not have.
        """
        device = _device(options.device)
        dtype = _dtype(options.dtype, device)
        if options.batch_size is not None and options.batch_size < 1:
            raise UsageError(f"a batch size must be 1 or more, not {options.batch_size}")
        located = locate(reference, progress=options.progress, notify=options.notify)
        tokenizer = load_tokenizer(located)
        template = chat_template(tokenizer)
        spoken = chosen(options.dialect, template, tokenizer)
        preflight(tokenizer, tools=options.declares_tools)
        options.notify(f"loading {reference} in {dtype} on {device}")
        model = load_model(located, dtype=dtype, device=device)
        checkpoint = Checkpoint(
            reference=str(reference),
            **dict[str, Any](digests(located, tokenizer)),
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
            memory=Memory.of(checkpoint, model),
        )

    @property
    def checkpoint(self) -> Checkpoint:
        """
        The checkpoint that is being run.
        """
        return self._checkpoint

    @property
    def tokenizer(self) -> Any:
        """
        The checkpoint's tokenizer.
        """
        return self._encoding.tokenizer

    def describe(self) -> Mapping[str, Any]:
        """
        Return the ``backend`` block of run.json; ``batch`` is the requested size.
        """
        return {
            "name": self.name,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": self._model.device.type,
            "batch": self._batch_size or "auto",
            # That of the plain loop, whose answers every other way gives.
            "attention": self._model.config._attn_implementation,
        }

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer *requests* in batches, those with a common prefix together.

        Raises:
            TemplateError: if the template drops something the requests hold.
            BackendError: if not even one prompt fits in memory, or the model fails.
        """
        self._encoding.preflight(requests)
        prompts, failed = self._encoding.prompts(requests, generation)
        if failed:
            yield failed
        short = [each for each in prompts if not self._may_pass_longrope(each, generation)]
        for prompt in prompts:
            if self._may_pass_longrope(prompt, generation):
                yield from self._in_plain_batches([prompt], generation)
        if generation.do_sample or self._batch_size == 1 or len(short) < 2:
            yield from self._in_plain_batches(short, generation)
            return
        yield from self._answer_greedily(short, generation)

    def _may_pass_longrope(self, prompt: Prompt, generation: Generation) -> bool:
        length = len(prompt.ids) + generation.max_new_tokens
        return self._longrope is not None and length > self._longrope

    def _answer_greedily(
        self, prompts: Sequence[Prompt], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer several *prompts* greedily; subclasses do this in their own way.
        """
        if not self._exact:
            # Verifying a draft rounds differently, which would show in the answer.
            prompts = [replace(prompt, draft=()) for prompt in prompts]
        without_prefix: list[Prompt] = []
        with_prefix: list[Group] = []
        for group in groups(prompts):
            if group.prefix:
                with_prefix.append(group)
            else:
                without_prefix += group.prompts
        for similar in together(with_prefix, generation.max_new_tokens):
            yield from self._by_engine(similar, generation)
        yield from self._in_plain_batches(without_prefix, generation)

    def _by_engine(
        self, similar: Sequence[Group], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer groups with the engine, if it can run this model.
        """
        prompts = [prompt for group in similar for prompt in group.prompts]
        try:
            engine = self._engine(similar, generation)
            rows = 0 if engine is None else self._rows_that_fit(engine)
        except OutOfMemory:
            engine = None
        if engine is None:
            free_memory()
            yield from self._in_plain_batches(prompts, generation)
            return
        near_ties = []
        while engine.waiting:
            rows = min(rows, self._rows, len(engine.waiting))
            try:
                for finished in engine.run(rows):
                    near_ties += [row.prompt for row in finished if row.near_tie]
                    self._answered = True
                    if decided := [row for row in finished if not row.near_tie]:
                        yield [
                            self._encoding.transcript(row.prompt, answer_of(row, self._stops))
                            for row in decided
                        ]
            except OutOfMemory:
                if rows == 1:
                    break
                self._fewer_rows(rows, rows // 2)
            free_memory()
        left = [row.prompt for row in engine.waiting]
        del engine
        free_memory()
        if near_ties:
            self._notify(
                f"{len(near_ties)} of {len(prompts)} answers are decided one at a time: two "
                "tokens were closer than the rounding of a batch"
            )
        for prompt in near_ties:
            yield from self._in_plain_batches([prompt], generation)
        yield from self._in_plain_batches(left, generation)

    def _engine(self, similar: Sequence[Group], generation: Generation) -> Engine | None:
        """
        Return an engine for these groups, or None if its answers might not be those of the plain
        loop.

        Raises:
            OutOfMemory: if there is not enough memory for the check.
        """
        if self._engine_checked.support is Support.REFUTED:
            return None
        most = generation.max_new_tokens
        try:
            engine = Engine(self._model, similar, stops=self._stops, max_new_tokens=most)
        except AttributeError:
            self._engine_checked = Checked(support=Support.REFUTED)
            return None
        # Longer prompts may meet what shorter ones did not, such as the end of a sliding window.
        prompts = [prompt for group in similar for prompt in group.prompts]
        needed = max(len(prompt.ids) for prompt in prompts) + most
        if needed > self._engine_checked.tokens:
            self._engine_checked = self._check_engine(engine, prompts, needed)
            if self._memory is not None:
                self._memory.remember(self._engine_checked)
            if self._engine_checked.support is Support.REFUTED:
                return None
        engine.near_tie = self._engine_checked.near_tie if self._exact else 0.0
        return engine

    def _check_engine(self, engine: Engine, prompts: Sequence[Prompt], needed: int) -> Checked:
        reach = int(needed * _LONGER)
        if self._longest is not None:
            reach = max(needed, min(reach, self._longest))
        found = agreement(self._model, engine, prompts, reach)
        if found.max_difference is None:
            self._notify(f"prompts are answered in left-padded batches: {found.reason}")
            return Checked(support=Support.REFUTED)
        return Checked(
            support=Support.CONFIRMED,
            tokens=reach,
            near_tie=max(self._engine_checked.near_tie, found.near_tie),
        )

    def _rows_that_fit(self, engine: Engine) -> int:
        """
        Return how many rows may run at once: the requested number, or what fits in half the memory.
        """
        if self._batch_size is not None:
            return self._rows
        return max(1, min(self._rows, free_bytes(self._model.device) // 2 // engine.row_bytes()))

    def _fewer_rows(self, before: int, now: int) -> None:
        free_memory()
        self._rows = now
        self._notify(f"a batch of {before} does not fit in memory; continuing with {now}")

    def _in_plain_batches(
        self, prompts: Sequence[Prompt], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer in left-padded batches through `generate`, the longest prompts first, so that what
        does not fit shows at once.
        """
        # A stable sort: the same requests always make the same batches.
        waiting = sorted(prompts, key=lambda prompt: -len(prompt.ids))
        most = self._batch_size or PADDED_ROWS
        if most > 1 and not self._may_pad(waiting):
            most = 1
        while waiting:
            size = min(self._rows, most, len(waiting))
            batch = waiting[:size]
            try:
                answers = decode(self._model, batch, generation, self._stops)
            except OutOfMemory:
                answers = None  # handled below, once the failed attempt's tensors are freed
            if answers is not None:
                self._answered = True
                waiting = waiting[size:]
                yield [self._encoding.transcript(p, a) for p, a in zip(batch, answers, strict=True)]
            elif size > 1:
                self._fewer_rows(size, size // 2)
            else:
                free_memory()
                # A prompt too long by itself says nothing about the batch size.
                self._rows = self._batch_size or ROWS
                waiting = waiting[1:]
                yield [self._out_of_memory(batch[0])]

    def _may_pad(self, prompts: Sequence[Prompt]) -> bool:
        """
        Return whether prompts of different lengths may share a batch of this model.
        """
        if len({len(prompt.ids) for prompt in prompts}) < 2:
            return True
        if self._padding is Support.UNCHECKED:
            try:
                found = padding_agreement(self._model, prompts, self._stops)
            except OutOfMemory:
                free_memory()
                return True
            if found.max_difference is None:
                self._padding = Support.REFUTED
                self._notify(f"prompts are answered one at a time: padded, {found.reason}")
            else:
                self._padding = Support.CONFIRMED
        return self._padding is Support.CONFIRMED

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Answer *requests* one at a time and time them, after one answer that is not counted.

        Raises:
            TemplateError: if the template drops something the requests hold.
            BackendError: if the first prompt does not fit in memory, or the model fails.
        """
        self._encoding.preflight(requests)
        prompts, failed = self._encoding.prompts(requests, generation)
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
                yield self._encoding.transcript(prompt, answer, timing)

    def logits(
        self, request: Request, begun: Sequence[int], tokens: Sequence[int]
    ) -> Sequence[float]:
        """
        Return the logits of *tokens* after the prompt and *begun*, computed in one forward pass.

        Raises:
            TemplateError: if the request cannot be rendered.
            BackendError: if the model fails.
        """
        import torch

        ids = self._encoding.begun(request, begun)
        with boundary(BackendError, f"case {request.key.case}: no logits"), torch.inference_mode():
            given = torch.tensor([ids], device=self._model.device)
            last = self._model(input_ids=given, use_cache=False, logits_to_keep=1).logits[0, -1]
            return [float(last[token]) for token in tokens]

    def close(self) -> None:
        """
        Free the model. The backend must not be used afterwards.
        """
        del self._model
        free_memory()

    def _out_of_memory(self, prompt: Prompt) -> Transcript:
        reason = f"not enough memory for one prompt of {len(prompt.ids)} tokens"
        if not self._answered:
            raise BackendError(
                f"{self._checkpoint.reference}: {reason}; use a smaller dtype, another device or "
                "fewer new tokens"
            )
        return Transcript(key=prompt.key, error=reason)


def _longrope_length(config: Any) -> int | None:
    """
    Return the length past which a model encodes the positions of all tokens differently (LongRoPE,
    Ding et al. 2024); None without LongRoPE. All rows of a batch would follow the longest, and
    `generate` starts over there.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = [rope, *(each for each in rope.values() if isinstance(each, dict))]
    return min(
        (
            each["original_max_position_embeddings"]
            for each in kinds
            if each.get("rope_type") == "longrope"
        ),
        default=None,
    )


def _device(asked: str | None) -> str:
    import torch

    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked is None:
        return next(name for name in ("cuda", "mps", "cpu") if has[name])
    kind = asked.partition(":")[0]
    if not has.get(kind, False):
        there = ", ".join(sorted(name for name in has if has[name]))
        raise UsageError(f"device {asked!r} is not available; available: {there}")
    return asked


def _dtype(asked: str | None, device: str) -> str:
    if asked is None:
        return "bfloat16" if device.startswith("cuda") else "float32"
    if asked not in DTYPES:
        raise UsageError(f"unknown dtype {asked!r}; choose from {', '.join(DTYPES)}")
    return asked
