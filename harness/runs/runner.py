"""
Suite x backend -> transcripts, passed to a sink.

The runner decides what is asked and in which order it reaches the backend; the backend decides how
requests are batched. Nothing is judged and nothing is kept: each group of transcripts goes to the
sink as soon as it is made, so memory does not grow with the number of cases and a killed run loses
at most the group in flight.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from types import MappingProxyType

from harness.backends.base import Backend, Generation, Request, Spread
from harness.canonical import digest
from harness.errors import BackendError
from harness.suites.suite import Case, Suite
from harness.transcript import Key, Timing, Transcript

LATENCY_SAMPLE = 24
"""How many cases `harness run --latency` times."""

WINDOW = 1024
# How many requests a backend gets at once: enough to batch by length, few enough for memory.

SHUFFLED_WINDOW = 48
# The same for a shuffled run: a backend that batches by length would give most prompts their old
# neighbours back if it got all of them.

Sink = Callable[[Sequence[Transcript]], None]
"""Called with a group of finished transcripts; stores them safely before it returns."""


def keys(cases: Iterable[Case], repeats: int = 1) -> Iterator[Key]:
    """
    Yield the key of every answer that a run of *cases* needs, in suite order.
    """
    for case in cases:
        for repeat in range(repeats):
            for turn in range(len(case.turns)):
                yield Key(case.id, repeat, turn)


def shuffled(asked: Iterable[Key], order: int) -> list[Key]:
    """
    Return *asked* in the order given by the number *order*, the same everywhere.
    """
    # Without the step: every case of a wave is at its own.
    return sorted(asked, key=lambda key: digest([order, key.case, key.repeat, key.turn]))


def with_opened(transcript: Transcript, opened: str | None) -> Transcript:
    """
    Return *transcript* with what the prompt had *opened*, if it is an answer that does not say.
    """
    if opened is None or transcript.opened is not None or transcript.error is not None:
        return transcript
    return replace(transcript, opened=opened)


def latency_sample(cases: Sequence[Case]) -> tuple[Case, ...]:
    """
    Choose the cases to time: `LATENCY_SAMPLE` of them evenly spread over suite order, or all.

    The choice depends only on the number of cases, so two runs of a suite time the same ones.
    """
    if len(cases) <= LATENCY_SAMPLE:
        return tuple(cases)
    return tuple(cases[i * len(cases) // LATENCY_SAMPLE] for i in range(LATENCY_SAMPLE))


def run(
    suite: Suite,
    backend: Backend,
    generation: Generation,
    sink: Sink,
    *,
    repeats: int = 1,
    done: Collection[Key] = (),
    latency: bool = False,
    order: int | None = None,
    drafts: Mapping[Key, str] = MappingProxyType({}),
    opened: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """
    Ask *backend* every turn of every case of *suite* that is not in *done*.

    With *latency*, a sample of first turns is answered alone beforehand, and its times are put on
    the transcripts of the batched answers: which answers are judged never depends on timing.

    With *order* all turns of all repeats are `shuffled` by it and handed over few at a time, so
    that each shares its batch with other prompts than in suite order.

    *drafts* are earlier answers for a backend to verify (`Request.draft`). *opened* is what the
    prompts had begun of the answers, for a backend whose transcripts do not say (`with_opened`).

    *progress* is called with the number of answers just made.

    Raises:
        BackendError: if the backend leaves a request without a transcript, or answers what was not
            asked or twice.
    """
    pending: Iterator[tuple[Case, Key]] = (
        (case, key) for case in suite.cases for key in keys([case], repeats) if key not in done
    )
    size = window_of(backend)
    if order is not None:
        cases = {case.id: case for case in suite.cases}
        mixed = shuffled((key for _, key in pending), order)
        pending, size = ((cases[key.case], key) for key in mixed), SHUFFLED_WINDOW
    timings = timed_alone(suite, backend, generation, done, progress) if latency else {}
    while window := list(islice(pending, size)):
        asked = [request(suite, case, key, drafts.get(key)) for case, key in window]
        for group in exchange(backend, asked, generation, timings=timings, opened=opened):
            sink(group)
            progress(len(group))


def window_of(backend: Backend) -> int:
    """
    Return how many requests *backend* gets at once.
    """
    return backend.at_once if isinstance(backend, Spread) else WINDOW


def timed_alone(
    suite: Suite,
    backend: Backend,
    generation: Generation,
    done: Collection[Key],
    progress: Callable[[int], None],
) -> dict[Key, Timing]:
    """
    Return the times of a sample of first turns, each answered alone.
    """
    timings: dict[Key, Timing] = {}
    sample = [(case, Key(case.id)) for case in latency_sample(suite.cases)]
    alone = [request(suite, case, key) for case, key in sample if key not in done]
    for transcript in backend.answer_alone(alone, generation):
        if transcript.timing is not None:
            timings[transcript.key] = transcript.timing
        progress(1)
    return timings


def exchange(
    backend: Backend,
    asked: Sequence[Request],
    generation: Generation,
    *,
    timings: Mapping[Key, Timing] = MappingProxyType({}),
    opened: str | None = None,
) -> Iterator[list[Transcript]]:
    """
    Yield the answers to *asked* in groups, each put together with its time, where one was measured.

    Raises:
        BackendError: if the backend leaves a request without a transcript, or answers what was not
            asked or twice.
    """
    missing = {each.key for each in asked}
    for group in backend.answer(asked, generation):
        timed = [
            replace(transcript, timing=timings[transcript.key])
            if transcript.key in timings
            else transcript
            for transcript in (with_opened(each, opened) for each in group)
        ]
        for transcript in timed:
            if transcript.key not in missing:
                raise BackendError(
                    f"backend {backend.describe().get('name')} answered case "
                    f"{transcript.key.case!r}, which was not asked or is answered already"
                )
            missing.remove(transcript.key)
        yield timed
    if missing:
        raise BackendError(
            f"backend {backend.describe().get('name')} returned no answer for "
            f"{len(missing)} of {len(asked)} requests, the first of them case "
            f"{min(missing).case!r}"
        )


def request(suite: Suite, case: Case, key: Key, draft: str | None = None) -> Request:
    """
    Make the request for one turn of *case*.
    """
    return Request(
        key=key,
        messages=case.turns[key.turn].messages,
        tools=case.tools if suite.declare_tools else (),
        draft=draft,
    )
