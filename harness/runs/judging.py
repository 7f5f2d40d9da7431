"""
Cases x transcripts -> the lines of run.json, judged in this process or in several.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from multiprocessing.connection import Connection

from harness.dialects.base import Dialect
from harness.environments.base import Environment
from harness.errors import HarnessError, StoreError, UsageError
from harness.runs.cases import CaseLines, line
from harness.scoring.results import CaseResult
from harness.scoring.score import judged, repeats_of
from harness.suites.environment import DEFAULT_STEPS
from harness.suites.suite import Case
from harness.transcript import Key, Transcript

FEWEST = 2_000
"""With fewer cases for each, starting processes takes longer than it saves."""


def judged_lines(
    cases: Sequence[Case],
    transcripts: Mapping[Key, Transcript],
    dialect: Dialect,
    tool_names: str | None = None,
    *,
    environment: Environment | None = None,
    max_steps: int = DEFAULT_STEPS,
    workers: int = 1,
) -> CaseLines:
    """
    Return what `judged` yields, in the same order, by at most so many *workers*: this process and
    others, which judge a stretch of the cases each. Looking at a value changes how often it is
    referred to, so each process ends up with its own copy of nearly all memory.

    Raises:
        UsageError: if there should be several, and the operating system cannot fork a process.
        TranscriptError: as `judged`.
        StoreError: if one of the others ends before it is done.
    """
    if workers > 1 and "fork" not in multiprocessing.get_all_start_methods():
        raise UsageError("this system cannot fork processes that judge; drop --workers")
    # Counted over all answers, at which no process should have to look.
    repeats = repeats_of(transcripts)

    def judge(some: Sequence[Case]) -> Iterable[CaseResult]:
        return judged(
            some,
            transcripts,
            dialect,
            tool_names,
            environment=environment,
            max_steps=max_steps,
            repeats=repeats,
        )

    many = min(workers, len(cases) // FEWEST)
    if many < 2:
        return CaseLines.of(judge(cases))
    bounds = [len(cases) * part // many for part in range(many + 1)]
    stretches = [cases[start:end] for start, end in pairwise(bounds)]
    text = bytearray()
    for some in _texts(judge, stretches):
        text += (b",\n" if text else b"") + some
    return CaseLines.read(text)


def _texts(
    judge: Callable[[Sequence[Case]], Iterable[CaseResult]], stretches: Sequence[Sequence[Case]]
) -> Iterator[bytes | bytearray]:
    """
    Yield the lines of each of *stretches*: the first judged here, the others in processes that are
    ended with this one.
    """

    def text(some: Sequence[Case]) -> bytearray:
        lines = bytearray()
        for case in judge(some):
            lines += (b",\n" if lines else b"") + line(case)
        return lines

    def work(here: Connection, there: Connection, some: Sequence[Case]) -> None:
        # Who interrupts means the process that waits, which ends this one; if it is killed, the
        # pipe breaks.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        here.close()
        with suppress(BrokenPipeError):
            try:
                lines = text(some)
            except HarnessError as error:
                there.send(error)
                return
            there.send(None)
            there.send_bytes(lines)

    context = multiprocessing.get_context("fork")
    started = []
    try:
        for some in stretches[1:]:
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=work, args=(here, there, some), daemon=True)
            process.start()
            there.close()
            started.append((process, here))
        yield text(stretches[0])
        for process, here in started:
            try:
                error = here.recv()
                lines = b"" if error is not None else here.recv_bytes()
            except (EOFError, OSError):
                process.join()
                raise StoreError(
                    f"a process that judged ended by itself ({process.exitcode}); --workers 1 "
                    "judges in one"
                ) from None
            if error is not None:
                raise error
            yield lines
    finally:
        for process, here in started:
            here.close()
            process.terminate()
            process.join()
