"""
An executed suite x backend -> transcripts, wave by wave.

All cases are asked their first answer; its calls are run, and those that called are asked again
with the results, until each has ended (`harness.environments.loop`). A backend sees requests as it
always does, so every backend serves executed suites as it is. As many cases are under way at once
as a backend gets requests, so memory does not grow with the suite. Each answer goes to the sink
with its results as soon as it is made: a run that was killed between waves, or in one, continues
from there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

from harness.backends.base import Backend, Generation, Request
from harness.environments.loop import Playing
from harness.runs.runner import SHUFFLED_WINDOW, Sink, exchange, shuffled, timed_alone, window_of
from harness.suites.suite import Case, Suite
from harness.transcript import Key, Timing, Transcript

Begin = Callable[[Case], Playing]
"""Begins a case of the suite, as it is, not as the model sees it."""


@dataclass(slots=True, kw_only=True)
class _Open:
    """
    A repeat of a case that is under way.
    """

    playing: Playing
    repeat: int

    @property
    def key(self) -> Key:
        return self.playing.key(self.repeat)


def run_in_waves(
    suite: Suite,
    backend: Backend,
    generation: Generation,
    sink: Sink,
    *,
    begin: Begin,
    repeats: int = 1,
    done: Mapping[Key, Transcript] = MappingProxyType({}),
    latency: bool = False,
    order: int | None = None,
    drafts: Mapping[Key, str] = MappingProxyType({}),
    opened: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """
    Ask *backend* every step of every case of *suite*, from the answers that are *done*.

    The other parameters are those of `harness.runs.runner.run`, with which repeats, times, order,
    drafts and openings mean the same; only first answers are timed, and the shuffle is of cases.
    *progress* is called with the number of cases that have just ended.

    Raises:
        BackendError: as there.
        TranscriptError: if a call of a *done* answer no longer returns what is stored with it.
    """
    timings: dict[Key, Timing] = {}
    if latency:
        timings = timed_alone(suite, backend, generation, done, lambda _: None)
    pending = _cases(suite, repeats, order)
    size = window_of(backend) if order is None else SHUFFLED_WINDOW
    while window := list(islice(pending, size)):
        under_way = []
        for case, repeat in window:
            each = _Open(playing=begin(case), repeat=repeat)
            while each.playing.stop is None and each.key in done:
                each.playing.take(done[each.key])
            under_way += [each] if each.playing.stop is None else []
        while under_way:
            by_key = {each.key: each for each in under_way}
            asked = [_request(suite, each, drafts.get(key)) for key, each in by_key.items()]
            for group in exchange(backend, asked, generation, timings=timings, opened=opened):
                sink([by_key[answer.key].playing.take(answer) for answer in group])
                progress(sum(by_key[answer.key].playing.stop is not None for answer in group))
            under_way = [each for each in under_way if each.playing.stop is None]


def _cases(suite: Suite, repeats: int, order: int | None) -> Iterator[tuple[Case, int]]:
    if order is None:
        yield from ((case, repeat) for case in suite.cases for repeat in range(repeats))
        return
    cases = {case.id: case for case in suite.cases}
    keys = (Key(case.id, repeat) for case in suite.cases for repeat in range(repeats))
    yield from ((cases[key.case], key.repeat) for key in shuffled(keys, order))


def _request(suite: Suite, each: _Open, draft: str | None) -> Request:
    return Request(
        key=each.key,
        messages=each.playing.messages,
        tools=each.playing.case.tools if suite.declare_tools else (),
        draft=draft,
    )


def ended(
    suite: Suite, begin: Begin, repeats: int, done: Mapping[Key, Transcript]
) -> Iterator[Key]:
    """
    Yield the first key of each repeat of a case that has ended with the answers that are *done*.
    """
    for case, repeat in _cases(suite, repeats, None):
        if Key(case.id, repeat) in done:
            playing = begin(case)
            while playing.stop is None and playing.key(repeat) in done:
                playing.take(done[playing.key(repeat)])
            if playing.stop is not None:
                yield Key(case.id, repeat)
