"""
The model that a trainer holds, as a backend: asked as it is at this moment and left as it was.
"""

import contextlib
import hashlib
import random
from collections.abc import Callable, Iterator
from typing import Any

from harness.backends.transformers import TransformersBackend
from harness.canonical import canonical_json
from harness.checkpoints.chat_template import chat_template, preflight
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.digests import tokenizer_digests
from harness.dialects.registry import chosen, own_template
from harness.errors import TrainingError


@contextlib.contextmanager
def live_backend(
    model: Any,
    tokenizer: Any,
    *,
    reference: str,
    weights: str,
    declares_tools: bool,
    dialect: str | None = None,
    batch_size: int | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> Iterator[TransformersBackend]:
    """
    Yield a backend for *model*, whose `weights_digest` is *weights*. When it is left, the model's
    settings and all random states are as they were: training goes on as if nothing had been asked.

    Raises:
        TemplateError: if the tokenizer's chat template drops tools, where they are declared.
        DialectError: if the dialect is not given and cannot be found from the chat template.
        TrainingError: if the model is an adapter that is not a part of its layers.
    """
    spoken = chosen(dialect, chat_template(tokenizer), tokenizer)
    preflight(tokenizer, tools=declares_tools)
    adapted = hasattr(model, "get_base_model")
    if adapted and model.active_peft_config.is_prompt_learning:
        raise TrainingError("a model with learned prompts cannot be asked while it is trained")
    checkpoint = Checkpoint(
        reference=reference,
        weights=None if adapted else weights,
        adapter=weights if adapted else None,
        **dict[str, Any](tokenizer_digests(tokenizer)),
        dialect=spoken.name,
        dialect_version=spoken.version,
        response_template=own_template(spoken),
    )
    # The adapter's layers are in the base model.
    inner = model.get_base_model() if adapted else model
    with _as_it_was(inner), _random_states():
        inner.eval()
        yield TransformersBackend(
            checkpoint=checkpoint,
            model=inner,
            tokenizer=tokenizer,
            dialect=spoken,
            batch_size=batch_size,
            notify=notify,
        )


@contextlib.contextmanager
def _as_it_was(model: Any) -> Iterator[None]:
    """
    Put back what asking changes about *model*; meanwhile its arithmetic is that of its weights.
    """
    modes = {module: module.training for module in model.modules()}
    settings = model.generation_config
    # Accelerate's, which computes in half precision whatever the weights are.
    wrapped = model.__dict__.get("forward")
    if wrapped is not None and "_original_forward" in model.__dict__:
        model.forward = model._original_forward
    try:
        yield
    finally:
        if wrapped is not None:
            model.forward = wrapped
        model.generation_config = settings
        for module, mode in modes.items():
            module.training = mode


@contextlib.contextmanager
def _random_states() -> Iterator[None]:
    """
    Put back the random states of Python, numpy and torch.
    """
    import numpy as np
    import torch

    ours, theirs = random.getstate(), np.random.get_state()
    cpu = torch.random.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(theirs)
        torch.random.set_rng_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)


def weights_digest(model: Any) -> str:
    """
    Return the digest of a model's parameters; of an adapter's alone if only an adapter is trained.

    It is of the numbers, not of a file: a stored checkpoint with the same weights has another.
    """
    import torch

    adapted = hasattr(model, "get_base_model")
    found = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        if weight.requires_grad or not adapted:
            found.update(canonical_json([name, str(weight.dtype), list(weight.shape)]).encode())
            flat = weight.detach().to("cpu").contiguous().reshape(-1)
            found.update(memoryview(flat.view(torch.uint8).numpy()))
    return f"sha256:{found.hexdigest()}"
