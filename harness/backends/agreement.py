"""
May this model be run with a shared prefix? Asked of the model itself, not of its name.

Some of the prompts that are to be answered are put to it both ways, and the logits compared. Where
they differ by more than rounding does, or the model cannot be run in this way at all, the caller
answers with left-padded batches instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.backends.decoding import Prompt, model_at_work
from harness.backends.engine import Engine
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


def agreement(model: Any, engine: Engine, prompts: Sequence[Prompt]) -> Agreement:
    """
    Put the longest and the shortest of *prompts* to *model* by *engine*, and each alone as it would
    be without us; a few tokens behind the prompt are compared too.

    Raises:
        OutOfMemory: if they do not fit.
    """
    import torch

    by_length = sorted(prompts, key=lambda prompt: len(prompt.ids))
    probes = by_length[-1:] + by_length[:1] * (len(by_length) > 1)
    # Any tokens do: what is compared are logits, not answers.
    drafts = [prompt.ids[:_CONTINUED] for prompt in probes]
    noise, spread = 0.0, 0.0
    try:
        for prompt, draft, found in zip(probes, drafts, engine.logits(probes, drafts), strict=True):
            ids = [*prompt.ids, *draft, int(found[-2].argmax())]
            with model_at_work([prompt]), torch.inference_mode():
                plain = model(
                    input_ids=torch.tensor([ids], device=model.device),
                    use_cache=False,
                    logits_to_keep=len(found),
                ).logits[0]
            noise = max(noise, float((plain.float() - found.float()).abs().max()))
            spread = max(spread, float(plain.max() - plain.min()))
    except HarnessError as exc:
        return Agreement(noise=None, reason=str(exc))
    # Not the other way round: what is no number is no agreement.
    if not noise <= ROUNDING[str(model.dtype).removeprefix("torch.")] * spread:
        return Agreement(noise=None, reason=f"logits differ by {noise:.2g} of {spread:.2g}")
    return Agreement(noise=noise)
