"""
What checks have shown about a model, kept on this machine: the same model is not checked again.

Everything that could change a check is in the name of its file: weights, adapter, tokenizer,
template and configuration, dtype and device, the versions of torch and transformers, how sums are
split, and the code of this engine. Only a check that confirmed is kept: one that refuted is made
again, and says why again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.backends.engine.agreement import Checked, Support
from harness.canonical import digest, digest_bytes
from harness.checkpoints.cache import cache_folder, keep, kept
from harness.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """
    The place where checks of one model, as it is loaded, are kept.
    """

    file: Path

    @classmethod
    def of(cls, checkpoint: Checkpoint, model: Any) -> "Memory":
        """
        Return the place for *model*, which was loaded from *checkpoint*.
        """
        name = digest(_identity(checkpoint, model)).removeprefix("sha256:")
        return cls(file=cache_folder() / "agreement" / f"{name}.json")

    def recall(self) -> Checked:
        """
        Return what was confirmed before; unchecked if nothing was, or it cannot be read.
        """
        match kept(self.file):
            case {"tokens": int(tokens), "near_tie": float(near_tie)}:
                return Checked(support=Support.CONFIRMED, tokens=tokens, near_tie=near_tie)
        return Checked()

    def remember(self, checked: Checked) -> None:
        """
        Keep *checked* if it was confirmed.
        """
        if checked.support is Support.CONFIRMED:
            keep(self.file, {"tokens": checked.tokens, "near_tie": checked.near_tie})


def _identity(checkpoint: Checkpoint, model: Any) -> Mapping[str, Any]:
    import torch
    import transformers

    config = json.loads(model.config.to_json_string(use_diff=False))
    config.pop("_name_or_path", None)  # where it lies
    return {
        "weights": checkpoint.weights,
        "adapter": checkpoint.adapter,
        "tokenizer": checkpoint.tokenizer,
        "template": checkpoint.template,
        # Equal weights with other positions or windows are another model.
        "config": config,
        "attention": model.config._attn_implementation,
        "dtype": str(model.dtype),
        "device": _device(model.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "engine": _code(),
    }


def _device(device: Any) -> str:
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}"


@cache
def _code() -> str:
    """
    Return the digest of this engine's source: what another version of it confirmed counts for
    nothing.
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    return digest_bytes([file.read_bytes() for file in files])
