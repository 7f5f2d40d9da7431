"""
What those who open a checkpoint somewhere else say of it, and how its requests are divided.
"""

import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.backends.base import (
    Backend,
    BackendOptions,
    Preflighted,
    Request,
    Templated,
    Watched,
)
from harness.backends.registry import open_backend
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.reference import SERVED, parse_reference
from harness.errors import BackendError, UsageError
from harness.provenance import hardware, packages

CHUNK = 256
"""Requests handed over at once: as many as a GPU answers together."""

_CHUNKS_EACH = 4
# So many chunks each, of a small run: one that is slower than the others gets fewer.


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """
    What is known of a checkpoint where it was opened.
    """

    checkpoint: Checkpoint
    described: Mapping[str, Any]
    """The ``backend`` block of run.json."""
    packages: Mapping[str, str]
    hardware: Mapping[str, Any]
    tokenizer: Any = field(default=None, compare=False)
    """That of the backend, if it writes its prompts with one."""

    def apart(self, other: "Opened") -> str | None:
        """
        Return in what *other* is another checkpoint, or runs it otherwise; None if it does not.
        """
        for name in ("checkpoint", "described", "packages"):
            if (ours := getattr(self, name)) != (theirs := getattr(other, name)):
                if name == "checkpoint":
                    ours, theirs = ours.to_json(), theirs.to_json()
                return next(
                    f"{key} is {theirs.get(key)!r} there and {ours.get(key)!r} elsewhere"
                    for key in dict.fromkeys([*ours, *theirs])
                    if ours.get(key) != theirs.get(key)
                )
        return None


def open_here(text: str, options: BackendOptions) -> tuple[Backend, Opened]:
    """
    Open the checkpoint *text* in this process, and return what is known of it.

    Raises:
        UsageError: if it is a server, which is asked by one process.
        HarnessError: as `open_backend`.
    """
    backend = open_backend(text, options)
    if isinstance(backend, Preflighted | Watched):
        backend.close()
        raise is_served(text)
    return backend, Opened(
        checkpoint=backend.checkpoint,
        described=dict(backend.describe()),
        packages=packages(),
        hardware=hardware(),
        tokenizer=backend.tokenizer if isinstance(backend, Templated) else None,
    )


def refuse_served(text: str) -> None:
    """
    Refuse a checkpoint that is served, before anything is started.

    Raises:
        UsageError: if *text* names one.
    """
    if parse_reference(text).scheme in SERVED:
        raise is_served(text)


def is_served(text: str) -> UsageError:
    """
    Return the error about a server that should be asked by several processes.
    """
    return UsageError(
        f"{text} is a server, which one process asks: name several URLs, or raise --concurrency, "
        "and drop --workers, --devices and --on"
    )


def in_chunks(requests: Sequence[Request], many: int) -> deque[tuple[Request, ...]]:
    """
    Return *requests* in chunks for so *many* to answer, those with the same tools together.
    """
    first: dict[tuple[int, ...], int] = {}
    # Cases that share tools share them as objects: their prompts begin alike.
    places = [first.setdefault(tuple(map(id, each.tools)), len(first)) for each in requests]
    order = sorted(range(len(requests)), key=places.__getitem__)
    size = max(1, min(CHUNK, -(-len(requests) // (many * _CHUNKS_EACH))))
    return deque(
        tuple(requests[place] for place in order[start : start + size])
        for start in range(0, len(order), size)
    )


def common_hardware(found: Iterable[Opened]) -> Mapping[str, Any]:
    """
    Return the hardware of all of them; empty where it differs.
    """
    known = [each.hardware for each in found]
    return known[0] if known and all(each == known[0] for each in known) else {}


def not_the_same(text: str, apart: str) -> BackendError:
    """
    Return the error about a checkpoint that is another one elsewhere.
    """
    return BackendError(f"{text} is not the same everywhere: {apart}")


def share_cores(among: int) -> None:
    """
    Use no more threads than this process's share of the cores, unless the user says how many.
    Before a library that reads it is loaded.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (cores or 1) // among)))
