"""
Tokenizer and model of a located checkpoint, loaded without code from its repository.
"""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.checkpoints.embedded import quiet_transformers
from harness.checkpoints.locate import TOKENIZER_CONFIG, Located
from harness.errors import CheckpointError, MissingDependencyError, boundary


def load_tokenizer(located: Located) -> Any:
    """
    Load the tokenizer, that of the adapter if it has one, else that of its base. It pads left.

    A ``chat_template.jinja`` beside a GGUF file replaces the template inside it.

    Raises:
        CheckpointError: if it cannot be loaded, or not without running code of its own.
    """
    from transformers import AutoTokenizer

    adapter = located.adapter
    own = adapter is not None and (adapter / TOKENIZER_CONFIG).is_file()
    source = adapter if adapter is not None and own else located.folder
    gguf = {} if located.gguf is None or own else {"gguf_file": located.gguf.name}
    with _loading(located, "tokenizer"), quiet_transformers():
        tokenizer: Any = AutoTokenizer.from_pretrained(
            source, **gguf, padding_side="left", local_files_only=True, trust_remote_code=False
        )
        beside = located.folder / "chat_template.jinja"
        if gguf and beside.is_file():
            tokenizer.chat_template = beside.read_text(encoding="utf-8")
    return tokenizer


def load_model(located: Located, *, dtype: str, device: str, attention: str | None = None) -> Any:
    """
    Load the weights, ready to answer; an adapter is merged into its base.

    Raises:
        CheckpointError: if they cannot be loaded, are incomplete, or need code of their own.
        MissingDependencyError: for an adapter without peft.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    # Without `dequantize` a GGUF model can be neither saved nor trained.
    gguf: dict[str, Any] = (
        {}
        if located.gguf is None
        else {
            "gguf_file": located.gguf.name,
            "quantization_config": GgufConfig(dequantize=True),
        }
    )
    with _loading(located, "model"), quiet_transformers():
        model: Any
        model, report = AutoModelForCausalLM.from_pretrained(
            located.folder,
            dtype=getattr(torch, dtype),
            attn_implementation=attention,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **gguf,
        )
        # transformers fills missing weights with random numbers and only logs it.
        missing = sorted(report["missing_keys"]) + sorted(str(k) for k in report["mismatched_keys"])
        if missing:
            raise CheckpointError(
                f"{located.reference}: {len(missing)} weights are missing or have the wrong shape, "
                f"such as {missing[0]}"
            )
        if located.adapter is not None:
            model = _merged(model, located.adapter)
        return model.to(device).eval()


def _merged(model: Any, adapter: Path) -> Any:
    try:
        from peft import PeftModel
    except ImportError as exc:
        raise MissingDependencyError(
            f"{adapter} is a PEFT adapter and peft is not installed: "
            'pip install "toolcall-harness[lora]"'
        ) from exc
    with warnings.catch_warnings():
        # peft still uses the name of a setting that transformers renamed in 5.23.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
        adapted = PeftModel.from_pretrained(model, adapter, use_safetensors=True)
        return adapted.merge_and_unload()


@contextlib.contextmanager
def _loading(located: Located, part: str) -> Iterator[None]:
    try:
        with boundary(CheckpointError, f"the {part} of {located.reference} cannot be loaded"):
            yield
    except CheckpointError as exc:
        if exc.__cause__ is not None and "trust_remote_code" in str(exc.__cause__):
            raise CheckpointError(
                f"{located.reference} needs code of its own (trust_remote_code), which is off and "
                "stays off; use a version for an architecture that transformers supports"
            ) from exc.__cause__
        raise
