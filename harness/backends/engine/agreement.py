"""
May this model be run with a shared prefix? Asked of the model itself, not of its name.

Some of the prompts that are to be answered are put to it both ways, and the logits compared. Where
they differ by more than rounding does, or the model cannot be run in this way at all, the caller
answers with left-padded batches instead; of which the same is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

from harness.backends.base import Generation
from harness.backends.engine.decoding import Prompt, Stops, decode, model_at_work
from harness.backends.engine.engine import Engine
from harness.errors import HarnessError

ROUNDING = {"float32": 1e-4, "bfloat16": 0.1, "float16": 0.02}
"""How far logits may differ, as a share of their whole range. A wrong mask or position moves them
by more in float32; in half precision only gross faults can be told from rounding."""

SAFETY = 8
"""Two tokens closer than this many times the greatest difference seen are as good as equal."""

_CONTINUED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """
    What a check found.
    """

    noise: float | None
    """The greatest difference of any logit; None where the model cannot be run in this way."""
    reason: str = ""
    """Why not, in words."""

    @property
    def close(self) -> float:
        """
        Below which distance of two logits a batch may decide otherwise than one prompt alone.
        """
        return SAFETY * (self.noise or 0.0)


def agreement(model: Any, engine: Engine, prompts: Sequence[Prompt], reach: int) -> Agreement:
    """
    Put the longest and the shortest of *prompts* to *model* by *engine*, and each alone as it would
    be without us; a few tokens behind the prompt are compared too.

    The longest is continued up to *reach* tokens: what a model does only from some length on, such
    as the end of a window or a chunk, may be met by an answer alone.

    Raises:
        OutOfMemory: if they do not fit.
    """
    import torch

    by_length = sorted(prompts, key=lambda prompt: len(prompt.ids))
    longest = by_length[-1]
    # Any tokens do: what is compared are logits, not answers.
    more = islice(cycle(longest.ids), max(0, reach - len(longest.ids) - _CONTINUED - 1))
    probes = [replace(longest, ids=[*longest.ids, *more]), *by_length[: len(by_length) > 1]]
    drafts = [prompt.ids[:_CONTINUED] for prompt in probes]
    pairs = []
    try:
        for prompt, draft, found in zip(probes, drafts, engine.logits(probes, drafts), strict=True):
            ids = [*prompt.ids, *draft, int(found[-2].argmax())]
            with model_at_work([prompt]), torch.inference_mode():
                plain = model(
                    input_ids=torch.tensor([ids], device=model.device),
                    use_cache=False,
                    logits_to_keep=len(found),
                ).logits[0]
                pairs.append((plain.float(), found.float()))
    except HarnessError as exc:
        return Agreement(noise=None, reason=str(exc))
    return _compared(pairs, str(model.dtype))


def padding_agreement(model: Any, prompts: Sequence[Prompt], stops: Stops) -> Agreement:
    """
    Put the shortest of *prompts* to *model* beside the longest, left-padded, and alone.

    Raises:
        OutOfMemory: if they do not fit.
    """
    by_length = sorted(prompts, key=lambda prompt: len(prompt.ids))
    every = tuple(range(model.config.get_text_config().vocab_size))
    short = replace(by_length[0], watched=every)
    two = Generation(max_new_tokens=2)
    try:
        _, beside = decode(model, [replace(by_length[-1], watched=()), short], two, stops)
        (alone,) = decode(model, [short], two, stops)
    except HarnessError as exc:
        return Agreement(noise=None, reason=str(exc))
    pairs = list(zip(alone.watched, beside.watched, strict=False))
    # Behind different tokens there is nothing to compare.
    return _compared(pairs[: 1 + (alone.ids[0] == beside.ids[0])], str(model.dtype))


def _compared(pairs: Sequence[tuple[Any, Any]], dtype: str) -> Agreement:
    """
    Say whether logits, plain and found, differ by no more than *dtype* rounds.
    """
    import torch

    noise, spread = 0.0, 0.0
    for plain, found in pairs:
        apart = torch.where(plain == found, 0.0, (plain - found).abs())
        if not apart.isfinite().all():
            return Agreement(noise=None, reason="some logits are numbers in one way only")
        noise = max(noise, float(apart.max()))
        # Tokens a model masks are no part of the range: they are at the lowest number there is.
        usual = plain[plain.abs() < torch.finfo(plain.dtype).max / 2]
        spread = max(spread, float(usual.max() - usual.min()) if usual.numel() else 0.0)
    if noise > ROUNDING[dtype.removeprefix("torch.")] * spread:
        return Agreement(noise=None, reason=f"logits differ by {noise:.2g} of {spread:.2g}")
    return Agreement(noise=noise)
