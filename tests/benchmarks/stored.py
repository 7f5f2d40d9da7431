"""
What `tox -e bench` stored, beside the model's own speed: the second table in docs/speed.md.

    python -m tests.benchmarks.stored reports/benchmarks/*/0001_*.json --write docs/speed.md
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from tests.benchmarks.ways import write

ROWS = {
    "test_starting_up[pass]": "the bare interpreter",
    "test_starting_up[import harness]": "`import harness`",
    "test_starting_up[import harness.cli.main]": "`import harness.cli.main`",
    "test_asking_for_help": "`harness --help`",
    "test_judging_stored_answers": "judging 100,000 stored transcripts",
    "test_comparing_two_runs": "comparing two runs of 100,000 cases",
    "test_finding_near_duplicates": "near-duplicates among 4,000 prompts of one template",
}
"""Benchmark -> what it is called in the table."""


def table(stored: Mapping[str, Any]) -> str:
    """
    Return the seconds each benchmark of *stored*, the JSON of pytest-benchmark, took.

    Raises:
        KeyError: if one of `ROWS` was not run.
    """
    stats = {each["name"]: each["stats"] for each in stored["benchmarks"]}
    rows = [
        [title, f"{stats[name]['min']:.2f}", f"{stats[name]['median']:.2f}", stats[name]["rounds"]]
        for name, title in ROWS.items()
    ]
    headers = ["what", "least seconds", "median seconds", "times"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stored", type=Path)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    text = table(json.loads(arguments.stored.read_text("utf-8")))
    print(text)
    if arguments.write:
        write(arguments.write, text, "stored")


if __name__ == "__main__":
    main()
