"""
The engine against the plain loop, left-padded batches and continuous batching: docs/speed.md.
"""

import os
from pathlib import Path

import pytest

from . import ways
from .controls import store

EMBEDDED = "embedded:smollm2-135m"


@pytest.mark.model
def test_ways_to_answer(benchmark, capsys: pytest.CaptureFixture[str]):
    """
    All ways in one run, each answer the same; no time is asserted, as machines differ.

    HARNESS_BENCH_CHECKPOINT names the checkpoint: a fine-tuned one has answers of usual length.
    """
    checkpoint = os.environ.get("HARNESS_BENCH_CHECKPOINT", EMBEDDED)
    bench = benchmark.pedantic(ways.measure, (checkpoint,), {"rounds": 2}, rounds=1)

    for way, ratio in bench.ratios().items():
        # Another checkpoint has answers of other lengths.
        of = "" if checkpoint == EMBEDDED else f" ({Path(checkpoint).name})"
        store(benchmark, **{f"{way}{of}, time": ratio})
    benchmark.extra_info.update(checkpoint=checkpoint, seconds_a_case=bench.seconds)
    benchmark.extra_info.update(same=bench.same, ceiling=bench.flops, near_ties=bench.near_ties)
    with capsys.disabled():
        print(f"\n{bench.table()}")
    assert all(same == of for same, of in bench.same.values())
