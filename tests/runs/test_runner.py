"""
What is asked, in which order, and that every group is safe before the next is made.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest

from harness.backends.base import Generation, Request
from harness.checkpoints.checkpoint import Checkpoint
from harness.errors import BackendError
from harness.runs.runner import LATENCY_SAMPLE, keys, latency_sample, run
from harness.suites.suite import Case
from harness.transcript import Key, Timing, Transcript

from ..builders import abstain, calls, case, suite, transcript

GREEDY = Generation()


@dataclass
class ToyBackend:
    """
    Answers with the key it was asked, in groups, last group first; notes what it was asked.
    """

    group: int = 2
    drop: frozenset[Key] = frozenset()
    add: tuple[Transcript, ...] = ()
    events: list[Any] = field(default_factory=list)
    asked: list[Sequence[Request]] = field(default_factory=list)
    alone: list[Key] = field(default_factory=list)

    checkpoint = Checkpoint(reference="toy", dialect="hermes", dialect_version=1)

    def describe(self) -> Mapping[str, Any]:
        return {"name": "toy"}

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        self.asked.append(requests)
        starts = range(0, len(requests), self.group)
        for begin in reversed(starts):
            made = [request.key for request in requests[begin : begin + self.group]]
            self.events.append(("made", *made))
            yield [transcript(f"batched {key}", key=key) for key in made if key not in self.drop]
        if self.add:
            yield self.add

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        for request in requests:
            self.alone.append(request.key)
            yield transcript(f"alone {request.key}", key=request.key, timing=(10.0, 2.0))

    def close(self) -> None:
        raise AssertionError("the opener of a backend closes it")


def cases(count: int) -> tuple[Case, ...]:
    return tuple(case(calls("A"), id=f"c{number}") for number in range(count))


def asked(backend: ToyBackend) -> list[Key]:
    return [request.key for window in backend.asked for request in window]


def ran(backend: ToyBackend, *made: Case, **options: Any) -> list[Transcript]:
    """
    Run and give all transcripts the sink was given.
    """
    kept: list[Transcript] = []
    run(suite(*made), backend, GREEDY, kept.extend, **options)
    return kept


def test_every_turn_of_every_repeat_is_asked_in_suite_order() -> None:
    backend = ToyBackend()
    ran(backend, case(calls("A"), abstain(), id="b"), case(calls("A"), id="a"), repeats=2)

    assert [
        Key("b", 0, 0),
        Key("b", 0, 1),
        Key("b", 1, 0),
        Key("b", 1, 1),
        Key("a", 0, 0),
        Key("a", 1, 0),
    ] == asked(backend)


def test_keys_are_those_a_run_asks() -> None:
    two = (case(calls("A"), abstain(), id="b"), case(calls("A"), id="a"))
    backend = ToyBackend()
    ran(backend, *two, repeats=3)

    assert list(keys(two, 3)) == asked(backend)


def test_a_request_is_what_the_turn_shows() -> None:
    backend, made = ToyBackend(), case(calls("A"), abstain())
    ran(backend, made)
    first, second = backend.asked[0]

    assert (made.turns[0].messages, made.turns[1].messages) == (first.messages, second.messages)
    assert made.tools == first.tools


def test_tools_that_are_trained_in_are_not_shown() -> None:
    backend = ToyBackend()
    run(suite(*cases(1), declare_tools=False), backend, GREEDY, lambda _: None)

    assert () == backend.asked[0][0].tools


def test_each_group_is_in_the_sink_before_the_next_is_made() -> None:
    backend = ToyBackend()

    def sink(group: Sequence[Transcript]) -> None:
        backend.events.append(("kept", *(made.key for made in group)))

    run(suite(*cases(5)), backend, GREEDY, sink)
    key = [Key(f"c{number}") for number in range(5)]

    assert [
        ("made", key[4]),
        ("kept", key[4]),
        ("made", key[2], key[3]),
        ("kept", key[2], key[3]),
        ("made", key[0], key[1]),
        ("kept", key[0], key[1]),
    ] == backend.events


def test_what_is_done_is_not_asked_again() -> None:
    backend = ToyBackend()
    kept = ran(backend, *cases(3), done={Key("c1")})

    assert [Key("c0"), Key("c2")] == asked(backend)
    assert {Key("c0"), Key("c2")} == {made.key for made in kept}


def test_where_all_is_done_nothing_is_asked() -> None:
    backend = ToyBackend()

    assert [] == ran(backend, *cases(2), done=set(keys(cases(2))), latency=True)
    assert ([], []) == (backend.asked, backend.alone)


def test_a_request_left_without_an_answer_is_an_error() -> None:
    backend = ToyBackend(drop=frozenset({Key("c1"), Key("c2")}))

    with pytest.raises(BackendError, match=r"toy returned no answer for 2 of 3 .*'c1'"):
        ran(backend, *cases(3))


@pytest.mark.parametrize("key", [Key("c0"), Key("c0", 1), Key("other")])
def test_an_answer_nobody_asked_for_is_an_error_and_is_not_kept(key: Key) -> None:
    kept: list[Transcript] = []

    with pytest.raises(BackendError, match="not asked or is answered already"):
        run(suite(*cases(2)), ToyBackend(add=(transcript("?", key=key),)), GREEDY, kept.extend)
    assert [Key("c0"), Key("c1")] == sorted(made.key for made in kept)


def test_an_answer_that_broke_is_an_answer() -> None:
    broke = transcript(None, key="c0", error="out of memory")
    backend = ToyBackend(drop=frozenset({Key("c0")}), add=(broke,))

    assert broke in ran(backend, *cases(2))


def test_a_backend_sees_a_window_at_a_time() -> None:
    """
    Memory does not grow with the number of cases.
    """
    backend = ToyBackend(group=512)
    kept = ran(backend, *cases(1500), repeats=2)

    assert [1024, 1024, 952] == [len(window) for window in backend.asked]
    assert 3000 == len({made.key for made in kept})


def test_progress_is_told_of_every_answer() -> None:
    told: list[int] = []
    ran(ToyBackend(), *cases(5), progress=told.append, done={Key("c0")}, latency=True)

    assert [1, 1, 1, 1, 2, 2] == told


# Latency.


def test_the_sample_is_spread_evenly_and_depends_on_the_number_of_cases_alone() -> None:
    hundred = cases(100)
    sample = latency_sample(hundred)

    assert 24 == LATENCY_SAMPLE
    # floor(i * 100 / 24)
    assert [
        *(0, 4, 8, 12, 16, 20, 25, 29, 33, 37, 41, 45),
        *(50, 54, 58, 62, 66, 70, 75, 79, 83, 87, 91, 95),
    ] == [hundred.index(made) for made in sample]


@pytest.mark.parametrize("count", [1, 24, 25, 47, 1000])
def test_the_sample_has_no_case_twice(count: int) -> None:
    sample = latency_sample(cases(count))

    assert min(count, LATENCY_SAMPLE) == len({made.id for made in sample})


def test_times_of_single_answers_are_put_on_the_batched_ones() -> None:
    backend = ToyBackend()
    kept = ran(backend, *cases(48), latency=True, repeats=2)
    timed = {made.key for made in kept if made.timing is not None}

    assert {Key(f"c{number}") for number in range(0, 48, 2)} == timed == set(backend.alone)
    assert {Timing(latency_ms=10.0, ttft_ms=2.0), None} == {made.timing for made in kept}
    assert {f"batched {made.key}" for made in kept} == {made.output for made in kept}


def test_only_first_turns_are_timed() -> None:
    backend = ToyBackend()
    kept = ran(backend, case(calls("A"), abstain()), latency=True)

    assert {Key("c1", 0, 0)} == {made.key for made in kept if made.timing is not None}


def test_no_time_is_measured_unless_asked_for() -> None:
    backend = ToyBackend()
    kept = ran(backend, *cases(3))

    assert [] == backend.alone
    assert {None} == {made.timing for made in kept}


def test_a_resumed_run_times_only_what_it_still_asks() -> None:
    backend = ToyBackend()
    ran(backend, *cases(3), latency=True, done={Key("c1")})

    assert [Key("c0"), Key("c2")] == backend.alone


# Another order.


def test_a_shuffled_run_asks_the_same_in_another_order() -> None:
    two = ToyBackend(), ToyBackend()
    for backend, order in zip(two, (1, 2), strict=True):
        ran(backend, *cases(40), repeats=2, order=order)
    first, second = map(asked, two)

    assert sorted(keys(cases(40), 2)) == sorted(first) == sorted(second)
    assert list(keys(cases(40), 2)) != first != second
    # By the number alone, so that no other process shuffles otherwise.
    spelled = {key: json.dumps([1, *key[:3]], separators=(",", ":")) for key in first}
    assert first == sorted(first, key=lambda key: sha256(spelled[key].encode()).hexdigest())


def test_a_shuffled_run_is_handed_over_few_at_a_time() -> None:
    """
    A backend that packs by length would else give most prompts their old neighbours back.
    """
    backend = ToyBackend()
    ran(backend, *cases(100), order=1)

    assert [48, 48, 4] == [len(window) for window in backend.asked]


def test_a_shuffled_run_goes_on_in_its_order() -> None:
    whole, rest = ToyBackend(), ToyBackend()
    ran(whole, *cases(20), order=3)
    ran(rest, *cases(20), order=3, done=set(asked(whole)[:5]))

    assert asked(whole)[5:] == asked(rest)
