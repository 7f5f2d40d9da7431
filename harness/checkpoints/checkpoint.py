"""
The thing under test: a reference, the files it names, and the digests that identify them.

No code that comes with a checkpoint is ever run: `trust_remote_code` is off, and weights are
safetensors or GGUF, never pickle.
"""

from dataclasses import dataclass
from typing import Any


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

    def to_json(self) -> dict[str, Any]:
        """
        Return the ``checkpoint`` block of run.json.
        """
        block = {name: getattr(self, name) for name in self.__slots__}
        if self.response_template is None:
            del block["response_template"]
        block["not_shown"] = list(self.not_shown)
        if not self.not_shown:
            del block["not_shown"]
        return block
