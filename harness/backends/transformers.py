"""
Hugging Face checkpoints in this process: folders, hub models, PEFT adapters, GGUF, embedded models.

Greedy answers are made by `harness.backends.engine.engine` wherever a check finds that this model
can be run by it; sampled ones, and those of other models, in left-padded batches of prompts of like
length, if another check finds that padding changes nothing. At batch size 1 each prompt is answered
by itself, and so is one whose answer may pass the length where a model turns all its positions. A
batch that does not fit in memory is halved and nothing done so far is lost. Of the checkpoint's own
generation settings only the tokens that end an answer are used: a setting that turned on sampling
or a penalty would change what is measured without a word.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.encoding import Speech
from harness.backends.engine.agreement import agreement, padding_agreement
from harness.backends.engine.decoding import (
    OutOfMemory,
    Prompt,
    decode,
    decode_alone,
    free_bytes,
    free_memory,
)
from harness.backends.engine.engine import Engine, answer_of
from harness.backends.engine.prefixes import Group, groups, together
from harness.checkpoints.chat_template import chat_template, preflight
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.digests import digests
from harness.checkpoints.loading import load_model, load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import Reference
from harness.dialects.base import Dialect
from harness.dialects.registry import chosen, own_template
from harness.errors import BackendError, UsageError
from harness.transcript import Transcript

ROWS = 256
"""Answers open at once unless told otherwise: more gain little on a CPU and hold more memory."""

PADDED_ROWS = 64
"""Prompts in a left-padded batch: its cache grows by copying, and a row that is done stays."""

_LONGER = 1.25
"""How much longer than the prompts at hand is looked at when a model is checked: the next are often
a little longer."""

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
    ) -> None:
        from transformers import GenerationConfig

        self._checkpoint = checkpoint
        self._model = model
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._turn = _turn(model.config.get_text_config())
        self._longest = min((n for n in (context, self._turn) if n is not None), default=None)
        self._speech = Speech(tokenizer, dialect, context)
        self._stops = self._speech.stops(model.generation_config)
        # `generate` fills whatever a call leaves open from here.
        model.generation_config = GenerationConfig()
        self._batch_size = batch_size
        self._rows = batch_size or ROWS
        self._exact = str(model.dtype) == "torch.float32"
        self._checked: int | None = 0
        # How many tokens prompt and answer may have for what was found to hold; None: not this
        # model.
        self._padded: bool | None = None
        # Whether left padding changes nothing; None: not known yet.
        self._close = 0.0
        self._notify = notify
        self._answered = False

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
        )

    @property
    def checkpoint(self) -> Checkpoint:
        """
        What is being run.
        """
        return self._checkpoint

    @property
    def tokenizer(self) -> Any:
        """
        The checkpoint's tokenizer.
        """
        return self._speech.tokenizer

    def describe(self) -> Mapping[str, Any]:
        """
        Give the ``backend`` block of run.json; ``batch`` is what was asked for.
        """
        return {
            "name": self.name,
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
        self._speech.preflight(requests)
        prompts, failed = self._speech.prompts(requests, generation)
        if failed:
            yield failed
        short = [each for each in prompts if not self._may_turn(each, generation)]
        for prompt in prompts:
            if self._may_turn(prompt, generation):
                yield from self._in_plain_batches([prompt], generation)
        if generation.do_sample or self._batch_size == 1 or len(short) < 2:
            yield from self._in_plain_batches(short, generation)
            return
        yield from self._together(short, generation)

    def _may_turn(self, prompt: Prompt, generation: Generation) -> bool:
        length = len(prompt.ids) + generation.max_new_tokens
        return self._turn is not None and length > self._turn

    def _together(
        self, prompts: Sequence[Prompt], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer *prompts* greedily, in the way of this backend.
        """
        if not self._exact:
            # A draft's rounding, not only its tokens, would show.
            prompts = [replace(prompt, draft=()) for prompt in prompts]
        apart: list[Prompt] = []
        behind: list[Group] = []
        for group in groups(prompts):
            if group.prefix:
                behind.append(group)
            else:
                apart += group.prompts
        for alike in together(behind, generation.max_new_tokens):
            yield from self._behind_prefixes(alike, generation)
        yield from self._in_plain_batches(apart, generation)

    def _behind_prefixes(
        self, alike: Sequence[Group], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer groups by the engine, where this model can be run by it.
        """
        prompts = [prompt for group in alike for prompt in group.prompts]
        try:
            engine = self._engine(alike, generation)
            rows = 0 if engine is None else self._fitting(engine)
        except OutOfMemory:
            engine = None
        if engine is None:
            free_memory()
            yield from self._in_plain_batches(prompts, generation)
            return
        close = []
        while engine.waiting:
            rows = min(rows, self._rows, len(engine.waiting))
            try:
                for done in engine.run(rows):
                    close += [row.prompt for row in done if row.close]
                    self._answered = True
                    if sure := [row for row in done if not row.close]:
                        yield [
                            self._speech.transcript(row.prompt, answer_of(row, self._stops))
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
                f"{len(close)} of {len(prompts)} answers are decided one at a time: two "
                "tokens were closer than what a batch rounds"
            )
        for prompt in close:
            yield from self._in_plain_batches([prompt], generation)
        yield from self._in_plain_batches(left, generation)

    def _engine(self, alike: Sequence[Group], generation: Generation) -> Engine | None:
        """
        Give an engine for these groups if its answers are sure to be those of the plain way.

        Raises:
            OutOfMemory: if there is no room to find out.
        """
        if self._checked is None:
            return None
        try:
            engine = Engine(self._model, alike, stops=self._stops, most=generation.max_new_tokens)
        except AttributeError:
            self._checked = None
            return None
        # Longer prompts may meet what shorter ones did not, such as the end of a sliding window.
        prompts = [prompt for group in alike for prompt in group.prompts]
        needed = max(len(prompt.ids) for prompt in prompts) + generation.max_new_tokens
        if needed > self._checked:
            reach = int(needed * _LONGER)
            if self._longest is not None:
                reach = max(needed, min(reach, self._longest))
            found = agreement(self._model, engine, prompts, reach)
            if found.noise is None:
                self._notify(f"prompts are answered in left-padded batches: {found.reason}")
                self._checked = None
                return None
            self._checked = reach
            self._close = max(self._close, found.close)
        engine.noise = self._close if self._exact else 0.0
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
        most = self._batch_size or PADDED_ROWS
        if most > 1 and not self._may_pad(waiting):
            most = 1
        while waiting:
            size = min(self._rows, most, len(waiting))
            batch = waiting[:size]
            try:
                answers = decode(self._model, batch, generation, self._stops)
            except OutOfMemory:
                answers = None  # handled below, where the failed attempt's tensors are gone
            if answers is not None:
                self._answered = True
                waiting = waiting[size:]
                yield [self._speech.transcript(p, a) for p, a in zip(batch, answers, strict=True)]
            elif size > 1:
                self._fewer_rows(size, size // 2)
            else:
                free_memory()
                # The prompt was too long by itself, so the batch size was not to blame.
                self._rows = self._batch_size or ROWS
                waiting = waiting[1:]
                yield [self._out_of_memory(batch[0])]

    def _may_pad(self, prompts: Sequence[Prompt]) -> bool:
        """
        Say whether prompts of several lengths may share a batch of this model.
        """
        if len({len(prompt.ids) for prompt in prompts}) < 2:
            return True
        if self._padded is None:
            try:
                found = padding_agreement(self._model, prompts, self._stops)
            except OutOfMemory:
                free_memory()
                return True
            self._padded = found.noise is not None
            if not self._padded:
                self._notify(f"prompts are answered one at a time: padded, {found.reason}")
        return self._padded

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Answer *requests* one at a time by the clock, after one answer that is not counted.

        Raises:
            TemplateError: if the template drops something the requests hold.
            BackendError: if the first prompt does not fit in memory, or the model breaks.
        """
        self._speech.preflight(requests)
        prompts, failed = self._speech.prompts(requests, generation)
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
                yield self._speech.transcript(prompt, answer, timing)

    def close(self) -> None:
        """
        Free the model. The backend is not used afterwards.
        """
        del self._model
        free_memory()

    def _out_of_memory(self, prompt: Prompt) -> Transcript:
        reason = f"no memory for one prompt of {len(prompt.ids)} tokens"
        if not self._answered:
            raise BackendError(
                f"{self._checkpoint.reference}: {reason}; take a smaller dtype, another device or "
                "fewer new tokens"
            )
        return Transcript(key=prompt.key, error=reason)


def _turn(config: Any) -> int | None:
    """
    Give the length behind which a model turns the positions of all tokens otherwise (LongRoPE, Ding
    et al. 2024): rows of one batch would turn with the longest, and `generate` begins anew there.
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
        raise UsageError(f"there is no device {asked!r} here; there is {there}")
    return asked


def _dtype(asked: str | None, device: str) -> str:
    if asked is None:
        return "bfloat16" if device.startswith("cuda") else "float32"
    if asked not in DTYPES:
        raise UsageError(f"dtype {asked!r} is none of {', '.join(DTYPES)}")
    return asked
