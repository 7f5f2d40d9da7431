"""
The ratios of benchmarks to their controls that are committed, and what became slower than they are.

ratios.json has one line for each: the ratios of the last runs, and the versions they were made
with. Stored is their median. What differs from it by more than its tolerance became slower or
faster: a quarter, or twice the spread of the runs (largest less smallest, as a share of the median)
where that is more; half where there was one run, which shows no spread.
"""

import json
import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Literal

from tabulate import tabulate

LEAST_TOLERANCE, TOLERANCE_OF_ONE = 0.25, 0.5
KEPT = 5
"""How many runs are kept of each ratio, the newest."""
PACKAGES = ("numpy", "msgspec", "torch", "transformers")
"""Whose versions are stored beside that of Python: the work, or its control, is largely theirs."""

Verdict = Literal["slower", "faster", "new", "gone", "same", "not run"]
SAYS: dict[Verdict, str] = {
    "slower": "became slower",
    "faster": "became faster",
    "new": "no stored ratio: not compared",
    "gone": "stored, but no longer measured",
    "same": "within its tolerance",
    "not run": "not run today",
}
"""In the order of the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """
    What is known of one ratio.
    """

    ratios: tuple[float, ...]
    """Of the last runs, the newest last."""
    versions: str

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def tolerance(self) -> float:
        if len(self.ratios) == 1:
            return TOLERANCE_OF_ONE
        spread = (max(self.ratios) - min(self.ratios)) / self.ratio
        return max(LEAST_TOLERANCE, 2 * spread)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    One ratio, as stored and as seen today.
    """

    name: str
    verdict: Verdict
    stored: Stored | None = None
    seen: float | None = None

    @property
    def change(self) -> float | None:
        """
        How much more it is today, as a share of what is stored.
        """
        if self.stored is None or self.seen is None:
            return None
        return self.seen / self.stored.ratio - 1


def name_of(benchmark: str, part: str) -> str:
    return f"{benchmark}: {part}"


def benchmark_of(name: str) -> str:
    return name.partition(": ")[0]


def compare(
    stored: Mapping[str, Stored], seen: Mapping[str, float], there: Collection[str]
) -> tuple[Found, ...]:
    """
    Say of each ratio what became of it; *there* are the benchmarks that still exist.
    """
    ran = {benchmark_of(name) for name in seen}

    def verdict(name: str) -> Verdict:
        if name not in stored:
            return "new"
        if name not in seen:
            still = benchmark_of(name) in there and benchmark_of(name) not in ran
            return "not run" if still else "gone"
        # As far below as above: half as long is as much of a change as twice as long.
        change = seen[name] / stored[name].ratio
        most = 1 + stored[name].tolerance
        return "slower" if change > most else "faster" if change < 1 / most else "same"

    order = list(SAYS)
    found = [
        Found(name=name, verdict=verdict(name), stored=stored.get(name), seen=seen.get(name))
        for name in stored.keys() | seen.keys()
    ]
    return tuple(sorted(found, key=lambda each: (order.index(each.verdict), each.name)))


def updated(found: Collection[Found], versions: str) -> dict[str, Stored]:
    """
    Return what to store after today: one run more of what stayed the same, today's alone of what
    changed, nothing of what is gone.
    """
    new = {}
    for each in found:
        if each.verdict == "not run" and each.stored is not None:
            new[each.name] = each.stored
        if each.seen is not None:
            before = each.stored.ratios if each.stored and each.verdict == "same" else ()
            ratios = (*before, each.seen)[-KEPT:]
            new[each.name] = Stored(ratios=ratios, versions=versions)
    return new


def table(found: Collection[Found]) -> str:
    """
    Spell what was compared, and after it plainly what became slower.
    """
    rows = [
        [
            each.name,
            f"{each.stored.ratio:.3g}" if each.stored else "",
            len(each.stored.ratios) if each.stored else "",
            f"{each.seen:.3g}" if each.seen is not None else "",
            f"{each.change:+.0%}" if each.change is not None else "",
            f"{each.stored.tolerance:.0%}" if each.stored else "",
            SAYS[each.verdict],
        ]
        for each in found
        if each.verdict != "not run"
    ]
    headers = ["times its control", "stored", "runs", "today", "change", "tolerance", ""]
    counts = [
        f"{many} {SAYS[verdict]}"
        for verdict in SAYS
        if (many := sum(each.verdict == verdict for each in found))
    ]
    slower = [
        f"SLOWER: {each.name}: {each.seen:.3g} times its control, stored is "
        f"{each.stored.ratio:.3g} ({each.change:+.0%}, tolerance {each.stored.tolerance:.0%})"
        for each in found
        if each.verdict == "slower" and each.stored
    ]
    spelled = tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=True)
    return "\n".join([spelled, "", "; ".join(counts), *slower])


def read(file: Path) -> dict[str, Stored]:
    """
    Return what *file* stores, nothing where there is none.
    """
    if not file.is_file():
        return {}
    rows = json.loads(file.read_text("utf-8"))
    return {
        name: Stored(ratios=tuple(row["ratios"]), versions=row["versions"])
        for name, row in rows.items()
    }


def write(file: Path, stored: Mapping[str, Stored]) -> None:
    """
    Write *stored* by name, a line for each.
    """
    lines = [
        f"{json.dumps(name)}: "
        + json.dumps({"ratios": list(each.ratios), "versions": each.versions})
        for name, each in sorted(stored.items())
    ]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def versions() -> str:
    """
    Return the versions that ratios are made with here.
    """
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return f"Python {platform.python_version()}, {packages}"
