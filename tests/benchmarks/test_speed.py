"""
How long things take, as ratios to controls: ``tox -e bench`` says which of them became slower.

Nothing here asserts a time: machines differ. What is asserted is that the work was done.
"""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from harness.backends.base import BackendOptions, Generation
from harness.backends.registry import open_backend
from harness.comparison.compare import compare
from harness.dialects.hermes import HERMES
from harness.messages import ToolCall
from harness.runs.runner import latency_sample, request
from harness.runs.store import read_transcripts_by_key
from harness.scoring.results import CaseResult
from harness.scoring.score import judge
from harness.suites.files import load_suite
from harness.suites.lint.similarity import near
from harness.suites.parse import parse_suite
from harness.suites.suite import Suite
from harness.transcript import Key, Transcript
from harness.workflow.project import bundled_suites

from .. import builders
from .controls import INTERPRETER, against, documents, process, product, reading

JUDGED = 100_000


@pytest.fixture(scope="module")
def routing() -> Suite:
    (path,) = [path for path in bundled_suites() if path.name == "tool-routing"]
    return load_suite(path)


@pytest.mark.parametrize("statement", ["pass", "import harness", "import harness.cli.main"])
def test_starting_up(benchmark, statement: str):
    """
    The bare interpreter, and what the package adds to it.
    """
    against(benchmark, INTERPRETER, process([sys.executable, "-c", statement]), rounds=10)


def test_asking_for_help(benchmark):
    asked = process([sys.executable, "-m", "harness", "--help"])
    done = against(benchmark, INTERPRETER, asked, rounds=10)

    assert b"finetune" in done.stdout


TEXT = {"type": "string"}
BOOK = {
    "name": "book",
    "parameters": {
        "type": "object",
        "properties": {
            "place": TEXT,
            "people": {"type": "integer", "minimum": 1},
            "time": TEXT,
            "area": {"enum": ["inside", "outside"]},
            "note": TEXT,
        },
        "required": ["place", "people"],
    },
}
ASK = {
    "name": "ask",
    "parameters": {"type": "object", "properties": {"query": TEXT}, "required": ["query"]},
}
BOOKED = {
    "tool": "book",
    "arguments": {
        "place": {"equals_ignoring_case": "Rosa"},
        "people": 2,
        "time": {"same_moment_as": "2026-03-04T19:30"},
        "area": {"enum": ["inside", "outside"], "optional": True},
    },
}
ASKED = {"tool": "ask", "arguments": {"query": {"contains_any": ["menu", "vegan"]}}}
EXPECTED = {
    "one": {"calls": [ASKED]},
    "arguments": {"calls": [BOOKED]},
    "parallel": {"calls": [ASKED, BOOKED], "order": "strict"},
    "none": {"abstain": True, "text": {"contains_any": ["sorry", "cannot"]}},
    "either": {"any_of": [{"abstain": True}, {"calls": [ASKED]}]},
}


def answer(case: str, number: int) -> str:
    """
    Return an answer that occurs only once: right, with a wrong value, or cut off.
    """
    book = {
        "place": "Rose" if number % 4 == 0 else "ROSA",
        "people": 2,
        "time": "4 March 2026 7:30 pm",
        "note": f"table {number}",
    }
    ask = {"query": f"the vegan menu, number {number}"}
    calls = {
        "one": [("ask", ask)],
        "arguments": [("book", book)],
        "parallel": [("ask", ask), ("book", book)],
        "none": [],
        "either": [("ask", ask)],
    }[case]
    text = HERMES.render([ToolCall(name=n, arguments=a) for n, a in calls])
    if not calls:
        text = f"I am sorry, I cannot do that. ({number})" + text
    return text[: len(text) * 2 // 3] if number % 10 == 9 else text


def test_judging_stored_answers(benchmark, tmp_path: Path):
    """
    A run's transcripts.jsonl of 100,000 answers, no two alike, read and judged.
    """
    suite = parse_suite(
        {
            "format": 1,
            "name": "mixed",
            "version": "1.0.0",
            "tools": [BOOK, ASK],
            "cases": [
                {"id": name, "prompt": name, "expect": expect} for name, expect in EXPECTED.items()
            ],
        },
        "mixed",
    )
    with (tmp_path / "transcripts.jsonl").open("w", encoding="utf-8") as file:
        for number in range(JUDGED // len(EXPECTED)):
            for case in EXPECTED:
                line = Transcript(key=Key(case, number), output=answer(case, number)).to_json()
                file.write(json.dumps(line) + "\n")

    def judged() -> list[CaseResult]:
        return judge(suite.cases, read_transcripts_by_key(tmp_path), HERMES)

    results = against(benchmark, reading(tmp_path / "transcripts.jsonl"), judged)

    statuses = Counter(result.status for result in results)
    assert JUDGED == statuses.total()
    assert {"correct", "incorrect", "truncated"} == set(statuses)


def test_comparing_two_runs(benchmark):
    """
    Two records of 100,000 cases, one answer in ten turned: paired, measured, counted.
    """
    right = builders.judge(
        builders.case(builders.calls("A")), builders.answer(builders.attempt("A"))
    )
    wrong = builders.judge(builders.case(builders.calls("A")), builders.answer())
    assert ("correct", "incorrect") == (right.status, wrong.status)
    old = [replace(right, id=f"case-{number:06}") for number in range(JUDGED)]
    new = [replace(case, turns=wrong.turns) if n % 10 == 0 else case for n, case in enumerate(old)]
    records = builders.record(*old), builders.record(*new)

    comparison = against(benchmark, documents, compare, *records, rounds=3)

    assert JUDGED == comparison.pairs
    assert JUDGED // 10 == len(comparison.rates["accuracy"].broken)


def test_finding_near_duplicates(benchmark):
    """
    4,000 prompts of one template, the worst case: half a million pairs are alike.
    """
    words = [f"{chr(97 + n % 26) * 3}{n * n}" for n in range(60)]
    prompts = [
        f"Please turn on the {words[n % 60]} lights in the {words[n // 60 % 60]} at {n % 97}%"
        for n in range(4000)
    ]
    found = against(benchmark, documents, lambda: list(near(prompts, threshold=0.6)), rounds=3)

    assert sum(each.similar for each in found) > len(prompts)


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

    answer()
    answers = against(benchmark, product, answer, rounds=3)
    timings = [answer.timing for answer in answers]
    backend.close()

    assert all(timing is not None and timing.ttft_ms is not None for timing in timings)
    benchmark.extra_info["latency_ms"] = [timing.latency_ms for timing in timings]
    benchmark.extra_info["ttft_ms"] = [timing.ttft_ms for timing in timings]
