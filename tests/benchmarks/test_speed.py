"""
How long things take: ``tox -e bench`` stores each figure and compares it with the one before.

Nothing here asserts a time: machines differ. What is asserted is that the work was done.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.backends.base import BackendOptions, Generation
from harness.backends.registry import open_backend
from harness.dialects.registry import dialect
from harness.judging import judge
from harness.messages import ToolCall
from harness.project import bundled_suites
from harness.runner import latency_sample, request
from harness.suite import Suite
from harness.suite_files import load_suite
from harness.transcript import Key, Transcript

JUDGED = 2_000


@pytest.fixture(scope="module")
def routing() -> Suite:
    (path,) = [path for path in bundled_suites() if path.name == "tool-routing"]
    return load_suite(path)


@pytest.mark.parametrize("statement", ["pass", "import harness", "import harness.cli"])
def test_starting_up(benchmark, statement: str):
    """
    The bare interpreter, and what the package adds to it.
    """
    benchmark.pedantic(
        subprocess.run, ([sys.executable, "-c", statement],), {"check": True}, rounds=10
    )


def test_asking_for_help(benchmark):
    command = [sys.executable, "-m", "harness", "--help"]
    done = benchmark.pedantic(
        subprocess.run, (command,), {"check": True, "capture_output": True}, rounds=10
    )

    assert b"finetune" in done.stdout


def test_judging_stored_answers(benchmark, routing: Suite):
    """
    Answers a second: 2,000 of them, a third right, a third of the wrong tool, a third broken.
    """
    hermes = dialect("hermes")
    cases, transcripts = [], {}
    for number in range(JUDGED):
        case = routing.cases[number % len(routing.cases)]
        wanted = case.turns[0].expectation.alternatives[0].calls[0].tool  # type: ignore[union-attr]
        other = next(tool.name for tool in case.tools if tool.name != wanted)
        name = other if number % 3 == 1 else wanted
        text = hermes.render([ToolCall(name=name, arguments={"query": case.prompt})])
        key = Key(case.id, number // len(routing.cases))
        output = text[: len(text) // 2] if number % 3 == 2 else text
        transcripts[key] = Transcript(key=key, output=output)
        cases.append(case)
    results = benchmark.pedantic(judge, (routing.cases, transcripts, hermes), rounds=3)

    statuses = {result.status for result in results}
    assert {"correct", "incorrect", "truncated"} <= statuses


@pytest.mark.model
def test_answering_alone(benchmark, routing: Suite):
    """
    The model's own time for one answer of 24 tokens, single stream: what `run --latency` measures.

    The clock's span is that of `harness.transcript.Timing`; the figures of each answer go into the
    stored JSON as ``extra_info``.
    """
    backend = open_backend("embedded:smollm2-135m", BackendOptions())
    cases = latency_sample(routing.cases)[:4]
    asked = [request(routing, case, Key(case.id)) for case in cases]
    generation = Generation(max_new_tokens=24)

    def answer() -> list[Transcript]:
        return list(backend.answer_alone(asked, generation))

    answers = benchmark.pedantic(answer, rounds=3, warmup_rounds=1)
    timings = [answer.timing for answer in answers]
    backend.close()

    assert all(timing is not None and timing.ttft_ms is not None for timing in timings)
    benchmark.extra_info["latency_ms"] = [timing.latency_ms for timing in timings]
    benchmark.extra_info["ttft_ms"] = [timing.ttft_ms for timing in timings]


def test_stored_benchmarks_are_compared(tmp_path: Path):
    """
    pytest-benchmark stores its JSON under a folder of ours, finds it again and compares.
    """
    (tmp_path / "test_it.py").write_text("def test_it(benchmark):\n    benchmark(sum, [1, 2])\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    storage = "--benchmark-storage=file://./kept"
    for more in (["--benchmark-save=first"], ["--benchmark-compare"]):
        done = subprocess.run(
            [*command, storage, *more],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    (kept,) = tmp_path.glob("kept/*/0001_first.json")
    stored = json.loads(kept.read_text("utf-8"))
    assert ["test_it"] == [row["name"] for row in stored["benchmarks"]]
    assert "0001_first" in done.stdout
