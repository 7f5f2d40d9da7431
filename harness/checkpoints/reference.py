"""
What names a checkpoint: a scheme and what it leads to, such as ``hf:org/name@revision``.
"""

import re
from dataclasses import dataclass

from harness.errors import UsageError

SCHEMES = ("hf", "gguf", "embedded", "replay", "python")


HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(@(?P<revision>[^@\s]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """
    A checkpoint reference, split: ``hf:org/name@revision`` has scheme hf and a target.
    """

    scheme: str
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.target}"


def parse_reference(text: str) -> Reference:
    """
    Split a checkpoint reference. A text without a known scheme is a folder or a hub id: ``hf:``.

    Raises:
        UsageError: if nothing follows the scheme.
    """
    scheme, colon, target = text.partition(":")
    if not colon or scheme not in SCHEMES:
        scheme, target = "hf", text
    if not target:
        raise UsageError(
            f"checkpoint {text!r} names nothing; try hf:org/name, a folder, gguf:FILE, "
            "embedded:smollm2-135m, replay:FILE or python:package.module:function"
        )
    return Reference(scheme=scheme, target=target)
