"""
``harness score``.
"""

import argparse
import gc

from harness.cli.options import (
    add_command,
    add_detail,
    add_dialect,
    add_environment,
    add_opened,
    add_out,
    add_root,
    add_tool_names,
    path,
    positive,
)
from harness.cli.output import show_judged
from harness.cli.parser import Commands
from harness.cli.progress import say, watching


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(commands, "score", run, "judge stored answers again, without a model")
    command.add_argument(
        "source",
        type=path,
        metavar="SOURCE",
        help="a run, or a file of answers (docs/replay.md)",
    )
    command.add_argument(
        "--suite",
        metavar="SUITE",
        help="the suite's folder or name (default: the suite as the run asked it)",
    )
    command.add_argument(
        "--match",
        choices=["prompt"],
        help="join the answers of a transcript file to cases by the last user message, and list "
        "what cannot be joined (default: by the case that each line names)",
    )
    add_root(command)
    add_dialect(command, "that of the run")
    add_tool_names(command)
    add_opened(command)
    add_environment(command)
    command.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="judge in N processes, each at least 2,000 cases and with nearly the memory of one "
        "(default: 1)",
    )
    add_out(command, "the new run's folder")
    add_detail(command, progress=True)


def run(arguments: argparse.Namespace) -> int:
    """
    Judge stored text again and show the result.
    """
    from dataclasses import replace

    from harness.workflow.project import open_project
    from harness.workflow.score import score

    # Millions of values without cycles, and no model whose memory would wait for this: looking for
    # cycles as often as other commands do takes a tenth of the time.
    gc.set_threshold(1_000_000, 20, 20)
    project = open_project(arguments.root)
    label = arguments.suite or str(arguments.source)
    with watching(label, to="judge", quiet=arguments.quiet) as progress:
        if arguments.match and arguments.quiet:
            # What was not joined is a result, not progress.
            progress = replace(progress, notify=say)
        stored = score(
            arguments.source,
            arguments.suite,
            match=arguments.match,
            project=project,
            dialect=arguments.dialect,
            tool_names=arguments.tool_names,
            opened=arguments.opened,
            environment=arguments.environment,
            workers=arguments.workers,
            out=arguments.out,
            progress=progress,
        )
    return show_judged(stored, arguments)
