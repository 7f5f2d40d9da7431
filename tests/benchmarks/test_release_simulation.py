"""
The bounds that the verdict on several suites is held to, on a tenth of the draws of its page.
"""

import math
import re
from pathlib import Path

import pytest

from . import release_simulation as simulation
from .controls import against, drawing

PAGE = Path(__file__).parents[2] / "docs" / "release-simulation.md"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "scale", 0.1)


def at_most(bound: float, draws: int) -> float:
    return bound + 3 * math.sqrt(bound * (1 - bound) / draws)


def bound_of(kind: str) -> float:
    return 0.10 if kind == "the default policy" else 0.055


def test_equal_checkpoints_are_rarely_blocked(benchmark):
    found = against(benchmark, drawing, simulation.measured, "false_alarms")

    for (kind, first), (_, _, release) in found.items():
        assert release <= at_most(bound_of(kind), simulation.draws()), (kind, first)


def test_a_loss_in_every_suite_is_found_as_by_one_gate(benchmark):
    found = against(benchmark, drawing, simulation.measured, "power")

    for (where, d, drop), (alone, _, release) in found.items():
        if where == "all":
            assert alone - 0.03 <= at_most(min(release, 0.99), simulation.draws()), (d, drop)


def test_the_page_keeps_its_bounds():
    page = PAGE.read_text("utf-8")
    alarms = re.findall(r"^\| ([a-z ]+) \| \d+% \| [\d.]+ \| [\d.]+ \| ([\d.]+) \|$", page, re.M)
    losses = re.findall(r"^\| every suite .*\| ([\d.]+) \| [\d.]+ \| ([\d.]+) \|$", page, re.M)

    assert (9, 9) == (len(alarms), len(losses))
    for kind, release in alarms:
        assert float(release) / 100 <= at_most(bound_of(kind), simulation.DRAWS), kind
    assert all(float(alone) - 3 <= float(release) for alone, release in losses)
