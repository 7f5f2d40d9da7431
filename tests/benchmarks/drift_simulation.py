"""
What `harness drift` finds and how often it alarms for nothing: chains of ten simulated releases.

    python -m tests.benchmarks.drift_simulation

Of each chain the test is made after every release from the third on, as a team would. From one
release to the next 1 % of the cases change for good, as many for the worse as for the better, and
2 % of the answers are otherwise for that release alone: two neighbours differ on about 5 %.
"""

import random
from collections.abc import Iterator

from tabulate import tabulate

from harness.gating.drift import trend

RELEASES, ACCURACY, CHANGED, FICKLE = 10, 0.85, 0.01, 0.02


def chain(draw: random.Random, cases: int, loss: float) -> list[list[int]]:
    """
    Return for each case whether it is right in each release; *loss* is the true loss a release.
    """
    rows = []
    worse = (CHANGED / 2 + loss) / ACCURACY
    better = CHANGED / 2 / (1 - ACCURACY)
    for _ in range(cases):
        right, row = draw.random() < ACCURACY, []
        for release in range(RELEASES):
            if release and draw.random() < (worse if right else better):
                right = not right
            row.append(int(right != (draw.random() < FICKLE)))
        rows.append(row)
    return rows


def alarm(rows: list[list[int]]) -> int | None:
    """
    Return after how many releases the test first alarms; None if it never does.
    """
    for releases in range(3, RELEASES + 1):
        if trend({str(case): row[:releases] for case, row in enumerate(rows)}).drifts:
            return releases
    return None


def alarms(cases: int, loss: float, chains: int, seed: int = 0) -> list[int | None]:
    """
    Return when each of *chains* simulated chains first alarms.
    """
    draw = random.Random(seed)
    return [alarm(chain(draw, cases, loss)) for _ in range(chains)]


def share_by(found: list[int | None], releases: int) -> float:
    """
    Return the share of chains that alarm after so many releases at most.
    """
    return sum(each is not None and each <= releases for each in found) / len(found)


def _rows() -> Iterator[tuple[int, str, str, str, str]]:
    for cases in (250, 700, 1_300):
        losing, flat = alarms(cases, 0.005, 200), alarms(cases, 0.0, 400)
        found = [f"{share_by(losing, releases):.0%}" for releases in (6, 8, 10)]
        yield cases, *found, f"{share_by(flat, RELEASES):.1%}"


if __name__ == "__main__":
    head = ["cases", "found by the sixth", "by the eighth", "by the tenth", "false alarms"]
    print(tabulate(_rows(), headers=head, tablefmt="github"))
