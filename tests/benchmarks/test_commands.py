"""
Whole commands on stored text, stored as ratios to ``json.loads`` of the files that they read.
"""

from typing import Any

import pytest

from .commands import measure
from .controls import store


@pytest.mark.parametrize("group", [1, 5], ids=["alone", "in groups"])
@pytest.mark.parametrize("cases", [1_000, 10_000, 100_000])
def test_commands_on_stored_text(benchmark: Any, cases: int, group: int):
    times = 3 if cases < 100_000 else 1
    found = benchmark.pedantic(measure, (cases, group, times), rounds=1)

    for name, (took, read) in found.items():
        store(benchmark, **{f"{name}, time": took.seconds / read.seconds})
        store(benchmark, **{f"{name}, memory": took.megabytes / read.megabytes})
    assert 5 == len(found)
