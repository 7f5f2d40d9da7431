"""
The bounds that a limit on margins is held to, on a quarter of the draws of its page.
"""

import math
import re
from pathlib import Path

import pytest

from . import margin_simulation as simulation
from .controls import against, drawing

PAGE = Path(__file__).parents[2] / "docs" / "margin-simulation.md"


def slack(share: float, draws: int) -> float:
    return 3 * math.sqrt(share * (1 - share) / draws)


def check(size: int, shrunk: float, accuracy: float, margins: float, draws: int) -> None:
    """
    Hold one row to the bounds that the page names.
    """
    if shrunk == 0:
        assert margins <= 0.055 + slack(0.055, draws), size
    if shrunk == 0.3 and size >= 500:
        assert margins >= 0.90 - slack(0.90, draws), size
        assert accuracy <= 0.55 + slack(0.55, draws), size


def test_margins_find_what_accuracy_does_not_see_yet(benchmark, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(simulation, "scale", 0.25)
    found = against(benchmark, drawing, simulation.measured)

    for (size, _, shrunk), (_, accuracy, margins, _) in found.items():
        check(size, shrunk, accuracy, margins, simulation.draws())


def test_the_page_keeps_its_bounds():
    page = PAGE.read_text("utf-8")
    row = r"^\| ([\d,]+) \| [\d.]+ \| (\d+)% \| [\d.]+ \| ([\d.]+) \| ([\d.]+) \| [\d.]+ \|$"
    rows = re.findall(row, page, re.M)

    assert 36 == len(rows)
    for size, shrunk, *shares in rows:
        accuracy, margins = (float(each) / 100 for each in shares)
        many = int(size.replace(",", ""))
        check(many, int(shrunk) / 100, accuracy, margins, simulation.DRAWS)
