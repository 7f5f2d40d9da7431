"""
Digests that identify a checkpoint's weights, adapter, tokenizer and template.
"""

import json
from pathlib import Path
from typing import Any

from harness.canonical import digest, digest_bytes
from harness.checkpoints.cache import file_digest
from harness.checkpoints.chat_template import chat_template
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.locate import ADAPTER_CONFIG, Located
from harness.errors import CheckpointError, boundary


def digests(located: Located, tokenizer: Any) -> dict[str, str | None]:
    """
    Return the digests of weights, adapter, tokenizer and template, as the fields of `Checkpoint`.

    Equal content has equal digests wherever it is stored. Weights are digested by the bytes of
    their files in name order; an adapter by its weights and its config without the name of its
    base; a tokenizer by what it does, not by how it was saved.
    """
    with boundary(CheckpointError, f"{located.reference} cannot be digested"):
        files = (
            [located.gguf] if located.gguf else sorted(located.folder.glob("model*.safetensors"))
        )
        return {
            "weights": digest([file_digest(file) for file in files]),
            "adapter": None if located.adapter is None else adapter_digest(located.adapter),
            **tokenizer_digests(tokenizer),
        }


def holds_weights(folder: Path, checkpoint: Checkpoint) -> bool:
    """
    Return whether *folder* still holds the weights, or the adapter, of *checkpoint*.

    Raises:
        CheckpointError: if they cannot be read.
    """
    with boundary(CheckpointError, f"{folder} cannot be digested"):
        if (folder / ADAPTER_CONFIG).is_file():
            return checkpoint.adapter == adapter_digest(folder)
        files = sorted(folder.glob("model*.safetensors"))
        return checkpoint.weights == digest([file_digest(file) for file in files])


def tokenizer_digests(tokenizer: Any) -> dict[str, str]:
    """
    Return the digests of a tokenizer and its template, as the fields of `Checkpoint`.
    """
    return {
        "tokenizer": _tokenizer_digest(tokenizer),
        "template": digest_bytes([chat_template(tokenizer).encode()]),
    }


def adapter_digest(adapter: Path) -> str:
    """
    Return the digest of an adapter's weights and configuration, wherever its base is.
    """
    config = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    for place in ("base_model_name_or_path", "revision"):
        config.pop(place, None)
    files = sorted(adapter.glob("adapter_model*.safetensors"))
    return digest([config, *(file_digest(file) for file in files)])


def _tokenizer_digest(tokenizer: Any) -> str:
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    if not tokenizer.is_fast:
        added = {str(id_): str(token) for id_, token in tokenizer.added_tokens_decoder.items()}
        return digest([type(tokenizer).__name__, tokenizer.get_vocab(), added, special])
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    # Traces of the last call that padded or truncated, not part of the tokenizer.
    for trace in ("padding", "truncation"):
        rules.pop(trace, None)
    return digest([rules, special])
