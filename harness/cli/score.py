"""
``harness score``.
"""

import argparse

from harness.cli.options import (
    add_command,
    add_dialect,
    add_opened,
    add_out,
    add_quiet,
    add_root,
    add_tool_names,
    path,
)
from harness.cli.output import show_judged
from harness.cli.parser import Commands
from harness.cli.progress import watching


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(commands, "score", run, "judge stored answers again, without a model")
    command.add_argument("source", type=path, metavar="SOURCE", help="a run or a transcript file")
    command.add_argument(
        "--suite", required=True, metavar="SUITE", help="the suite's folder or name"
    )
    add_root(command)
    add_dialect(command, "that of the run")
    add_tool_names(command)
    add_opened(command)
    add_out(command, "the new run's folder")
    add_quiet(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Judge stored text again and show the result.
    """
    from harness.workflow.project import open_project
    from harness.workflow.score import score

    project = open_project(arguments.root)
    with watching(arguments.suite, quiet=arguments.quiet) as progress:
        stored = score(
            arguments.source,
            arguments.suite,
            project=project,
            dialect=arguments.dialect,
            tool_names=arguments.tool_names,
            opened=arguments.opened,
            out=arguments.out,
            progress=progress,
        )
    return show_judged(stored)
