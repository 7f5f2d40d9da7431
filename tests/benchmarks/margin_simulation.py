"""
What a limit on margins finds before a case breaks, and how often it is wrong: simulated, and
written down.

``python -m tests.benchmarks.margin_simulation --write docs/margin-simulation.md`` makes the page,
in minutes on two cores. `test_margin_simulation` asserts its bounds on fewer draws.

Every verdict is `harness.gating.gate` on comparisons with drawn margins, as in `gate_simulation`.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from harness.comparison.compare import Comparison
from harness.comparison.paired import PairedValues
from harness.gating.gate import gate
from harness.gating.policy import read_policy
from harness.scoring.metrics import PERCENTILES

from .gate_simulation import SEED, TODAY, comparison, rate
from .pages import asked

DRAWS = 400
SIZES = (150, 500, 1300)
NOISES = (0.1, 0.3)
"""Standard deviation, in nats, of a margin between two equally good checkpoints, on each side."""
SHRUNK = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""How much of every margin is gone."""

_POLICY = read_policy('[limits]\naccuracy = "-3pp"\nmargin_p10 = "-20%"\n', "the simulation")

scale = 1.0


def draws() -> int:
    """
    Return how many pairs of checkpoints are drawn for a cell.
    """
    return max(100, round(DRAWS * scale))


def drawn(random: Any, size: int, noise: float, shrunk: float) -> Comparison:
    """
    Draw two checkpoints. An answer without any margin left is another tool's: wrong.

    Margins are those of a gamma distribution of shape 2 in nats: a tenth below 0.5, half below 1.7,
    as SmolLM2-135M's on tool-routing after training.
    """
    sure = random.gamma(2.0, 1.0, size)
    old = sure + random.normal(0, noise, size)
    new = sure * (1 - shrunk) + random.normal(0, noise, size)
    broken = int(((old >= 0) & (new < 0)).sum())
    fixed = int(((old < 0) & (new >= 0)).sum())
    both = (old >= 0) & (new >= 0)
    was, now = old[both].tolist(), new[both].tolist()
    percentile = PERCENTILES["margin_p10"]
    margins = PairedValues(
        old=percentile.of(was).value,
        new=percentile.of(now).value,
        values=tuple(zip(was, now, strict=True)),
    )
    return comparison({"accuracy": rate(broken, fixed, size)}, {"margin_p10": margins})


def found(size: int, noise: float) -> dict[tuple[int, float, float], Any]:
    """
    (size, noise, shrunk) -> how many cases broke in the mean, and how often accuracy regresses, the
    margins do, and the margins alone.
    """
    cells = {}
    for shrunk in SHRUNK:
        random = np.random.default_rng([SEED, size, round(100 * noise), round(100 * shrunk)])
        rows = []
        for _ in range(draws()):
            both = drawn(random, size, noise, shrunk)
            metrics = gate(_POLICY, both, TODAY).metrics
            by = [metrics[name].verdict == "regressed" for name in ("accuracy", "margin_p10")]
            rows.append((len(both.rates["accuracy"].broken), *by, by[1] and not by[0]))
        cells[size, noise, shrunk] = np.mean(np.array(rows, dtype=float), axis=0)
    return cells


def measured() -> dict[tuple[int, float, float], Any]:
    """
    Return the whole table, its parts computed by a process on each core.
    """
    # The largest first, so that no core is left with it.
    parts = [(size, noise, scale) for size in reversed(SIZES) for noise in NOISES]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        of_parts = list(pool.map(_part, parts))
    return {key: value for part in reversed(of_parts) for key, value in part.items()}


def _part(task: tuple[int, float, float]) -> dict[Any, Any]:
    global scale
    size, noise, scale = task
    return found(size, noise)


_HEAD = """\
# What a limit on margins finds before a case breaks

Simulated with the shipped gate: `accuracy = "-3pp"` and `margin_p10 = "-20%"`, {draws:,} pairs of
checkpoints a cell, shares per cent of the gates. Made by
`python -m tests.benchmarks.margin_simulation --write docs/margin-simulation.md`, and held to the
bounds named here by `tests/benchmarks/test_margin_simulation.py`.

Every answer is right with a margin in nats (gamma distribution of shape 2: a tenth below 0.5, half
below 1.7, as SmolLM2-135M's on `tool-routing` after training), and measured with *noise*, a
standard deviation, by both checkpoints. The new one has lost a share of every margin; an answer of
which nothing is left calls another tool and is wrong.

Where nothing shrank the margins regress in at most 5.5 of 100 gates. Of 500 cases or more that lost
three tenths of their margins they regress in at least 90, and accuracy in at most 55.

| cases | noise | shrunk by | broken | accuracy regresses | margins regress | margins alone |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def page() -> str:
    """
    Simulate all and spell it as Markdown.
    """
    lines = [_HEAD.format(draws=draws())]
    for (size, noise, shrunk), (broken, *shares) in measured().items():
        said = " | ".join(f"{100 * each:.1f}" for each in shares)
        lines.append(f"| {size:,} | {noise:g} | {shrunk:.0%} | {broken:.1f} | {said} |\n")
    return "".join(lines)


def main() -> None:
    """
    Write the page.
    """
    global scale
    file, scale = asked("simulate a limit on margins")
    file.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
