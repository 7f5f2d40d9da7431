"""
How much memory a run takes: the same for many cases as for few.

Peaks are asserted: unlike times they do not depend on what else the machine does.
"""

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.backends.base import BackendOptions, Generation
from harness.backends.registry import open_backend
from harness.canonical import canonical_json
from harness.checkpoints.checkpoint import Checkpoint
from harness.dialects.native import NATIVE
from harness.provenance import Environment
from harness.runs.record import Selection, SuiteReference, encode, make_record
from harness.runs.runner import run
from harness.runs.serving import Serving
from harness.runs.store import TRANSCRIPTS, read_transcripts_by_key
from harness.scoring.score import judge
from harness.suites.parse import parse_suite
from harness.suites.suite import Suite
from harness.transcript import Transcript

from .controls import against, documents, product, store

TOOLS = [
    {
        "name": name,
        "description": "Search.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    }
    for name in ("search_files", "search_web")
]


def suite(cases: int) -> Suite:
    return parse_suite(
        {
            "format": 1,
            "name": "many",
            "version": "1.0.0",
            "tools": TOOLS,
            "cases": [
                {
                    "id": f"case-{n:06}",
                    "prompt": f"What does policy {n} say about travel by train?",
                    "tags": ["internal", "plain"],
                    "expect": {"calls": [{"tool": "search_files", "arguments": {}}]},
                }
                for n in range(cases)
            ],
        },
        "many",
    )


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "answering.py").write_text(
        "def answer(messages, tools):\n"
        "    call = {'name': 'search_web', 'arguments': {'query': messages[-1]['content']}}\n"
        "    return {'role': 'assistant', 'content': None,\n"
        "            'tool_calls': [{'type': 'function', 'function': call}]}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "python:answering:answer"


def peak(whole: Suite, reference: str, folder: Path) -> int:
    """
    Bytes that answering takes at most, beside the suite.
    """
    backend = open_backend(reference, BackendOptions())
    folder.mkdir()
    with (folder / TRANSCRIPTS).open("w", encoding="utf-8") as file:

        def sink(group: Sequence[Transcript]) -> None:
            # As a run is stored, but for the wait until each group is on the disk.
            file.writelines(canonical_json(each.to_json()) + "\n" for each in group)

        tracemalloc.start()
        try:
            run(whole, backend, Generation(), sink)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            backend.close()


def test_answering_a_hundred_times_as_many_cases(benchmark, tmp_path: Path, function: str):
    """
    The runner with a Python function: 1,000 cases, then 100,000.
    """
    few = peak(suite(1_000), function, tmp_path / "few")
    many = against(benchmark, documents, peak, suite(100_000), function, tmp_path / "many")

    store(benchmark, memory=many / few)
    benchmark.extra_info.update(peak_1000=few, peak_100000=many)
    with (tmp_path / "many" / "transcripts.jsonl").open() as file:
        assert 100_000 == sum(1 for _ in file)
    # Less than a window of requests: 1,000 cases do not fill it.
    assert many < few + 1_000_000


def test_a_record_of_many_cases(benchmark, tmp_path: Path, function: str):
    """
    run.json of 10,000 wrong answers: at most 2 KB a case on top of the text of the answers.
    """
    whole = suite(10_000)
    peak(whole, function, tmp_path / "run")
    answers = read_transcripts_by_key(tmp_path / "run")

    def spelled() -> int:
        record = make_record(
            judge(whole.cases, answers, NATIVE),
            suite=SuiteReference.of(whole),
            selection=Selection(),
            checkpoint=Checkpoint(reference="hf:a", dialect="native", dialect_version=1),
            backend=Serving(name="replay"),
            generation=Generation(),
            environment=Environment(),
            started="",
            finished="",
        )
        return len(encode(record).encode())

    size = against(benchmark, documents, spelled, rounds=3)

    store(benchmark, memory=size / (tmp_path / "run" / TRANSCRIPTS).stat().st_size)
    benchmark.extra_info["bytes_a_case"] = size / len(whole.cases)
    assert size / len(whole.cases) <= 2048


ANSWERING = """
import resource, sys
from harness.backends.base import BackendOptions, Generation
from harness.backends.registry import open_backend
from harness.runs.runner import run
from tests.benchmarks.test_memory import suite
many = suite(int(sys.argv[2]))
backend = open_backend(sys.argv[1], BackendOptions(device="cpu"))
made = []
run(many, backend, Generation(max_new_tokens=4), lambda group: made.append(len(group)))
print(sum(made), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_answering_many_cases_with_a_model(benchmark, tiny_model: Path):
    """
    A tiny model by the engine: 1,000 cases, then 10,000. The whole process is measured.
    """

    def whole_peak(cases: int) -> int:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                ANSWERING,
                str(tiny_model),
                str(cases),
            ],
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
            # What is freed goes back at once: else holes in the heap, which come and go by some
            # 80 MB whatever the number of cases, count as taken. One thread has fewer of them.
            env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "131072"},
        )
        answered, kilobytes = map(int, done.stdout.split())
        assert cases == answered
        return kilobytes

    few = whole_peak(1_000)
    many = against(benchmark, product, whole_peak, 10_000)
    store(benchmark, memory=many / few)

    # What is left to grow is the suite itself: its cases are read at once.
    own = len(json.dumps(suite(10_000).document)) // 1024
    benchmark.extra_info.update(kilobytes_1000=few, kilobytes_10000=many, suite=own)
    assert many < 1.15 * few
