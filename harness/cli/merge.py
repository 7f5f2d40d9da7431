"""
``harness merge``.
"""

import argparse

from harness.cli.options import add_command, add_detail, add_out, add_root, path
from harness.cli.output import following, show_judged
from harness.cli.parser import Commands


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(
        commands, "merge", run, "put the parts of one run together, proved to belong together"
    )
    command.add_argument(
        "parts",
        nargs="+",
        type=path,
        metavar="PART",
        help="a run made with `harness run --shard`, or some of its parts merged with --partial",
    )
    add_root(command)
    add_out(command, "the whole run's folder")
    command.add_argument(
        "--partial",
        action="store_true",
        help="merge though parts are missing; a gate on it is at best inconclusive",
    )
    add_detail(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Merge parts and show the result.
    """
    from harness.workflow.merge import merge
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    stored = merge(arguments.parts, project=project, out=arguments.out, partial=arguments.partial)
    return show_judged(stored, arguments, following=following(stored, project))
