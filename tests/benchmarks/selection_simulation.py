"""
What is reported of an epoch that was chosen among equals: simulated, and written down.

``python -m tests.benchmarks.selection_simulation --write docs/finetune.md`` writes the table of the
page, in seconds. `tests/finetuning/test_selection.py` holds its figures to their bounds.

Every draw is a training whose epochs are equally good: each case has a chance of its own to be
answered rightly, the same after every epoch. The epoch is chosen by `harness.finetuning.selection`;
the suite has the groups and tags of tool-routing.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from harness.comparison.paired import PairedRate, Units, paired_rate
from harness.finetuning.selection import choose, halves
from harness.gating.evidence import p_value
from harness.scoring.columns import objects
from harness.suites.files import load_suite

from .ways import write

SUITE = Path(__file__).parents[2] / "suites" / "tool-routing"
DRAWS = 2_000
SEED = 42
CELLS = ((8, 0.9), (8, 0.6), (30, 0.9))
"""How many epochs are looked at, and how often a case is answered rightly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """
    By how much a figure is beyond the truth on average, and the standard error of that.
    """

    epochs: int
    right: float
    highest: tuple[float, float]
    """The highest rate of all cases."""
    highest_half: tuple[float, float]
    """The rate of the kept epoch on the cases that chose it."""
    reported: tuple[float, float]
    """Its rate on the others."""


def simulated(epochs: int, right: float, draws: int = DRAWS) -> Cell:
    """
    Draw trainings and return the bias of what could be said of each.
    """
    cases = load_suite(SUITE).cases
    split = halves(cases, seed=SEED)
    chooses = np.isin([case.id for case in cases], split.select)
    names = objects([case.id for case in cases])[chooses]
    groups = objects([case.group for case in cases])[chooses]
    random = np.random.default_rng([SEED, epochs, round(100 * right)])
    beyond: list[tuple[float, float, float]] = []
    for _ in range(draws):
        # Cases are not equally hard: a U-shaped spread of chances about the mean.
        chances = random.beta(2 * right, 2 * (1 - right), len(cases))
        found = random.random((epochs, len(cases))) < chances
        of_half = found[:, chooses]

        def p(best: int, other: int, found: np.ndarray = of_half) -> float:
            return p_value(_paired(found[best], found[other], names, groups))

        _, kept = choose(of_half.mean(axis=1).tolist(), p, higher=True)
        beyond.append(
            (
                found.mean(axis=1).max() - chances.mean(),
                of_half[kept].mean() - chances[chooses].mean(),
                found[kept, ~chooses].mean() - chances[~chooses].mean(),
            )
        )
    figures = [
        (100 * fmean(each), 100 * stdev(each) / draws**0.5) for each in zip(*beyond, strict=True)
    ]
    return Cell(
        epochs=epochs,
        right=right,
        highest=figures[0],
        highest_half=figures[1],
        reported=figures[2],
    )


def _paired(was: np.ndarray, now: np.ndarray, names: np.ndarray, groups: np.ndarray) -> PairedRate:
    counts = np.stack([was & ~now, now & ~was, np.ones_like(was), was, now], axis=1)
    return paired_rate(Units(names=names, groups=groups, counts=counts.astype(np.int64)))


def lines(cells: list[Cell]) -> Iterator[str]:
    """
    Yield the table of the page.
    """
    columns = ("the highest on all cases", "kept, on what chose it", "kept, on the rest")
    yield f"| epochs, equally good | right | {' | '.join(columns)} |"
    yield "|---|---|---|---|---|"
    for cell in cells:
        said = [
            f"{mean:+.2f} ± {2 * error:.2f}"
            for mean, error in (cell.highest, cell.highest_half, cell.reported)
        ]
        yield f"| {cell.epochs} | {cell.right:.0%} | {' | '.join(said)} |"


def main() -> None:
    """
    Write the table into the page.
    """
    parser = argparse.ArgumentParser(description="simulate how an epoch is chosen")
    parser.add_argument("--write", type=Path, required=True, metavar="FILE")
    file = parser.parse_args().write
    table = "\n".join(lines([simulated(*cell) for cell in CELLS]))
    write(file, f"\n{table}\n\n", "selection: simulated")


if __name__ == "__main__":
    main()
