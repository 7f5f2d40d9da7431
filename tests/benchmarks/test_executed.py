"""
Executed suites: what a run costs per case, from a hundred cases to ten thousand.
"""

from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from tests import agents


def cases(count: int) -> list[dict[str, Any]]:
    return [{**agents.CASES[n % 2], "id": f"c{n}"} for n in range(count)]


@pytest.mark.parametrize("count", [100, 1_000, 10_000])
def test_cost_per_case_with_a_python_function(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
):
    agents.write_suite(tmp_path, cases(count))
    monkeypatch.chdir(tmp_path)
    runs = iter(range(100))

    def run() -> None:
        command = ["run", "kb", "--checkpoint", "python:tests.agents:right", "--quiet"]
        assert 0 == main([*command, "--out", f"run-{next(runs)}"])

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info["ms_per_case"] = 1000 * benchmark.stats.stats.mean / count
