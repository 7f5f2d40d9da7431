"""
The page of the simulation keeps the bounds that it names, figure by figure.

`tests/benchmarks/test_gate_simulation.py` simulates anew on fewer draws, which tell less.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "gate-simulation.md").read_text("utf-8")

MANY, MORE, FEW = 20_000, 10_000, 1_000
"""Draws a cell, as `tests/benchmarks/gate_simulation.py` makes them."""

BOUNDS = [
    ("regresses: one limit with a margin", "n = ", 5.5, MANY),
    ("regresses: second calls", "n = ", 5.5, MANY),
    ("regresses: groups", "copied", 5.5, FEW),
    ("regresses: the whole default policy", "any", 10, FEW),
    ("regresses: lengths", "n = ", 2, FEW),
    ("regresses: few groups", "groups", 5.5, FEW),
    ("regresses: not exchangeable", "exchangeable", 5.5, FEW),
    ("regresses: not exchangeable", "not alike: singles break, groups fixed", 40, FEW),
    ("regresses: not exchangeable", "singles break, groups fixed", 23, FEW),
    ("regresses: repeats", "regressed", 5.5, FEW),
    ("whole margin passes: groups", "d ", 9, FEW),
    ("A checkpoint that is worse by the whole margin passes", "n = ", 6.5, MORE),
]


def sections() -> dict[str, str]:
    parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    return {part.split("\n", 1)[0]: part for part in parts}


def figures(section: str, column: str) -> Iterator[tuple[list[str], float]]:
    """
    Yield each row with each figure in the columns whose names begin, or end, so.
    """
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    head, _, *rows = rows
    for row in rows:
        for name, cell in zip(head, row, strict=True):
            if name.startswith(column) or (name.endswith(column) and ":" not in name):
                yield row, float(cell.split(" / ")[0])


def at_most(bound: float, draws: int) -> float:
    share = bound / 100
    return bound + 300 * math.sqrt(share * (1 - share) / draws)


@pytest.mark.parametrize(("title", "column", "bound", "draws"), BOUNDS)
def test_no_figure_contradicts_the_bound_of_its_table(
    title: str, column: str, bound: float, draws: int
):
    (section,) = [text for name, text in sections().items() if name.endswith(title)]
    found = [figure for _, figure in figures(section, column)]

    assert len(found) > 10
    assert re.search(rf"\b{bound:g}\b", section.split("|")[0])
    assert max(found) <= at_most(bound, draws)


def test_only_losses_that_hit_whole_groups_pass_oftener_than_the_bound():
    """
    The exception that docs/gate.md names.
    """
    (section,) = [text for name, text in sections().items() if name.endswith("passes: groups")]
    alike = [figure for row, figure in figures(section, "d ") if row[2] == "alike"]

    assert max(alike) <= at_most(6.5, FEW)


def test_equal_checkpoints_pass_as_often_as_so_many_independent_cases_allow():
    """
    To ten points, of which nine are seen where a suite is worth so few cases that it cannot gate.
    """
    (section,) = [text for name, text in sections().items() if name.endswith("passes: groups")]
    cells = re.findall(r"[\d.]+ / ([\d.]+) / ([\d.]+)", section)

    assert len(cells) > 10
    assert max(float(alone) - float(passes) for passes, alone in cells) <= 10


def test_there_is_no_step_where_groups_are_flipped_instead_of_cases():
    (section,) = [text for name, text in sections().items() if name.endswith("found: groups")]
    rows = {row[0] + row[1]: [row[2:]] for row in map(_cells, section.splitlines()) if len(row) > 3}
    found = {
        (name, rho): [float(cell.split(" / ")[0]) for cell in rows[name + rho][0]]
        for name in ("9 groups of 13", "10 groups of 12")
        for rho in ("0", "0.3", "0.8")
    }

    for rho in ("0", "0.3", "0.8"):
        pairs = zip(found["9 groups of 13", rho], found["10 groups of 12", rho], strict=True)
        assert all(abs(nine - ten) <= 10 for nine, ten in pairs)


def _cells(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


def test_every_table_with_a_bound_is_held_to_it():
    named = {title for title, text in sections().items() if re.search(r"[Bb]ound:", text)}

    assert named == {name for name in sections() for title, *_ in BOUNDS if name.endswith(title)}
