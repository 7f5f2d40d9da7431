"""
Cases x transcripts -> the lines of run.json, judged in this process or in several.
"""

import multiprocessing
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection

from harness.dialects.base import Dialect
from harness.environments.base import Environment
from harness.errors import HarnessError, StoreError, UsageError
from harness.runs.cases import CaseLines
from harness.scoring.results import CaseResult
from harness.scoring.score import judged
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
    Return what `judged` yields, in the same order, by at most so many *workers*: processes that
    judge a stretch of the cases each.

    Raises:
        UsageError: if there should be several, and the operating system cannot fork a process.
        TranscriptError: as `judged`.
    """
    # Repeats are counted over all answers: each worker has all of them.
    if workers > 1 and "fork" not in multiprocessing.get_all_start_methods():
        raise UsageError("this system cannot fork processes that judge; drop --workers")

    def judge(some: Sequence[Case]) -> Iterable[CaseResult]:
        return judged(
            some, transcripts, dialect, tool_names, environment=environment, max_steps=max_steps
        )

    many = min(workers, len(cases) // FEWEST)
    if many < 2:
        return CaseLines.of(judge(cases))
    context = multiprocessing.get_context("fork")
    bounds = [len(cases) * part // many for part in range(many + 1)]

    def work(connection: Connection, part: int) -> None:
        try:
            lines = CaseLines.of(judge(cases[bounds[part] : bounds[part + 1]]))
        except HarnessError as error:
            connection.send(error)
            return
        connection.send(None)
        connection.send_bytes(lines.text)

    started = []
    for part in range(many):
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(there, part), daemon=True)
        process.start()
        there.close()
        started.append((process, here))
    text = bytearray()
    for process, here in started:
        try:
            error = here.recv()
            part_of_text = b"" if error is not None else here.recv_bytes()
        except (EOFError, OSError):
            process.join()
            raise StoreError(
                f"a process that judged ended by itself ({process.exitcode}); use fewer --workers"
            ) from None
        if error is not None:
            raise error
        text += (b",\n" if text else b"") + part_of_text
        process.join()
    return CaseLines.read(text)
