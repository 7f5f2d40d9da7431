"""
``harness explain``.
"""

import argparse
import os
import sys

from harness.cli.options import add_command, add_root
from harness.cli.output import coloured, no_workflow_commands
from harness.cli.parser import Commands
from harness.errors import ExitCode


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(
        commands, "explain", run, "show what was sent, what came and how it was read"
    )
    command.add_argument("run", metavar="RUN", help="a run's folder or a baseline")
    command.add_argument("case", metavar="CASE", help="the id of a case")
    command.add_argument(
        "--baseline",
        metavar="NAME",
        help="say where the answer first differs from that of this baseline or run",
    )
    add_root(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Print how one case of a run went.
    """
    from harness.reports.explain import explain_case
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    stored = project.run(arguments.run)
    name = arguments.baseline
    against = None if name is None else project.baseline(stored.record, name)
    colour = coloured(sys.stdout.isatty(), os.environ)
    with no_workflow_commands():
        for line in explain_case(stored, arguments.case, against=against, colour=colour):
            print(line)
    return ExitCode.PASS
