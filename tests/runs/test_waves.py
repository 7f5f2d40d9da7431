"""
Executed suites wave by wave: what a backend is asked, and that a killed run goes on from there.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.backends.base import Generation, Request
from harness.checkpoints.checkpoint import Checkpoint
from harness.dialects.registry import dialect
from harness.environments.loop import Playing
from harness.environments.opening import open_environment
from harness.runs.waves import ended, run_in_waves
from harness.scoring.executed import playing
from harness.scoring.score import reading_with
from harness.suites.files import load_suite
from harness.suites.suite import Case, Suite
from harness.transcript import Key, Timing, Transcript
from tests import agents

READ = reading_with(dialect("native"))


class Scripted:
    """
    A backend that answers as an agent does, in groups of two, the last request first.
    """

    checkpoint = Checkpoint(reference="toy", dialect="native", dialect_version=1)

    def __init__(self, agent: str = "right", dies_after: int | None = None) -> None:
        self.agent = agents.AGENTS[agent]
        self.waves: list[list[Key]] = []
        self.left = dies_after

    def describe(self) -> Mapping[str, Any]:
        return {"name": "toy"}

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        self.waves.append([request.key for request in requests])
        backwards = list(reversed(requests))
        for start in range(0, len(backwards), 2):
            group = []
            for request in backwards[start : start + 2]:
                if self.left == 0:
                    raise KeyboardInterrupt
                self.left = None if self.left is None else self.left - 1
                messages = [message.to_chat() for message in request.messages]
                group.append(Transcript(key=request.key, message=self.agent(messages, ())))
            yield group

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        for request in requests:
            yield Transcript(key=request.key, output="", timing=Timing(latency_ms=7.0))

    def close(self) -> None: ...


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    cases = [{**agents.CASES[n % 2], "id": f"c{n}"} for n in range(6)]
    return load_suite(agents.write_suite(tmp_path, cases))


def begun(suite: Suite) -> Any:
    environment = open_environment(suite)
    assert environment is not None

    def begin(case: Case) -> Playing:
        return playing(case, environment, READ, max_steps=suite.max_steps)

    return begin


def ran(suite: Suite, backend: Scripted, **options: Any) -> dict[Key, Transcript]:
    kept: list[Transcript] = []
    with suppress(KeyboardInterrupt):
        run_in_waves(
            suite, backend, Generation(), kept.extend, **{"begin": begun(suite), **options}
        )
    assert len(kept) == len({each.key for each in kept})
    return {each.key: each for each in kept}


def test_those_that_called_are_asked_again_with_the_results(suite: Suite):
    backend = Scripted()
    made = ran(suite, backend, repeats=2)

    first = [Key(case.id, repeat) for case in suite.cases for repeat in (0, 1)]
    assert [first, [key._replace(step=1) for key in first]] == backend.waves
    assert ("leave",) == (made[first[0]].results or ())[0].documents
    assert made[first[0]._replace(step=1)].results is None


@pytest.mark.parametrize("agent", sorted(agents.AGENTS.keys() - {"breaks"}))
def test_every_agent_comes_to_an_end(suite: Suite, agent: str):
    backend = Scripted(agent)
    made = ran(suite, backend)

    assert len(backend.waves) <= suite.max_steps
    assert len(suite.cases) == sum(1 for _ in ended(suite, begun(suite), 1, made))


@pytest.mark.parametrize("dies_after", range(13))
def test_a_killed_run_continues_with_the_answers_that_are_missing(suite: Suite, dies_after: int):
    whole = ran(suite, Scripted())
    done = ran(suite, Scripted(dies_after=dies_after))
    rest = ran(suite, Scripted(), done=done)

    assert not done.keys() & rest.keys()
    assert whole == {**done, **rest}


def test_first_answers_are_timed(suite: Suite):
    made = ran(suite, Scripted(), latency=True)

    assert Timing(latency_ms=7.0) == made[Key("c0")].timing
    assert made[Key("c0", 0, 0, 1)].timing is None


def test_a_shuffled_run_asks_the_same_in_another_order(suite: Suite):
    plain, mixed = Scripted(), Scripted()

    assert ran(suite, plain) == ran(suite, mixed, order=1)
    assert plain.waves[0] != mixed.waves[0]


def test_progress_counts_cases_that_have_ended(suite: Suite):
    counted: list[int] = []
    ran(suite, Scripted("loops"), progress=counted.append)

    assert len(suite.cases) == sum(counted)
