"""
The thing under test: a reference, the files it names, and the digests that identify them.

No code that comes with a checkpoint is ever run: `trust_remote_code` is off, and weights are
safetensors or GGUF, never pickle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from harness.canonical import fields_from


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """
    Weights, adapter, tokenizer and chat template, by digest, and their dialect.

    A digest is None where there is nothing to digest, such as the adapter of a full model.
    """

    reference: str
    weights: str | None = None
    adapter: str | None = None
    tokenizer: str | None = None
    template: str | None = None
    dialect: str
    dialect_version: int
    response_template: str | None = None
    """The tokenizer's own response template, as JSON, where that is the dialect."""
    not_shown: tuple[str, ...] = ()
    """What the chat template leaves out of the suite's tools, a line for each tool."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What another version of the harness, or another program, says of it in run.json."""

    @classmethod
    def from_json(cls, block: Mapping[str, Any]) -> Self:
        """
        Read the ``checkpoint`` block of run.json.
        """
        return cls(**{**fields_from(block, cls), "not_shown": tuple(block.get("not_shown", ()))})

    def to_json(self) -> dict[str, Any]:
        """
        Return the ``checkpoint`` block of run.json.
        """
        block: dict[str, Any] = {
            "reference": self.reference,
            "weights": self.weights,
            "adapter": self.adapter,
            "tokenizer": self.tokenizer,
            "template": self.template,
            "dialect": self.dialect,
            "dialect_version": self.dialect_version,
        }
        if self.response_template is not None:
            block["response_template"] = self.response_template
        if self.not_shown:
            block["not_shown"] = list(self.not_shown)
        return block | dict(self.extra)
