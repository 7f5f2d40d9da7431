"""
A checkpoint opened by actors on a Ray cluster, through Ray Data.

The actors open our backend and use nothing that Ray has for models: prompts, stops and reading are
the same everywhere. An actor, or the node that it is on, may be lost: Ray begins it again elsewhere
and hands its chunks over again, as often as it takes. A chunk that has taken three actors down is
errors. Answers are known by their key, so a second try changes nothing.
"""

import logging
import os
import pickle
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.spread.opened import (
    Opened,
    common_hardware,
    in_chunks,
    not_the_same,
    open_here,
    refuse_served,
)
from harness.backends.spread.worker import Asked, Said
from harness.checkpoints.checkpoint import Checkpoint
from harness.errors import BackendError, HarnessError, MissingDependencyError, UsageError
from harness.transcript import Key, Transcript

TRIES = 3
"""How often a chunk is begun before it is blamed for the actors that were lost with it."""

_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
# Read when ray is imported, and by what it starts.


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    What an actor needs to find what this process finds.
    """

    folder: str
    path: tuple[str, ...]

    @classmethod
    def here(cls) -> Self:
        """
        Return that of this process.
        """
        return cls(folder=str(Path.cwd()), path=tuple(sys.path))

    def enter(self) -> None:
        """
        Go there, as far as this machine has it.
        """
        with suppress(OSError):
            os.chdir(self.folder)
        sys.path += [each for each in self.path if each not in sys.path]


class Tries:
    """
    The actor that counts how often chunks were begun. It is beside the one who hands them out, as
    what counts must outlive who is counted.
    """

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, chunk: int) -> int:
        """
        Count one more try of the chunk of this number, and return how many there were.
        """
        self._begun[chunk] += 1
        return self._begun[chunk]


class Answering:
    """
    The actor that answers: one opened checkpoint.
    """

    def __init__(self, text: str, options: BackendOptions, place: Place, tries: Any) -> None:
        place.enter()
        self._tries = tries
        self._notes: list[str] = []
        self._error: HarnessError | None = None
        try:
            # Notes of how it is opened are those of every actor.
            self._backend, opened = open_here(text, replace(options, notify=self._notes.append))
            self._opened = replace(opened, tokenizer=None)
        except HarnessError as error:
            self._error = error
        self._notes.clear()

    def __call__(self, batch: Any) -> Any:
        """
        Answer the chunks in *batch*, a table of pyarrow, and return such a table.
        """
        import pyarrow
        import ray

        said = []
        for number, asked in zip(batch["number"], batch["asked"], strict=True):
            try:
                tried = ray.get(self._tries.begin.remote(number.as_py()))
            except ray.exceptions.RayError:
                tried = 1  # whoever counts is lost, and with it who asks
            said.append(pickle.dumps(self._answered(pickle.loads(asked.as_py()), tried)))
        return pyarrow.table({"said": said})

    def _answered(self, asked: Asked, tried: int) -> Said:
        if self._error is not None:
            return Said(error=self._error)
        if tried > TRIES:
            lost = f"the actor that answered was lost, {TRIES} times"
            broken = [Transcript(key=each.key, error=lost) for each in asked.requests]
            said = f"{len(broken)} answers are errors: {lost} with the same requests"
            return Said(answers=broken, note=said)
        answers: list[Transcript] = []
        try:
            for group in self._backend.answer(asked.requests, asked.generation):
                answers += group
        except HarnessError as error:
            return Said(error=error)
        except Exception as exception:
            where = traceback.extract_tb(exception.__traceback__)[-1]
            what = f"{type(exception).__name__}: {exception} ({where.filename}:{where.lineno})"
            return Said(error=BackendError(f"an actor failed while answering: {what}"))
        if tried > 1:
            self._notes.append(f"an actor was lost; {len(answers)} answers were asked again")
        note = "\n".join(self._notes) or None
        self._notes.clear()
        return Said(opened=self._opened, answers=answers, note=note)


class RayBackend:
    """
    One checkpoint, opened by actors of a cluster.
    """

    at_once = 1 << 20
    """Requests that are best given together: for each such lot the actors are begun anew."""

    def __init__(self, text: str, options: BackendOptions, *, workers: int, ours: bool) -> None:
        self._text = text
        self._options = options
        self._quiet = replace(options, notify=_nobody, progress=False)
        self._ours = ours
        """Whether the connection to the cluster is ended with the backend."""
        self._workers, self._resources = _resources(workers, options)
        self._place = Place.here()
        self._seen: list[Opened] = []
        self._opened: Opened

    tokenizer: Any

    @classmethod
    def open(
        cls, text: str, options: BackendOptions, *, workers: int = 1, address: str | None = None
    ) -> Self:
        """
        Connect to the cluster at *address*, or begin one on this machine, and open the checkpoint
        *text* on it once, to find out what it is.

        *workers* is the number of actors; 1 is one for each GPU, or without any, for each node.

        Raises:
            MissingDependencyError: if Ray is not installed.
            UsageError: if the checkpoint is a server.
            BackendError: if the cluster cannot be reached, or an actor finds no place on it.
            HarnessError: as `open_backend`.
        """
        refuse_served(text)
        ray = _imported()
        ours = not ray.is_initialized()
        if ours:
            _connect(ray, address)
        try:
            backend = cls(text, options, workers=workers, ours=ours)
            backend._look(ray)
        except BaseException:
            if ours:
                ray.shutdown()
            raise
        return backend

    @property
    def checkpoint(self) -> Checkpoint:
        """
        The checkpoint that all actors run.
        """
        return self._opened.checkpoint

    def describe(self) -> Mapping[str, Any]:
        """
        Return the ``backend`` block of run.json, which is that of each actor.
        """
        return self._opened.described

    def hardware(self) -> Mapping[str, Any]:
        """
        Return that of the nodes; empty if they are not alike.
        """
        return common_hardware([self._opened, *self._seen])

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer *requests*, each chunk as soon as some actor has made it.

        Raises:
            BackendError: if an actor says that nothing can be answered, or is another checkpoint.
        """
        import ray

        missing = {each.key: each for each in requests}
        in_vain = 0
        while missing:
            before = len(missing)
            try:
                for said in self._run(tuple(missing.values()), generation):
                    if group := self._heard(said, missing):
                        yield group
                break
            except ray.exceptions.RayError as error:
                in_vain = in_vain + 1 if len(missing) == before else 0
                if in_vain == TRIES:
                    raise BackendError(f"{self._text}: Ray cannot go on: {_last(error)}") from error
                self._options.notify(f"Ray lost {len(missing)} answers: {_last(error)}")

    def _heard(self, said: Said, missing: dict[Key, Request]) -> Sequence[Transcript]:
        """
        Return the answers in what an actor says that are still *missing*, which they are no more.

        Raises:
            BackendError: as `answer`.
        """
        if said.error is not None:
            raise said.error
        if said.note is not None:
            self._options.notify(said.note)
        if said.opened is not None and said.opened not in self._seen:
            if apart := self._opened.apart(said.opened):
                raise not_the_same(self._text, apart)
            self._seen.append(said.opened)
        return [each for each in said.answers or () if missing.pop(each.key, None)]

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Refuse: the nodes of a cluster are not one machine.

        Raises:
            UsageError: always.
        """
        raise UsageError("answers are timed by one process on one machine; drop --on")

    def close(self) -> None:
        """
        End the connection to the cluster, and the cluster if it was begun for this.
        """
        if self._ours:
            import ray

            ray.shutdown()

    def _run(self, requests: Sequence[Request], generation: Generation) -> Iterator[Said]:
        """
        Yield what the actors say of *requests*, at least once of each chunk that one survives.
        """
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        # A node that is lost while it opens the checkpoint is not the checkpoint's fault.
        context.max_consecutive_actor_init_deaths = TRIES
        rows = [
            {
                "number": number,
                "asked": pickle.dumps(Asked(requests=chunk, generation=generation)),
            }
            for number, chunk in enumerate(in_chunks(requests, self._workers))
        ]
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        tries = ray.remote(num_cpus=0, scheduling_strategy=here)(Tries).remote()
        answered = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Answering,
            fn_constructor_args=(self._text, self._quiet, self._place, tries),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                size=min(self._workers, len(rows)), max_tasks_in_flight_per_actor=2
            ),
            **self._resources,
        )
        for batch in answered.iter_batches(batch_size=None, batch_format="pyarrow"):
            for each in batch["said"]:
                yield pickle.loads(each.as_py())

    def _look(self, ray: Any) -> None:
        """
        Find out on one node what the checkpoint is.
        """

        def look(text: str, options: BackendOptions, place: Place) -> bytes:
            place.enter()
            try:
                backend, opened = open_here(text, replace(options, notify=_nobody))
            except HarnessError as error:
                return pickle.dumps(Said(error=error))
            backend.close()
            return pickle.dumps(Said(opened=opened))

        task = ray.remote(max_retries=TRIES, **self._resources)(look)
        try:
            said: Said = pickle.loads(ray.get(task.remote(self._text, self._quiet, self._place)))
        except ray.exceptions.RayError as error:
            raise BackendError(
                f"{self._text} cannot be opened on the cluster: {_last(error)}"
            ) from error
        if said.error is not None:
            raise said.error
        assert said.opened is not None
        self._opened = said.opened
        if said.opened.tokenizer is not None:
            # By this it is known to be `Templated`.
            self.tokenizer = said.opened.tokenizer


def _imported() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingDependencyError(
            f'--on ray needs Ray ({error}): pip install "toolcall-harness[ray]"'
        ) from error
    import ray.util.scheduling_strategies

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _connect(ray: Any, address: str | None) -> None:
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster on this machine"
        raise BackendError(f"{where} cannot be reached: {_last(error)}") from error


def _last(error: Exception) -> str:
    """
    Return the last line of an error of Ray, before which it lists what happened elsewhere.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:300]


def _resources(workers: int, options: BackendOptions) -> tuple[int, dict[str, Any]]:
    """
    Return how many actors there are, and what each takes of its node.
    """
    import ray

    nodes = [each["Resources"] for each in ray.nodes() if each["Alive"]]
    gpus, each = int(sum(node.get("GPU", 0) for node in nodes)), options.tensor_parallel or 1
    if gpus and options.device in (None, "cuda"):
        many = workers if workers > 1 else max(1, gpus // each)
        return many, {"num_gpus": each, "num_cpus": 1}
    many = workers if workers > 1 else len(nodes)
    # One core of a node is left to whoever hands out requests.
    fewest = int(min(node.get("CPU", 1) for node in nodes))
    return many, {"num_cpus": max(1, (fewest - 1) // -(-many // len(nodes)))}


def _nobody(_: str) -> None:
    """
    Tell nobody: an actor collects what it has to say.
    """
