"""
The second table of docs/speed.md is made of what pytest-benchmark stored.
"""

import pytest

from ..benchmarks import stored, test_speed


def kept(*names: str) -> dict:
    stats = {"min": 1.234, "median": 2.5, "rounds": 3}
    return {"benchmarks": [{"name": name, "stats": stats} for name in names]}


def test_each_figure_is_a_row():
    lines = stored.table(kept("test_else", *stored.ROWS)).splitlines()

    assert len(stored.ROWS) == len(lines) - 2
    for title, line in zip(stored.ROWS.values(), lines[2:], strict=True):
        assert [title, "1.23", "2.50", "3"] == [cell.strip() for cell in line.split("|")[1:-1]]


def test_a_benchmark_that_was_not_run_leaves_no_gap():
    with pytest.raises(KeyError, match="test_judging_stored_answers"):
        stored.table(kept(*[name for name in stored.ROWS if "judging" not in name]))


def test_every_row_is_a_benchmark():
    for name in stored.ROWS:
        assert callable(getattr(test_speed, name.partition("[")[0]))
