"""
What `harness latency` makes of the embedded model against itself, and against itself slowed down.

    pytest tests/benchmarks/test_latency_alarms.py --benchmark-only -s
"""

import time
from typing import Any

import pytest

from harness.backends.base import Backend, BackendOptions
from harness.backends.registry import open_backend
from harness.comparison.paired import PairedValues
from harness.gating.policy import default_policy
from harness.gating.times import judge_alternated
from harness.gating.verdict import MetricVerdict
from harness.runs.runner import latency_sample
from harness.suites.files import load_suite
from harness.workflow.latency import alternate
from harness.workflow.options import RunOptions, generation_for
from harness.workflow.project import bundled_suites

from .controls import against, product

TRIES, TOKENS, DELAY = 5, 4, 0.15
"""How often each is tried, how long the answers are (in shorter ones the machine's noise is more of
what is timed), and by how much every pass is delayed."""
NAME = "latency_ms_p50"


@pytest.fixture(scope="module")
def model() -> Any:
    backend = opened()
    yield backend
    backend.close()


def opened() -> Backend:
    return open_backend("embedded:smollm2-135m", BackendOptions(batch_size=1))


def judged(old: Backend, new: Backend) -> MetricVerdict:
    [folder] = [path for path in bundled_suites() if path.name == "tool-routing"]
    suite = load_suite(folder)
    generation = generation_for(suite, RunOptions(max_new_tokens=TOKENS))
    timed, left_out = alternate(suite, latency_sample(suite.cases), old, new, generation)
    assert not left_out
    assert {TOKENS} == {answer.output_tokens for case in timed for answer in case.old}
    values = tuple(both for case in timed if (both := case.values(NAME)) is not None)
    assert 24 == len(values)
    paired = PairedValues(old=values[0][0], new=values[0][1], values=values)
    return judge_alternated(NAME, default_policy().limits[NAME], paired)


def slow(backend: Any) -> None:
    """
    Make every pass through the model take 15% longer, on the clock of a real wait.
    """
    began: list[float] = []
    network = backend._model
    network.register_forward_pre_hook(lambda *_: began.append(time.perf_counter()))

    def wait(*_: Any) -> None:
        until = (time.perf_counter() - began.pop()) * DELAY + time.perf_counter()
        while time.perf_counter() < until:
            pass

    network.register_forward_hook(wait)


def test_the_embedded_model_against_itself_raises_no_alarm(benchmark: Any, model: Backend):
    other = opened()
    found = against(benchmark, product, lambda: [judged(model, other) for _ in range(TRIES)])
    other.close()

    report(benchmark, found)
    assert "regressed" not in [metric.verdict for metric in found]


def test_a_delay_of_15_percent_raises_an_alarm_every_time(benchmark: Any, model: Backend):
    delayed = opened()
    slow(delayed)
    found = against(benchmark, product, lambda: [judged(model, delayed) for _ in range(TRIES)])
    delayed.close()

    report(benchmark, found)
    assert ["regressed"] * TRIES == [metric.verdict for metric in found]


def report(benchmark: Any, found: list[MetricVerdict]) -> None:
    benchmark.extra_info["new to old"] = [metric.ratio for metric in found]
    for metric in found:
        print(f"{metric.verdict}: {metric.reason}")
