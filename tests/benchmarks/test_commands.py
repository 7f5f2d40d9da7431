"""
Whole commands on stored text, stored as ratios to ``json.loads`` of the files that they read.
"""

from typing import Any

import pytest

from .commands import measure


@pytest.mark.parametrize("group", [1, 5], ids=["alone", "in groups"])
@pytest.mark.parametrize("cases", [1_000, 10_000, 100_000])
def test_commands_on_stored_text(benchmark: Any, cases: int, group: int):
    found = benchmark.pedantic(measure, (cases, group), rounds=1)

    for name, (took, read) in found.items():
        benchmark.extra_info[f"{name}: of json.loads"] = round(took.seconds / read.seconds, 2)
        benchmark.extra_info[f"{name}: MB"] = round(took.megabytes)
    assert 5 == len(found)
