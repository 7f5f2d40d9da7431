"""
How often the verdict on several suites is wrong, and what it sees: simulated, and written down.

``python -m tests.benchmarks.release_simulation --write docs/release-simulation.md`` makes the page,
in minutes on two cores. `test_release_simulation` asserts its bounds on fewer draws.

Every verdict is `harness.gating.release.gate_release` on comparisons with drawn counts, as in
`gate_simulation`. Suites are drawn apart, each as large as the suites that come with the package.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

import harness.gating.rates
from harness.comparison.compare import Comparison
from harness.comparison.paired import PairedValues
from harness.gating.gate import gate
from harness.gating.policy import Policy, default_policy, read_policy
from harness.gating.release import Entrant, gate_release

from .gate_simulation import SEED, TODAY, comparison, rate
from .pages import asked

SUITES = 7
SIZE = 150
DRAWS = 2_000
DISCORDANCES = (0.03, 0.08, 0.15)
NEEDLESS = (0.01, 0.02, 0.04)
DROPS = (0.05, 0.08, 0.12)

# What a pass may have missed is told and decides nothing; it takes long to count.
harness.gating.rates.smallest_rise = lambda *_: None

scale = 1.0


def draws() -> int:
    """
    Return how many releases are drawn for a cell.
    """
    return max(100, round(DRAWS * scale))


def dice(*of: float) -> Any:
    """
    Return a generator of its own for each cell.
    """
    return np.random.default_rng([SEED, *(round(1e4 * each) for each in of)])


def counts(random: Any, d: float, drop: float, size: int) -> tuple[int, int]:
    """
    Draw how many cases of a suite broke and were fixed.
    """
    broken, fixed, _ = random.multinomial(size, [d / 2 + drop, d / 2, 1 - d - drop])
    return int(broken), int(fixed)


def of_accuracy(random: Any, d: float, drop: float = 0.0) -> Comparison:
    """
    Draw a suite of which accuracy alone is looked at.
    """
    return comparison({"accuracy": rate(*counts(random, d, drop, SIZE), SIZE)})


def of_needless(random: Any, base: float) -> Comparison:
    """
    Draw a suite of which needless calls are looked at, half of the offenders offending twice.
    """
    return comparison(
        {
            "second_call_rate": rate(*counts(random, base, 0, SIZE), SIZE),
            "call_after_result_rate": rate(*counts(random, base, 0, SIZE // 3), SIZE // 3),
        }
    )


def of_all(random: Any, d: float, base: float) -> Comparison:
    """
    Draw a suite as the default policy sees it: each needless call is a broken case, too.
    """
    second = counts(random, base, 0, SIZE)
    after = counts(random, base, 0, SIZE // 3)
    other = counts(random, max(d - base, 0), 0, SIZE)
    broken, fixed = (second[way] + after[way] + other[way] for way in (0, 1))
    old = 200 * np.exp(random.normal(0, 0.5, SIZE))
    new = old * np.exp(random.normal(0, 0.3, SIZE))
    lengths = PairedValues(
        old=float(np.median(old)),
        new=float(np.median(new)),
        values=tuple(zip(old.tolist(), new.tolist(), strict=True)),
    )
    return comparison(
        {
            "accuracy": rate(broken, fixed, SIZE),
            "second_call_rate": rate(*second, SIZE),
            "call_after_result_rate": rate(*after, SIZE // 3),
        },
        {"output_tokens_p50": lengths},
    )


def blocked(policy: Policy, suites: Sequence[Comparison]) -> tuple[bool, bool, bool]:
    """
    Return whether the first suite regresses by itself, any by itself, and the release.
    """
    alone = [gate(policy, each, TODAY).verdict == "regressed" for each in suites]
    # A loss that no gate of one suite calls worse is none of a release either.
    if not any(alone):
        return False, False, False
    entrants = {f"{n}": Entrant(comparison=each) for n, each in enumerate(suites)}
    return alone[0], True, gate_release(policy, entrants, TODAY).verdict == "regressed"


def share(policy: Policy, suite: Callable[[Any, int], Comparison], *of: float) -> Any:
    """
    Return how often the first suite, any suite and the release regress.
    """
    random = dice(*of)
    found = [blocked(policy, [suite(random, n) for n in range(SUITES)]) for _ in range(draws())]
    return np.mean(np.array(found), axis=0)


_ACCURACY = read_policy('[limits]\naccuracy = "-3pp"', "the simulation")
_NEEDLESS = read_policy(
    '[limits]\nsecond_call_rate = "+0pp"\ncall_after_result_rate = "+0pp"', "the simulation"
)


def false_alarms(kind: str, first: float) -> dict[tuple[str, float], Any]:
    """
    (kind, d or base rate) -> how often equal checkpoints regress: in one suite, in any of seven
    gated one by one, in the release.
    """
    if kind == "accuracy":
        return {(kind, first): share(_ACCURACY, lambda r, _: of_accuracy(r, first), 1, first)}
    if kind == "needless calls":
        return {(kind, first): share(_NEEDLESS, lambda r, _: of_needless(r, first), 2, first)}
    found = share(default_policy(), lambda r, _: of_all(r, first, 0.02), 3, first)
    return {(kind, first): found}


def power(where: str, d: float) -> dict[tuple[str, float, float], Any]:
    """
    (where, d, D) -> how often a loss of D in every suite, or in the first alone, is found: by the
    gate of the first suite, by any of seven gates, by the release.
    """
    return {
        (where, d, drop): share(
            _ACCURACY,
            lambda r, n, drop=drop: of_accuracy(r, d, drop if where == "all" or not n else 0.0),
            4,
            d,
            drop,
            len(where),
        )
        for drop in DROPS
    }


TABLES: Mapping[str, tuple[Callable[..., dict[Any, Any]], Sequence[tuple[Any, ...]]]] = {
    "false_alarms": (
        false_alarms,
        [
            *(("accuracy", d) for d in DISCORDANCES),
            *(("needless calls", base) for base in NEEDLESS),
            *(("the default policy", d) for d in DISCORDANCES),
        ],
    ),
    "power": (power, [(where, d) for where in ("all", "one") for d in DISCORDANCES]),
}


def measured(name: str) -> dict[Any, Any]:
    """
    Return a whole table, its parts computed by a process on each core.
    """
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(_part, [(name, part, scale) for part in TABLES[name][1]]))
    return {key: value for part in found for key, value in part.items()}


def _part(task: tuple[str, tuple[Any, ...], float]) -> dict[Any, Any]:
    global scale
    name, part, scale = task
    return TABLES[name][0](*part)


_HEAD = """\
# How often the verdict on several suites is wrong

