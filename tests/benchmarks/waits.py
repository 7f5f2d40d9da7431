"""
What a user waits for on the way to an answer, in the tree of an older commit and in this one: the
table in docs/speed.md.

    git worktree add --detach DIR COMMIT
    python -m tests.benchmarks.waits --before DIR [--write docs/speed.md]

Whole commands, each tree in turn in every round, so that whatever else the machine does meets both;
the best of the rounds counts. The embedded model has to be in the user's cache.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from harness.checkpoints.cache import cache_folder
from tests.benchmarks.ways import ceiling, write

TREE = Path(__file__).parents[2]
BASE = "embedded:smollm2-135m"
SUITE = "tool-routing"
MARK = "waits"
KEPT = ("embedded", "wheels", "digests")
"""What a cache has in which no check of a model is remembered."""

IMPORTS = """
import harness.workflow
import torch, transformers.models.llama.modeling_llama
from transformers import AutoModelForCausalLM, AutoTokenizer
"""
TORCH, MODEL = "`import torch` alone", "modules that answering needs"
FIRST, AGAIN = "2 answers of 4 tokens, a model new here", "the same, the model asked before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """
    A checkout whose package is run.
    """

    name: str
    root: Path

    def seconds(self, command: Sequence[str], cache: Path) -> float:
        """
        Return how long *command* of Python takes from start to end.

        Raises:
            CalledProcessError: if it fails.
        """
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            "HARNESS_CACHE": str(cache),
            "HF_HUB_OFFLINE": "1",
        }
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-P", *command],
            env=environment,
            cwd=cache,
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - began


def new_cache(folder: Path) -> Path:
    """
    Return a cache in *folder* that has the model, and in which nothing was confirmed about it.
    """
    cache = Path(tempfile.mkdtemp(dir=folder))
    for name in KEPT:
        if (kept := cache_folder() / name).exists():
            (cache / name).symlink_to(kept)
    return cache


def measure(trees: Sequence[Tree], rounds: int) -> dict[str, dict[str, float]]:
    """
    Return for everything that is waited for, and each tree, the fewest seconds.
    """
    seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number in range(rounds):
            for tree in trees:
                cache = new_cache(folder)
                for what, command in commands(tree, cache):
                    seen[what][tree.name].append(tree.seconds(command, cache))
                    print(number, tree.name, what, seen[what][tree.name][-1], file=sys.stderr)
    return {
        what: {name: min(times) for name, times in found.items()} for what, found in seen.items()
    }


def commands(tree: Tree, cache: Path) -> Iterator[tuple[str, list[str]]]:
    """
    Yield what is waited for, and the command that takes it.
    """
    yield "`harness --help`", ["-m", "harness", "--help"]
    yield TORCH, ["-c", "import torch"]
    yield MODEL, ["-c", IMPORTS]
    for what, out in ((FIRST, "first"), (AGAIN, "again")):
        suite = str(tree.root / "suites" / SUITE)
        asked = ["run", suite, "--checkpoint", BASE, "--limit", "2", "--max-new-tokens", "4"]
        yield what, ["-m", "harness", *asked, "--out", str(cache / out)]


def table(found: dict[str, dict[str, float]], gigaflops: float) -> str:
    """
    Return the seconds side by side, with what this machine can compute.
    """
    names = list(next(iter(found.values())))
    rows = [[what, *(f"{times[name]:.1f} s" for name in names)] for what, times in found.items()]
    return (
        tabulate(rows, headers=["", *names], tablefmt="github", disable_numparse=True)
        + f"\n\nA large matrix product in the same run: {gigaflops:.0f} GFLOP/s.\n"
    )


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, metavar="DIR")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    trees = (Tree(name="before", root=given.before.resolve()), Tree(name="now", root=TREE))
    text = table(measure(trees, given.rounds), ceiling(torch.empty(0)) / 1e9)
    print(text)
    if given.write:
        write(given.write, text, MARK)


if __name__ == "__main__":
    main()
