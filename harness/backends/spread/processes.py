"""
A checkpoint opened in several processes of this machine, one a device.

The requests are a queue of chunks. A process that ends by itself, for want of memory or by a fault
of its device, is replaced, and what it had not answered of its chunk is asked again, twice, each
time in smaller chunks, so that the fault of one request is found; then these answers are errors.
Answers come one by one in no order, and only this process passes them on,
so what is lost with a process is what it was answering.
"""

import multiprocessing
import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Self

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.spread.opened import (
    Opened,
    common_hardware,
    in_chunks,
    not_the_same,
    refuse_served,
)
from harness.backends.spread.worker import Asked, Said, serve
from harness.checkpoints.checkpoint import Checkpoint
from harness.errors import BackendError, UsageError
from harness.transcript import Key, Transcript

TRIES = 3
"""How often a chunk is asked, and a process begun in vain, before nothing more is tried."""

_SMALLER = 8
# Into so many chunks what a process left behind is divided.

_PATIENCE = 5.0
# Seconds that a process has to end when it is told to.


class _Chunk:
    """
    Requests that are handed over together.
    """

    def __init__(self, requests: Sequence[Request], tries: int = 0) -> None:
        self.left: dict[Key, Request] = {each.key: each for each in requests}
        self.tries = tries
        """How often it was handed over, the chunk included that it is a part of."""

    def divided(self) -> Iterator["_Chunk"]:
        """
        Yield what is left of it in smaller chunks.
        """
        left = tuple(self.left.values())
        size = -(-len(left) // _SMALLER)
        for start in range(0, len(left), size):
            yield _Chunk(left[start : start + size], self.tries)


class _Worker:
    """
    A process, and what it is doing.
    """

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process = process
        self.connection = connection
        self.opened: Opened | None = None
        self.chunk: _Chunk | None = None

    def hand(self, chunk: _Chunk, generation: Generation) -> None:
        """
        Hand over what is left of *chunk*.
        """
        self.chunk = chunk
        chunk.tries += 1
        # One that has just ended is found out when it is listened to.
        with suppress(OSError):
            self.connection.send(Asked(requests=tuple(chunk.left.values()), generation=generation))

    def end(self) -> int | None:
        """
        End the process, and return the exit code that it had by itself.
        """
        self.connection.close()
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        for end in (self.process.terminate, self.process.kill):
            if self.process.is_alive():
                end()
                self.process.join(_PATIENCE)
        return code


class ProcessesBackend:
    """
    One checkpoint, opened by several processes.
    """

    at_once = 65_536
    """Requests that are best given together: at the end of each such lot some processes wait."""

    def __init__(
        self, text: str, options: BackendOptions, *, workers: int, devices: Sequence[str]
    ) -> None:
        self._text = text
        self._options = options
        self._places = [_placed(options, number, devices) for number in range(workers)]
        self._workers: dict[int, _Worker] = {}
        self._in_vain = 0
        self._opened: Opened
        self._all_opened: list[Opened] = []

    @classmethod
    def open(
        cls, text: str, options: BackendOptions, *, workers: int, devices: Sequence[str] = ()
    ) -> Self:
        """
        Open the checkpoint *text* in so many processes, on *devices* in turn, or on the GPUs that
        there are. It is open when the first process has opened it.

        Raises:
            UsageError: if it is a server, or a device is not there.
            HarnessError: as `open_backend`.
        """
        refuse_served(text)
        with ExitStack() as stack:
            backend = cls(text, options, workers=workers, devices=devices)
            stack.callback(backend.close)
            for number in range(workers):
                backend._begin(number)
            while not backend._all_opened:
                for _ in backend._listen():
                    pass
            backend._opened = backend._all_opened[0]
            if backend._opened.tokenizer is not None:
                # By this it is known to be `Templated`.
                backend.tokenizer = backend._opened.tokenizer
            stack.pop_all()
        return backend

    tokenizer: Any

    @property
    def checkpoint(self) -> Checkpoint:
        """
        The checkpoint that all of them run.
        """
        return self._opened.checkpoint

    def describe(self) -> Mapping[str, Any]:
        """
        Return the ``backend`` block of run.json, which is that of each process.
        """
        return self._opened.described

    def hardware(self) -> Mapping[str, Any]:
        """
        Return what each process sees of this machine.
        """
        return common_hardware(self._all_opened)

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer *requests*, each group as soon as some process has made it.

        Raises:
            BackendError: if a process says that nothing can be answered, or none can be begun.
        """
        queue = deque(_Chunk(each) for each in in_chunks(requests, len(self._places)))
        try:
            while queue or any(each.chunk for each in self._workers.values()):
                for number in range(len(self._places)):
                    if queue and number not in self._workers:
                        self._begin(number)
                for worker in self._workers.values():
                    if queue and worker.opened is not None and worker.chunk is None:
                        worker.hand(queue.popleft(), generation)
                for item in self._listen():
                    if isinstance(item, _Chunk):
                        queue.appendleft(item)
                    else:
                        yield item
        finally:
            # Whoever stopped listening must not get these answers with the next ones.
            for number, worker in list(self._workers.items()):
                if worker.chunk is not None:
                    del self._workers[number]
                    worker.process.terminate()
                    worker.end()

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Refuse: processes that share a machine are in each other's way.

        Raises:
            UsageError: always.
        """
        raise UsageError("answers are timed by one process alone; drop --workers and --devices")

    def close(self) -> None:
        """
        End all processes.
        """
        workers = list(self._workers.values())
        self._workers.clear()
        for worker in workers:
            if worker.opened is None or worker.chunk is not None:
                worker.process.terminate()
            worker.connection.close()
        for worker in workers:
            worker.end()

    def _begin(self, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        options, visible = self._places[number]
        process = context.Process(
            target=serve,
            args=(there, self._text, options),
            kwargs={"among": len(self._places), "visible": visible},
        )
        with _uninterrupted():
            process.start()
        there.close()
        self._workers[number] = _Worker(process, here)

    def _listen(self) -> Iterator["Sequence[Transcript] | _Chunk"]:
        """
        Wait until some process says something; yield answers, and chunks to be asked again.
        """
        numbers = {worker.connection: number for number, worker in self._workers.items()}
        for connection in wait(list(numbers)):
            assert isinstance(connection, Connection)
            number = numbers[connection]
            worker = self._workers[number]
            try:
                said: Said = connection.recv()
            except (EOFError, OSError):
                yield from self._lost(number)
                continue
            if said.note is not None:
                self._options.notify(said.note)
            elif said.error is not None:
                raise said.error
            elif said.opened is not None:
                self._arrived(worker, said.opened)
            elif said.done:
                worker.chunk = None
            elif said.answers is not None and worker.chunk is not None:
                self._in_vain = 0
                for each in said.answers:
                    worker.chunk.left.pop(each.key, None)
                yield said.answers

    def _arrived(self, worker: _Worker, opened: Opened) -> None:
        if self._all_opened and (apart := self._all_opened[0].apart(opened)):
            raise not_the_same(self._text, apart)
        worker.opened = opened
        self._all_opened.append(replace(opened, tokenizer=None) if self._all_opened else opened)
        self._in_vain = 0

    def _lost(self, number: int) -> Iterator["Sequence[Transcript] | _Chunk"]:
        """
        Put up with the end of a process: yield what it leaves behind.
        """
        worker = self._workers.pop(number)
        code = worker.end()
        ended = "was killed" if code is None else _ended(code)
        if worker.opened is None:
            self._in_vain += 1
            if self._in_vain >= TRIES:
                raise BackendError(
                    f"{self._text}: a process that opens it {ended}, {self._in_vain} times in a "
                    "row; use fewer --workers if memory is short"
                )
            self._options.notify(f"a process that opens {self._text} {ended}; begun again")
            self._begin(number)
            return
        chunk = worker.chunk
        if chunk is None or not chunk.left:
            return
        if chunk.tries < TRIES:
            self._options.notify(f"a process {ended}; {len(chunk.left)} answers are asked again")
            yield from chunk.divided()
            return
        self._options.notify(
            f"a process {ended}, {TRIES} times with the same requests; {len(chunk.left)} answers "
            "are errors"
        )
        error = f"the process that answered {ended}, {TRIES} times"
        yield [Transcript(key=key, error=error) for key in chunk.left]


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended by itself (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"was killed by {name}"


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """
    Begin processes in the block that do not hear Ctrl-C, which a terminal sends to all of them.
    This one ends them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _placed(
    options: BackendOptions, number: int, devices: Sequence[str]
) -> tuple[BackendOptions, str | None]:
    """
    Return how the worker of this *number* opens the checkpoint, and which GPUs it sees.

    A worker sees only its own GPU, so that whatever a library does on the first one is done there.
    """
    quiet = replace(options, notify=_nobody, progress=False)
    if devices:
        kind, colon, index = devices[number % len(devices)].partition(":")
        if kind != "cuda" or not colon:
            return replace(quiet, device=kind), None
        there = _gpus()
        if not index.isdecimal() or int(index) >= len(there):
            raise UsageError(
                f"--devices: there is no cuda:{index}; this machine has {len(there)} GPUs"
            )
        return replace(quiet, device=kind), there[int(index)]
    if options.device is not None:
        return quiet, None
    there, each = _gpus(), options.tensor_parallel or 1
    if not there:
        return quiet, None
    mine = [there[(number * each + place) % len(there)] for place in range(each)]
    return quiet, ",".join(mine)


def _gpus() -> list[str]:
    """
    Return the NVIDIA GPUs of this machine, or those that this process may see, by their names.
    """
    if (said := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [each.strip() for each in said.split(",") if each.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    # Asked of no library: loading one that uses GPUs takes memory on each of them.
    listed = subprocess.run(
        ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=False,
    )
    return listed.stdout.split() if listed.returncode == 0 else []


def _nobody(_: str) -> None:
    """
    Tell nobody: a worker puts its own way to tell in the place of this.
    """
