"""
Whole commands on stored text, as a user waits for them: the third table of docs/speed.md.

    python -m tests.benchmarks.commands --write docs/speed.md

A suite of generated cases is scored, saved as a baseline, compared and gated, each command in a
process of its own. Beside the seconds of CPU stands what ``json.loads`` takes for every line of the
files that the command reads, in a process of its own too: their ratio does not depend on the
machine.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

from tabulate import tabulate

from tests.benchmarks.ways import write

WORDS = """
order ship refund address parcel invoice card late broken lost change cancel status where when
please could would need find show tell about with from small large blue green
""".split()
NAMES = "get_order cancel_order search_docs create_ticket send_mail track_parcel refund".split()
TEXT = {"type": "string"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": name.replace("_", " "),
            "parameters": {
                "type": "object",
                "properties": {
                    "query": TEXT,
                    "order_id": TEXT,
                    "limit": {"type": "integer", "minimum": 1},
                },
                "required": ["query"],
            },
        },
    }
    for name in NAMES
]
SUITE = "stored"
READ = "import json, sys\nfor path in sys.argv[1:]:\n for line in open(path):\n  json.loads(line)"
READ_WHOLE = "import json, sys\nfor path in sys.argv[1:]:\n json.loads(open(path).read())"

START = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(json.dumps([process.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3]))
"""
"""
Starts a command from a small process: the peak of a child is never below that of its parent.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """
    What one process took.
    """

    seconds: float
    """Of CPU, user and system."""
    megabytes: float
    """Resident at its peak."""


def spent(*command: object, cwd: Path) -> Spent:
    """
    Run *command* in *cwd*, and return what it took.
    """
    started = [sys.executable, "-I", "-S", "-c", START, *map(str, command)]
    done = subprocess.run(started, cwd=cwd, capture_output=True, text=True, check=True)
    code, seconds, megabytes = json.loads(done.stdout)
    assert code in (0, 1, 3), done.stderr
    return Spent(seconds=seconds, megabytes=megabytes)


def project(root: Path, cases: int, group: int) -> None:
    """
    Write a suite of so many *cases* in groups of *group*, and two files of answers to it.
    """
    rng = random.Random(cases)
    suite = root / "suites" / SUITE
    suite.mkdir(parents=True)
    (suite / "tools.json").write_text(json.dumps(TOOLS))
    head = {"format": 1, "name": SUITE, "version": "1.0.0", "system": "You call tools."}
    files = {"tools": "tools.json", "cases": "cases.jsonl"}
    (suite / "suite.yaml").write_text(json.dumps({**head, **files}))
    answers: dict[str, list[str]] = {"old": [], "new": []}
    rows = []
    for number in range(cases):
        prompt = " ".join([*rng.choices(WORDS, k=12), str(number)])
        tool, word = rng.choice(NAMES), prompt.split()[0]
        call = {"tool": tool, "arguments": {"query": {"contains_any": [word, "zebra"]}}}
        row: dict[str, Any] = {"id": f"c-{number:07}", "prompt": prompt}
        row |= {"tags": [rng.choice("xy"), "plain"], "expect": {"calls": [call]}}
        rows.append(json.dumps(row | ({"group": f"g{number // group}"} if group > 1 else {})))
        for name, wrong in (("old", 0.10), ("new", 0.105)):
            text = answer(rng, tool, prompt, wrong)
            line = {"case": row["id"], "output": text, "output_tokens": len(text) // 4}
            answers[name].append(json.dumps(line))
    (suite / "cases.jsonl").write_text("\n".join(rows) + "\n")
    for name, lines in answers.items():
        (root / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def answer(rng: random.Random, tool: str, prompt: str, wrong: float) -> str:
    """
    Return an answer in the format of Hermes, of which the share *wrong* is.
    """
    drawn = rng.random()
    if drawn < wrong / 2:
        return "I cannot do that."
    name = rng.choice(NAMES) if drawn < wrong else tool
    query = prompt + rng.choice(["", " now", " please"])
    call = {"name": name, "arguments": {"query": query}}
    return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"


def measure(cases: int, group: int = 1, times: int = 1) -> dict[str, tuple[Spent, Spent]]:
    """
    Return what each command takes on so many cases, and what reading its files takes: the least of
    so many *times* each.
    """
    harness = (sys.executable, "-m", "harness")
    runs = [f"{name}/{file}" for name in ("old-0", "new-0") for file in ("run.json", "suite.json")]
    lines = ["old-0/transcripts.jsonl", "new-0/transcripts.jsonl"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        project(root, cases, group)

        def least(*words: str) -> Spent:
            """
            Run *words*, in which {} is the number of the time.
            """
            took = [
                spent(*(word.format(number) for word in words), cwd=root) for number in range(times)
            ]
            return Spent(
                seconds=min(each.seconds for each in took),
                megabytes=min(each.megabytes for each in took),
            )

        def command(*words: str) -> Spent:
            return least(*harness, *words)

        def read(whole: Sequence[str], by_line: Sequence[str]) -> Spent:
            one = least(sys.executable, "-c", READ_WHOLE, *whole)
            two = least(sys.executable, "-c", READ, *by_line)
            most = max(one.megabytes, two.megabytes)
            return Spent(seconds=one.seconds + two.seconds, megabytes=most)

        score = ("score", "--suite", SUITE, "--dialect", "hermes", "--out")
        found = {}
        spent(*harness, *score, "new-0", "new.jsonl", cwd=root)
        files = ["old.jsonl", f"suites/{SUITE}/cases.jsonl"]
        found["harness score FILE"] = (command(*score, "old-{}", "old.jsonl"), read([], files))
        save = command("baseline", "save", "old-0", "--name", "main-{}")
        found["harness baseline save"] = (save, read(runs[:2], lines[:1]))
        found["harness compare"] = (command("compare", "old-0", "new-0"), read(runs, lines))
        gate = ("gate", "new-0", "--baseline", "main-0", "--no-recheck")
        found["harness gate"] = (command(*gate), read(runs, lines))
        found["harness gate --html"] = (command(*gate, "--html", "x.html"), read(runs, lines))
        return found


def scored(cases: int) -> tuple[Spent, Spent]:
    """
    Return what ``harness score FILE`` alone takes on so many cases, and what reading its files
    takes.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        project(root, cases, 1)
        words = ("score", "--suite", SUITE, "--dialect", "hermes", "--out", "old", "old.jsonl")
        files = ("old.jsonl", f"suites/{SUITE}/cases.jsonl")
        took = spent(sys.executable, "-m", "harness", *words, cwd=root)
        return took, spent(sys.executable, "-c", READ, *files, cwd=root)


