"""
Prompts to answers on token ids: padding, stopping, sampling and timing.

Greedy answers are those of `generate` one prompt at a time. Sampled answers are drawn with separate
noise for each row, so they do not depend on which prompts share a batch either.
"""

import contextlib
import gc
import hashlib
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.backends.base import Generation
from harness.canonical import canonical_json
from harness.errors import BackendError, UsageError, boundary
from harness.messages import Tool
from harness.transcript import Key, Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """
    One prompt, tokenized.
    """

    key: Key
    ids: Sequence[int]
    draft: Sequence[int] = ()
    """A guess at the answer, where there is one."""
    tools: tuple[Tool, ...] = ()
    """The tools that the answer may call."""
    watched: tuple[int, ...] = ()
    """Tokens whose logits are kept at each position of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    The token ids of one answer: with the one that stopped it, without padding.
    """

    ids: Sequence[int]
    stopped: bool
    """Whether it ended at a stop token rather than at the token limit."""
    watched: Sequence[Any] = ()
    """For each token of the answer the logits that the prompt watches; empty if it watches none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stops:
    """
    The tokens that end an answer, and the one that pads a batch.
    """

    ids: tuple[int, ...]
    pad: int


class OutOfMemory(Exception):  # noqa: N818 - caught and turned into a smaller batch
    """
    These prompts do not fit in memory together.
    """


def decode(
    model: Any, prompts: Sequence[Prompt], generation: Generation, stops: Stops
) -> list[Answer]:
    """
    Answer *prompts* as one batch, in their order.

    Raises:
        OutOfMemory: if they do not fit.
        BackendError: if the model fails otherwise.
    """
    return _decode(model, prompts, generation, stops, [])


def decode_alone(
    model: Any, prompt: Prompt, generation: Generation, stops: Stops
) -> tuple[Answer, Timing]:
    """
    Answer one prompt and time it, as `Timing` defines it.

    Raises:
        OutOfMemory: if it does not fit.
        BackendError: if the model fails otherwise.
    """
    clock = _Clock(model.device)
    started = clock.now()
    [answer] = _decode(model, [prompt], generation, stops, [clock])
    ended = clock.now()
    first = None if clock.first is None else (clock.first - started) * 1000
    return answer, Timing(latency_ms=(ended - started) * 1000, ttft_ms=first)


def cut(ids: Sequence[int], stops: Collection[int]) -> Answer:
    """
    Take *ids* up to and including the first stop token: what follows in a batch is padding.
    """
    for index, id_ in enumerate(ids):
        if id_ in stops:
            return Answer(ids=ids[: index + 1], stopped=True)
    return Answer(ids=ids, stopped=False)


def _decode(
    model: Any,
    prompts: Sequence[Prompt],
    generation: Generation,
    stops: Stops,
    processors: Sequence[Any],
) -> list[Answer]:
    import torch
    from transformers import GenerationConfig

    width = max(len(prompt.ids) for prompt in prompts)
    ids = torch.full((len(prompts), width), stops.pad, dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        # Padding on the left: an answer must begin right after its prompt.
        ids[row, width - len(prompt.ids) :] = torch.tensor(prompt.ids, dtype=torch.long)
        mask[row, width - len(prompt.ids) :] = 1
    watcher = _Watcher(prompts)
    all_processors: list[Any] = [*processors, watcher]
    if generation.do_sample:
        all_processors.insert(0, RowSampler([prompt.key for prompt in prompts], generation))
    with model_errors(prompts), torch.inference_mode():
        rows = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            # Sampling, where asked for, is done by the processor; the rest is greedy.
            generation_config=GenerationConfig(
                do_sample=False,
                num_beams=1,
                max_new_tokens=generation.max_new_tokens,
                eos_token_id=list(stops.ids) or None,
                pad_token_id=stops.pad,
            ),
            logits_processor=all_processors,
        )
    answers = [cut(row, stops.ids) for row in rows[:, width:].tolist()]
    return [
        replace(answer, watched=seen[: len(answer.ids)])
        for answer, seen in zip(answers, watcher.seen, strict=True)
    ]


def free_memory() -> None:
    """
    Free memory that nothing refers to any more, that of CUDA included.
    """
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def free_bytes(device: Any) -> int:
    """
    Return how many bytes of memory are free on *device*.
    """
    import psutil
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


@contextlib.contextmanager
def model_errors(prompts: Sequence[Prompt]) -> Iterator[None]:
    """
    Turn any exception inside the block into an error about the batch of *prompts*.

    Raises:
        OutOfMemory: if memory ran out.
        BackendError: for anything else.
    """
    try:
        with boundary(BackendError, f"the model failed on a batch with case {prompts[0].key.case}"):
            yield
    except BackendError as exc:
        if _is_memory(exc.__cause__):
            raise OutOfMemory from None
        raise


def _is_memory(exc: BaseException | None) -> bool:
    import torch

    if isinstance(exc, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    # The CPU allocator and MPS have no error class of their own.
    said = str(exc).lower()
    return isinstance(exc, RuntimeError) and (
        "not enough memory" in said or "can't allocate memory" in said or "out of memory" in said
    )


class _Clock:
    """
    Reads the time when the first token is decided; `generate` calls it once per token.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self.first: float | None = None

    def now(self) -> float:
        import torch

        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        if self.first is None:
            # `generate` makes the same decision next; fetching it here waits for the device.
            int(scores.argmax(-1)[0])
            self.first = time.perf_counter()
        return scores


class _Watcher:
    """
    Keeps the watched logits; `generate` calls it once per token.
    """

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        import torch

        self._watched = [torch.tensor(prompt.watched, dtype=torch.long) for prompt in prompts]
        self.seen: list[list[Any]] = [[] for _ in prompts]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        for row, watched in enumerate(self._watched):
            if len(watched):
                self.seen[row].append(scores[row, watched.to(scores.device)].float().cpu())
        return scores


class RowSampler:
    """
    Turns the argmax that follows into a sample from the warped distribution.

    The Gumbel-max trick: the argmax of log-probabilities plus independent standard Gumbel noise is
    a sample from the distribution (Gumbel 1954; Maddison, Tarlow and Minka, "A* Sampling", 2014).
    Each row has its own generator, seeded with the run's seed, case, repeat and turn.
    """

    def __init__(self, keys: Sequence[Key], generation: Generation) -> None:
        import torch
        from transformers.generation import logits_process as warp

        with boundary(UsageError, "sampling cannot be set up"):
            self._warpers: list[Any] = []
            if generation.temperature is not None:
                self._warpers.append(warp.TemperatureLogitsWarper(float(generation.temperature)))
            if generation.top_k is not None:
                self._warpers.append(warp.TopKLogitsWarper(generation.top_k))
            if generation.top_p is not None:
                self._warpers.append(warp.TopPLogitsWarper(float(generation.top_p)))
        # On the CPU whatever the device: the same samples everywhere.
        self._generators = [
            torch.Generator().manual_seed(row_seed(generation.seed, key)) for key in keys
        ]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """
        Return *scores*, a row for each answer, warped and with its noise.
        """
        import torch

        scores = scores.float()
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        uniform = torch.stack(
            [torch.rand(scores.shape[-1], generator=source) for source in self._generators]
        )
        return scores - torch.log(-torch.log(uniform)).to(scores.device)


def row_seed(seed: int, key: Key) -> int:
    """
    Derive the 56-bit seed of one answer's noise from the run's *seed* and the answer's *key*.
    """
    name = canonical_json([seed, *key])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
