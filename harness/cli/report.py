"""
``harness report``.
"""

import argparse

from harness.cli.forms import add_forms
from harness.cli.options import add_command, add_detail, add_root
from harness.cli.output import conclude, deliver
from harness.cli.parser import Commands
from harness.errors import ExitCode


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(commands, "report", run, "show one run, or write it in any form")
    command.add_argument("run", metavar="RUN", help="a run's folder or a baseline")
    add_detail(command)
    add_root(command)
    add_forms(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Show or write the report on one run.
    """
    from harness.reports.brief import outcome
    from harness.reports.build import report_run
    from harness.runs.verify import verified
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    report = report_run(verified(project.run(arguments.run)))
    stream = deliver(report, arguments)
    conclude(outcome(report), f"exit {int(ExitCode.PASS)}", arguments, stream)
    return ExitCode.PASS
