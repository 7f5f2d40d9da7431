"""
Why both checkpoints are asked again at batch size 1, or neither; run it with
``python -m tests.benchmarks.recheck_simulation``.

Each answer at batch size 1 is right or wrong; in a batch it changes sides by chance, in either
run. Cases that differ between the batched runs are decided again in neither, both, or the
candidate alone, whenever the paired test blocks. Prints the table of docs/noise.md.
"""

from functools import cache

import numpy as np

from harness.stats import mid_p

DRAWS = 10_000
ACCURACY, DISCORDANCE, ALPHA = 0.90, 0.05, 0.05
WAYS = ("never", "both", "candidate alone")


@cache
def blocks(broken: int, fixed: int) -> bool:
    return mid_p(broken, fixed) < ALPHA


def simulate(cases: int, drop: float, noise: float, random: np.random.Generator) -> list[float]:
    """
    Return the share of gates that block, for each of `WAYS`.
    """
    blocked = dict.fromkeys(WAYS, 0)
    for _ in range(DRAWS):
        fate = random.random(cases)
        broken = fate < DISCORDANCE / 2 + drop
        fixed = ~broken & (fate < DISCORDANCE + drop)
        old = np.where(broken, True, np.where(fixed, False, random.random(cases) < ACCURACY))
        new = np.where(broken, False, np.where(fixed, True, old))
        seen_old, seen_new = (side ^ (random.random(cases) < noise) for side in (old, new))
        if not blocks(int((seen_old & ~seen_new).sum()), int((~seen_old & seen_new).sum())):
            continue
        flipped = seen_old != seen_new
        again_old, again_new = np.where(flipped, old, seen_old), np.where(flipped, new, seen_new)
        for way, was, now in (
            ("never", seen_old, seen_new),
            ("both", again_old, again_new),
            ("candidate alone", seen_old, again_new),
        ):
            blocked[way] += blocks(int((was & ~now).sum()), int((~was & now).sum()))
    return [count / DRAWS for count in blocked.values()]


def main() -> None:
    print(f"| cases | noise | true drop | {' | '.join(WAYS)} |")
    print("|---|---|---|---|---|---|")
    random = np.random.default_rng(1)
    for cases in (120, 500):
        for noise in (0.01, 0.03):
            for drop in (0.0, 0.05):
                shares = simulate(cases, drop, noise, random)
                cells = " | ".join(f"{share:.1%}" for share in shares)
                print(f"| {cases} | {noise:.0%} | {100 * drop:g} points | {cells} |")


if __name__ == "__main__":
    main()
