"""
A process that opens a checkpoint and answers what it is handed, until nobody hands it anything.
"""

import os
import pickle
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.spread.opened import Opened, open_here, share_cores
from harness.errors import BackendError, HarnessError
from harness.transcript import Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What a worker is handed.
    """

    requests: tuple[Request, ...]
    generation: Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """
    What a worker hands back; exactly one of these.
    """

    opened: Opened | None = None
    note: str | None = None
    answers: Sequence[Transcript] | None = None
    done: bool = False
    """Everything that was handed over is answered."""
    error: HarnessError | None = None
    """The worker ends."""


_GONE = (EOFError, ConnectionError)
# Whoever hands out requests has ended: there is nobody to tell.


def serve(
    connection: Connection,
    text: str,
    options: BackendOptions,
    *,
    among: int,
    visible: str | None,
) -> None:
    """
    Open the checkpoint *text* and answer over *connection*, as one of so many workers.

    *visible* are the GPUs that it may use, as ``CUDA_VISIBLE_DEVICES`` has them; None leaves it.
    """
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    share_cores(among)
    with connection, suppress(*_GONE):
        try:
            _serve(connection, text, options)
        except HarnessError as error:
            connection.send(Said(error=error))
        except _GONE:
            raise
        except Exception as error:
            traceback.print_exc()
            said = f"{type(error).__name__}: {error}"
            connection.send(Said(error=BackendError(f"{text} failed while answering: {said}")))


def _serve(connection: Connection, text: str, options: BackendOptions) -> None:
    def notify(note: str) -> None:
        connection.send(Said(note=note))

    backend, opened = open_here(text, replace(options, notify=notify))
    try:
        connection.send(Said(opened=_sendable(opened)))
        while True:
            asked: Any = connection.recv()
            for group in backend.answer(asked.requests, asked.generation):
                connection.send(Said(answers=tuple(group)))
            connection.send(Said(done=True))
    finally:
        backend.close()


def _sendable(opened: Opened) -> Opened:
    try:
        pickle.dumps(opened)
    except Exception as error:
        reference = opened.checkpoint.reference
        raise BackendError(
            f"{reference}: its tokenizer cannot be sent to another process ({error}); drop "
            "--workers, --devices and --on"
        ) from error
    return opened