Simulated with the shipped gate (`harness.gating.release`): {suites} required suites of {size}
cases, {draws:,} releases a cell, all figures per cent of releases. Made by
`python -m tests.benchmarks.release_simulation --write docs/release-simulation.md`, and held to the
bounds named here by `tests/benchmarks/test_release_simulation.py`.

*d* is the share of cases on which two equally good checkpoints differ, half of it each way.

## Equal checkpoints are blocked

Bound of the release: 5.5 for one kind of rule, 10 for the default policy.

| kind of limit | d, or base rate | one suite | seven, one by one | the release |
| :--- | ---: | ---: | ---: | ---: |
"""

_POWER = """
## A loss is found

A loss of D points in every suite is found by the release more often than by the gate of one suite;
held to at most 3 points less. One that only a single suite shows is found less often: the release
has to allow for the other six, the more the more of their cases change. Seven gates one by one
find it, and block an equal checkpoint as often as the table above says.

| lost in | d | D | by the gate of the first | by any of seven gates | by the release |
| :--- | ---: | ---: | ---: | ---: | ---: |
"""


def page() -> str:
    """
    Simulate all and spell it as Markdown.
    """
    lines = [_HEAD.format(suites=SUITES, size=SIZE, draws=draws())]
    for (kind, first), found in measured("false_alarms").items():
        lines.append(f"| {kind} | {first:.0%} | {_cells(found)} |\n")
    lines.append(_POWER)
    for (where, d, drop), found in measured("power").items():
        said = "every suite" if where == "all" else "one suite"
        lines.append(f"| {said} | {d:.0%} | {100 * drop:g} | {_cells(found)} |\n")
    return "".join(lines)


def _cells(shares: Sequence[float]) -> str:
    return " | ".join(f"{100 * each:.1f}" for each in shares)


def main() -> None:
    """
    Write the page.
    """
    global scale
    file, scale = asked("simulate the verdict on several suites")
    file.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
