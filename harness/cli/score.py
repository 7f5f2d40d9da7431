"""
``harness score``.
"""

import argparse

from harness.cli.options import Commands, add_command, add_quiet, add_root, add_tool_names, path
from harness.cli.output import show_judged
from harness.cli.progress import watching


def add_parser(commands: Commands) -> None:
    """
    Declare what it takes.
    """
    command = add_command(commands, "score", run, "judge stored text again, without a model")
    command.add_argument("source", type=path, metavar="SOURCE", help="a run or a transcript file")
    command.add_argument("--suite", required=True)
    add_root(command)
    command.add_argument("--dialect")
    add_tool_names(command)
    command.add_argument("--out", type=path, metavar="DIR")
    add_quiet(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Judge stored text again and show how it did.
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
            out=arguments.out,
            progress=progress,
        )
    return show_judged(stored)
