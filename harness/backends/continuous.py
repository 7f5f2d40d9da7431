"""
Continuous batching of `transformers`: ``continuous:`` before a checkpoint.

The answers are those of the plain loop; whether they come sooner depends on the machine
(``docs/speed.md`` has figures). What it cannot do, sampling and a batch of one, is left to
`TransformersBackend`. It returns no logits, so there is no margin.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from harness.backends.base import Generation
from harness.backends.engine.decoding import Answer, OutOfMemory, Prompt, Stops, cut, model_errors
from harness.backends.transformers import PADDED_ROWS, TransformersBackend
from harness.errors import BackendError
from harness.transcript import Transcript

PAGE = 32
"""Tokens in a page of the cache. A prefix is shared in whole pages, so pages are small: with the
library's default of 256 the tools of a short prompt would be computed again for each case."""

TOKENS = 512
"""Tokens of one forward pass on a CPU; on a GPU the library derives it from the memory."""

GROUP = 4 * PADDED_ROWS
"""Prompts handed over at once: a killed run loses at most this many answers."""


class ContinuousBackend(TransformersBackend):
    """
    One loaded model whose greedy answers are made by `generate_batch`.
    """

    name = "transformers-continuous"

    def _answer_greedily(
        self, prompts: Sequence[Prompt], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        # Prompts with a common prefix beside each other, so that its pages are still in the cache.
        waiting = sorted(prompts, key=lambda prompt: (prompt.ids, prompt.key))
        rows = min(self._rows, self._batch_size or PADDED_ROWS)
        while waiting:
            group = waiting[:GROUP]
            try:
                answers = answer_together(self._model, group, generation, self._stops, rows)
            except OutOfMemory:
                if rows == 1:
                    break
                self._fewer_rows(rows, rows // 2)
                rows //= 2
                continue
            self._answered = True
            waiting = waiting[GROUP:]
            yield [self._encoding.transcript(p, a) for p, a in zip(group, answers, strict=True)]
        yield from self._in_plain_batches(waiting, generation)


def answer_together(
    model: Any, prompts: Sequence[Prompt], generation: Generation, stops: Stops, rows: int
) -> list[Answer]:
    """
    Answer *prompts* greedily, in their order, with room in the cache for *rows* of the longest.

    Raises:
        OutOfMemory: if there is no such room.
        BackendError: if the model fails, or an answer is missing.
    """
    from transformers import GenerationConfig
    from transformers.generation import ContinuousBatchingConfig

    # The argument was renamed after transformers 5.17.
    known = inspect.signature(ContinuousBatchingConfig).parameters
    sizes: dict[str, Any] = {"page_size" if "page_size" in known else "block_size": PAGE}
    if model.device.type == "cpu":
        longest = max(len(prompt.ids) for prompt in prompts) + generation.max_new_tokens
        sizes |= {"num_blocks": rows * (longest // PAGE + 1), "max_batch_tokens": TOKENS}
    with model_errors(prompts):
        done = model.generate_batch(
            inputs=[list(prompt.ids) for prompt in prompts],
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=generation.max_new_tokens,
                eos_token_id=list(stops.ids) or None,
                pad_token_id=stops.pad,
            ),
            continuous_batching_config=ContinuousBatchingConfig(**sizes),
            progress_bar=False,
        )
    outputs = list(done.values())
    if len(outputs) < len(prompts):
        # The library logs what went wrong in its own thread and returns what it has.
        raise BackendError(
            f"continuous batching returned {len(outputs)} answers to {len(prompts)} prompts; "
            "drop continuous: to answer without it"
        )
    for prompt, output in zip(prompts, outputs, strict=True):
        if output.error is not None:
            raise BackendError(f"case {prompt.key.case}: continuous batching: {output.error}")
    return [cut(list(output.generated_tokens), stops.ids) for output in outputs]
