"""
``harness run``.
"""

import argparse

from harness.cli.options import (
    Commands,
    add_asking,
    add_checkpoint,
    add_command,
    add_quiet,
    add_root,
    add_suite,
    add_tool_names,
    path,
    positive,
    run_options,
)
from harness.cli.output import show_judged
from harness.cli.progress import watching
from harness.errors import UsageError


def add_parser(commands: Commands) -> None:
    """
    Declare what it takes.
    """
    command = add_command(commands, "run", run, "run a checkpoint on a suite and judge it")
    add_suite(command)
    add_checkpoint(command)
    add_root(command)
    command.add_argument("--out", type=path, metavar="DIR", help="the run's folder")
    command.add_argument("--repeats", type=positive, default=1, metavar="K", help="ask K times")
    command.add_argument("--resume", action="store_true", help="go on with the run in --out")
    command.add_argument("--batch-size", type=positive, metavar="N")
    add_asking(command)
    command.add_argument(
        "--draft",
        metavar="BASELINE",
        help="a baseline or run whose answers are verified in one go and kept where they still "
        "hold: the same answers, sooner",
    )
    command.add_argument(
        "--latency", action="store_true", help="also time 24 fixed cases, one answer at a time"
    )
    add_tool_names(command)
    add_quiet(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Run a checkpoint on a suite, judge it and show how it did.
    """
    from harness.workflow import run as workflow
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    if arguments.resume and arguments.out is None:
        raise UsageError("--resume needs --out DIR, the folder of the run to go on with")
    with watching(arguments.suite, quiet=arguments.quiet) as progress:
        stored = workflow.run(
            arguments.suite,
            arguments.checkpoint,
            project=project,
            out=arguments.out,
            options=run_options(arguments),
            progress=progress,
        )
    return show_judged(stored)
