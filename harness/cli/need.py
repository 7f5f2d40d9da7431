"""
``harness need``.
"""

import argparse

from harness.cli.options import add_command, share
from harness.cli.parser import Commands
from harness.errors import ExitCode, UsageError


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(commands, "need", run, "say how many cases a question needs")
    command.add_argument(
        "--drop",
        type=share,
        default=0.03,
        metavar="3pp",
        help="the drop of accuracy to detect (default: 3pp)",
    )
    command.add_argument(
        "--discordance",
        type=share,
        default=0.05,
        metavar="5%",
        help="the share of cases on which two equally good checkpoints differ (default: 5%%)",
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Print how many cases it takes to see a drop, and to clear a checkpoint of one.
    """
    from harness.stats import cases_to_clear, cases_to_detect

    drop, discordance = arguments.drop, arguments.discordance
    if drop == 0:
        raise UsageError("no number of cases detects a drop of 0; try --drop 3pp")
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