def table(sizes: Sequence[int], group: int) -> str:
    """
    Return the table of all commands at these *sizes*.
    """
    measured = {size: measure(size, group) for size in sizes}
    rows = []
    for name in measured[sizes[0]]:
        row = [name]
        for size in sizes:
            took, read = measured[size][name]
            row.append(f"{took.seconds:.1f} s, {took.megabytes:.0f} MB")
            row.append(f"{took.seconds / read.seconds:.1f}")
        before, last = (measured[size][name][0].seconds for size in sizes[-2:])
        rows.append([*row, f"{log(last / before) / log(sizes[-1] / sizes[-2]):.2f}"])
    heads = [part for size in sizes for part in (f"{size:,} cases", "of json.loads")]
    return tabulate(rows, headers=["command", *heads, "last step, n to the"], tablefmt="github")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--score", type=int, help="score so many cases, too", metavar="N")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    text = ""
    for group, what in ((1, "Each case by itself"), (5, "In groups of five")):
        text += f"{what}:\n\n{table(given.sizes, group)}\n\n"
    if given.score:
        took, read = scored(given.score)
        text += (
            f"`harness score FILE` of {given.score:,} cases: {took.seconds:.0f} s, "
            f"{took.megabytes / 1e3:.1f} GB, {took.seconds / read.seconds:.1f} times json.loads.\n"
        )
    print(text)
    if given.write:
        write(given.write, text, "commands")


if __name__ == "__main__":
    main()
