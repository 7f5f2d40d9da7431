"""
``harness need`` and ``doctor``.
"""

import argparse

from harness.cli.doctor import examine
from harness.cli.output import table
from harness.errors import ExitCode, UsageError
from harness.stats import cases_to_clear, cases_to_detect
from harness.workflow.project import open_project


def need(arguments: argparse.Namespace) -> int:
    """
    ``harness need``.
    """
    drop, discordance = arguments.drop, arguments.discordance
    if drop == 0:
        raise UsageError("no number of cases detects a drop of 0; give --drop 3pp, say")
    print(
        f"to catch a true drop of {100 * drop:g} points (80% power, alpha 5%, one-sided), "
        f"if {100 * discordance:g}% of cases flip without cause: "
        f"{cases_to_detect(drop, discordance)} cases"
    )
    print(
        f"to pass an equally good checkpoint with a margin of {100 * drop:g} points: "
        f"{cases_to_clear(drop, discordance)} cases"
    )
    print("cases that share a template count for less: give them a group")
    return ExitCode.PASS


def doctor(arguments: argparse.Namespace) -> int:
    """
    ``harness doctor``.
    """
    rows = examine(open_project(arguments.root))
    table(["", "what", "finding"], [[row.mark, row.what, row.finding] for row in rows])
    return ExitCode.ERROR if any(row.broken for row in rows) else ExitCode.PASS
