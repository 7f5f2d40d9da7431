"""
May this model be run with a shared prefix? Asked of the model itself, not of its name.

Some of the prompts to be answered are run both ways and their logits compared. Where they differ by
more than rounding does, or the model cannot be run in this way at all, the caller answers in
left-padded batches instead, which are checked in the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import cycle, islice
from typing import Any

from harness.backends.base import Generation
from harness.backends.engine.decoding import Prompt, Stops, decode, model_errors
from harness.backends.engine.engine import Engine
from harness.errors import HarnessError

ROUNDING = {"float32": 1e-4, "bfloat16": 0.1, "float16": 0.02}
"""How far logits may differ, as a share of their whole range. A wrong mask or position moves them
by more in float32; in half precision only gross faults can be told from rounding."""

SAFETY = 8
"""Two tokens closer than this many times the largest difference seen are a near-tie."""

_CONTINUED = 3


class Support(Enum):
    """
    What is known about one way of running a model.
    """

    UNCHECKED = "unchecked"
    CONFIRMED = "confirmed"
    REFUTED = "refuted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """
    What checks have shown so far about one way of running a model.
    """

    support: Support = Support.UNCHECKED
    tokens: int = 0
    """If confirmed: up to how many tokens of prompt and answer together."""
    near_tie: float = 0.0
    """If confirmed: the largest difference between two logits that counts as a near-tie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """
    The result of one check.
    """

    max_difference: float | None
    """The largest difference of any logit; None where the model cannot be run in this way."""
    reason: str = ""
    """Why not, in words."""

    @property
    def near_tie(self) -> float:
        """
        How close two logits must be for a batch to possibly decide otherwise than one prompt alone.
        """
        return SAFETY * (self.max_difference or 0.0)


def agreement(model: Any, engine: Engine, prompts: Sequence[Prompt], reach: int) -> Agreement:
    """
    Run the longest and the shortest of *prompts* through *engine*, and each by itself through
    *model* as it is; compare the logits at the prompt's end and at a few tokens after it.

    The longest is continued up to *reach* tokens: an answer alone may meet what a model does only
    from some length on, such as the end of a window or a chunk.

    Raises:
        OutOfMemory: if they do not fit.
    """
    import torch

    by_length = sorted(prompts, key=lambda prompt: len(prompt.ids))
    longest = by_length[-1]
    # Any tokens will do: logits are compared, not answers.
    more = islice(cycle(longest.ids), max(0, reach - len(longest.ids) - _CONTINUED - 1))
    probes = [replace(longest, ids=[*longest.ids, *more]), *by_length[: len(by_length) > 1]]
    drafts = [prompt.ids[:_CONTINUED] for prompt in probes]
    pairs = []
    try:
        for prompt, draft, found in zip(probes, drafts, engine.logits(probes, drafts), strict=True):
            ids = [*prompt.ids, *draft, int(found[-2].argmax())]
            with model_errors([prompt]), torch.inference_mode():
                plain = model(
                    input_ids=torch.tensor([ids], device=model.device),
                    use_cache=False,
                    logits_to_keep=len(found),
                ).logits[0]
                pairs.append((plain.float(), found.float()))
    except HarnessError as exc:
        return Agreement(max_difference=None, reason=str(exc))
    return _compared(pairs, str(model.dtype))


def padding_agreement(model: Any, prompts: Sequence[Prompt], stops: Stops) -> Agreement:
    """
    Run the shortest of *prompts* beside the longest, left-padded, and by itself; compare.

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
        return Agreement(max_difference=None, reason=str(exc))
    pairs = list(zip(alone.watched, beside.watched, strict=False))
    # After different tokens there is nothing to compare.
    return _compared(pairs[: 1 + (alone.ids[0] == beside.ids[0])], str(model.dtype))


def _compared(pairs: Sequence[tuple[Any, Any]], dtype: str) -> Agreement:
    """
    Return whether logits, plain and found, differ by no more than the rounding of *dtype*.
    """
    import torch

    largest, spread = 0.0, 0.0
    for plain, found in pairs:
        difference = torch.where(plain == found, 0.0, (plain - found).abs())
        if not difference.isfinite().all():
            return Agreement(max_difference=None, reason="some logits are finite in one way only")
        largest = max(largest, float(difference.max()))
        # Masked tokens, at the lowest number there is, do not count towards the range.
        usual = plain[plain.abs() < torch.finfo(plain.dtype).max / 2]
        spread = max(spread, float(usual.max() - usual.min()) if usual.numel() else 0.0)
    if largest > ROUNDING[dtype.removeprefix("torch.")] * spread:
        reason = f"logits differ by {largest:.2g} of {spread:.2g}"
        return Agreement(max_difference=None, reason=reason)
    return Agreement(max_difference=largest)
