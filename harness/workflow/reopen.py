"""
A run's checkpoint opened again as the run had it, to ask it something a second time.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace

from harness.backends.base import Backend
from harness.backends.registry import open_backend
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.reference import is_served
from harness.errors import CheckpointError, UsageError
from harness.runs.record import RunRecord
from harness.runs.serving import Serving
from harness.suites.suite import Suite
from harness.workflow.options import Progress, RunOptions, serving

WEIGHTS = ("weights", "adapter", "tokenizer", "template")


def options_of(record: RunRecord, *, api_key_env: str | None = None) -> RunOptions:
    """
    Return how the checkpoint of a run is opened at batch size 1. *api_key_env* names the variable
    with the key of a server.
    """
    return RunOptions(
        dialect=record.checkpoint.dialect,
        device=record.backend.device,
        dtype=record.backend.dtype,
        batch_size=1,
        tensor_parallel=record.backend.extra.get("tensor_parallel"),
        preflight=False,
        tokenizer=record.checkpoint.extra.get("tokenizer_of"),
        api_key_env=api_key_env if is_served(record.checkpoint.reference) else None,
        repeats=1 + int(record.columns.repeats.max()),
        tool_names=record.backend.tool_names,
        arm=record.backend.arm,
    )


@contextmanager
def reopened(
    record: RunRecord, suite: Suite, options: RunOptions, progress: Progress
) -> Iterator[Backend]:
    """
    Open the checkpoint of a run for as long as the block takes; *options* are those of
    `options_of`.

    Raises:
        HarnessError: if it cannot be opened, or is another one now.
    """
    opening = options.backend_options(suite, progress=progress)
    progress.make_room()
    with closing(open_backend(record.checkpoint.reference, opening)) as backend:
        _check_same(record, backend, options)
        yield backend


def at_batch_1(backend: Serving) -> Serving:
    """
    Return how the same is run at batch size 1, where the order has no effect.
    """
    # A backend that says nothing of batches says nothing of this one either.
    return replace(backend, batch=None if backend.batch is None else 1, order=None)


def weights_of(checkpoint: Checkpoint, backend: Serving) -> str | None:
    """
    Return the digest of a checkpoint's weights, which a served one has from its server, if at all.
    """
    server = backend.extra.get("server")
    said = server.get("weights") if isinstance(server, Mapping) else None
    return checkpoint.weights or (said if isinstance(said, str) else None)


def _check_same(record: RunRecord, backend: Backend, options: RunOptions) -> None:
    reference = record.checkpoint.reference
    now, then = backend.checkpoint, record.checkpoint
    served = serving(backend, options)
    if weights_of(now, served) != weights_of(then, record.backend):
        raise CheckpointError(f"{reference} is another checkpoint now: its weights differ")
    if changed := [name for name in WEIGHTS if getattr(now, name) != getattr(then, name)]:
        raise CheckpointError(f"{reference} is another checkpoint now: its {changed[0]} differ")
    was, here = at_batch_1(record.backend).to_json(), served.to_json()
    if apart := sorted(name for name in {*was, *here} if was.get(name) != here.get(name)):
        raise UsageError(
            f"{reference} cannot be run here as it was: backend.{apart[0]} was "
            f"{was.get(apart[0])} and is {here.get(apart[0])}"
        )
