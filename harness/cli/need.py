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
    command.add_argument(
        "--suites",
        type=_many,
        default=1,
        metavar="N",
        help="how many suites must pass before a release (default: 1)",
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Print how many cases it takes to see a drop, and to clear a checkpoint of one.
    """
    from harness.workflow.need import need

    drop = arguments.drop
    if drop == 0:
        raise UsageError("no number of cases detects a drop of 0; try --drop 3pp")
    for line in need(drop, arguments.discordance, arguments.suites):
        print(line)
    return ExitCode.PASS


def _many(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of suites from 1 to 1000")
    return int(text)
