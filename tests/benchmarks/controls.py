"""
What benchmarks are timed against: fixed work of the same kind, in the same run.

Seconds tell how fast a machine is; how many times longer than its control some work takes tells how
fast the work is. `against` times both in turn and stores that ratio, `store` stores what was
measured otherwise. The conftest holds each benchmark to at least one ratio, and compares it with
the one in ratios.json.
"""

import gc
import json
import random
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

RATIOS = "ratios"
"""The key of `benchmark.extra_info`: what was measured -> times its control. More is worse."""
REPEATS = 3
"""How often a control runs before the work and after it."""

Control = Callable[[], object]


def cpu_seconds() -> float:
    """
    Return the seconds of CPU, user and system, that this process has taken, and those of its
    children that have ended: what else a machine does is not in them.
    """
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)


def against(
    benchmark: Any,
    control: Control,
    work: Callable[..., Any],
    *args: Any,
    rounds: int = 1,
    clock: Callable[[], float] = cpu_seconds,
) -> Any:
    """
    Benchmark *work*, store how many times longer than *control* it takes, and return what it
    returns last.

    The control runs before each round and after the last one. Of several rounds the least times are
    compared: what disturbs only adds. One long round meets what disturbs, so it is compared with
    the median of the control.
    """
    controls: list[float] = []
    took: list[float] = []

    def seconds(timed: Callable[..., Any], *given: Any) -> tuple[float, Any]:
        began = clock()
        found = timed(*given)
        return clock() - began, found

    def before() -> None:
        # The collector would look at all that the process holds by then.
        gc.disable()
        try:
            controls.extend(seconds(control)[0] for _ in range(REPEATS))
        finally:
            gc.enable()

    def timed() -> Any:
        spent, found = seconds(work, *args)
        took.append(spent)
        return found

    control()  # what loads or allocates on its first call
    found = benchmark.pedantic(timed, setup=before, rounds=rounds)
    before()
    store(benchmark, time=min(took) / (min(controls) if rounds > 1 else median(controls)))
    return found


def store(benchmark: Any, **ratios: float) -> None:
    """
    Store *ratios* by what they are of: `time`, `memory`, or either after the name of a part.
    """
    stored = benchmark.extra_info.setdefault(RATIOS, {})
    stored.update({name: float(f"{ratio:.3g}") for name, ratio in ratios.items()})


def reading(*files: Path) -> Control:
    """
    ``json.loads`` of each line of *files*.
    """

    def read() -> None:
        for file in files:
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    json.loads(line)

    return read


def documents() -> None:
    """
    ``json.loads`` of a megabyte, ten times: for what is Python.
    """
    text = _document()
    for _ in range(10):
        json.loads(text)


@cache
def _document() -> str:
    draw = random.Random(0)
    rows = [
        {"id": f"c-{number}", "words": [f"w{draw.randrange(999)}" for _ in range(12)], "at": number}
        for number in range(8_000)
    ]
    return json.dumps(rows)


def drawing() -> None:
    """
    200,000 draws of numpy, counted in Python: for simulations.
    """
    import numpy as np

    drawn = np.random.default_rng(0).multinomial(500, [0.05, 0.05, 0.9], 200_000)
    Counter(map(tuple, drawn.tolist()))


def product() -> None:
    """
    Four products of large matrices: for models that are bound by arithmetic.
    """
    import torch

    left, right = torch.ones(2, 1536, 1536)
    for _ in range(4):
        left @ right


def process(command: Sequence[str]) -> Control:
    """
    *command* in a process of its own.
    """
    return lambda: subprocess.run(command, check=True, capture_output=True)


INTERPRETER = process([sys.executable, "-I", "-S", "-c", "pass"])
"""The interpreter without site-packages: for what starts a process."""
