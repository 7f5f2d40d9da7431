"""
How a checkpoint was run: the ``backend`` block of run.json.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from harness.canonical import fields_from


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """
    The backend, and how the run had it ask. Runs that differ here were asked differently.
    """

    name: str
    dtype: str | None = None
    device: str | None = None
    batch: int | str | None = None
    """How many prompts were answered at once, or "auto"; None where a backend knows no batches."""
    attention: str | None = None
    tool_names: str | None = None
    """The style in which the model was shown the names of its tools; None: as they are."""
    arm: str | None = None
    """What the model was given of an executed suite (`harness.scoring.arms`); None: the suite as it
    is."""
    order: int | None = None
    """Which shuffle the cases were asked in; None: as the suite has them."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What another version of the harness, or another program, says of it in run.json."""

    @classmethod
    def from_json(cls, block: Mapping[str, Any]) -> Self:
        """
        Read the ``backend`` block of run.json, or what a backend reports about itself.
        """
        return cls(**fields_from(block, cls))

    def to_json(self) -> dict[str, Any]:
        """
        Return the ``backend`` block of run.json; what a run did not ask for is left out.
        """
        block: dict[str, Any] = {
            "name": self.name,
            "dtype": self.dtype,
            "device": self.device,
            "batch": self.batch,
            "attention": self.attention,
        }
        if self.tool_names is not None:
            block["tool_names"] = self.tool_names
        if self.arm is not None:
            block["arm"] = self.arm
        if self.order is not None:
            block["order"] = self.order
        return block | dict(self.extra)
