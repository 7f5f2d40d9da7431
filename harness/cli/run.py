"""
``harness run``.
"""

import argparse
from typing import TYPE_CHECKING

from harness.cli.options import (
    add_asking,
    add_batch_size,
    add_checkpoint,
    add_choice,
    add_command,
    add_detail,
    add_environment,
    add_opened,
    add_out,
    add_preflight,
    add_root,
    add_served,
    add_tool_names,
    listed,
    positive,
    run_options,
)
from harness.cli.output import following, show_judged
from harness.cli.parser import Commands
from harness.cli.progress import watching
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.workflow.project import Project


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(commands, "run", run, "run a checkpoint on a suite and judge its answers")
    command.add_argument(
        "suites",
        nargs="*",
        metavar="SUITE",
        help="a suite's folder or name; of several, the checkpoint is opened once",
    )
    command.add_argument(
        "--all", action="store_true", help="run every suite of the project instead of naming them"
    )
    add_checkpoint(command)
    add_root(command)
    add_out(command, "the run's folder; of several suites, the folder with a run's folder for each")
    command.add_argument(
        "--repeats",
        type=positive,
        default=1,
        metavar="K",
        help="ask every case K times (default: %(default)s)",
    )
    command.add_argument(
        "--resume", action="store_true", help="continue the unfinished run in --out"
    )
    add_batch_size(command)
    add_asking(command)
    add_served(command)
    add_preflight(command)
    add_choice(command)
    command.add_argument(
        "--shard",
        metavar="I/N",
        help="ask only part I of N, for `harness merge`; auto: as a Slurm array, a CI matrix or "
        "HARNESS_SHARD says",
    )
    command.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="answer in N processes, each on a GPU of its own where there are some (default: 1)",
    )
    command.add_argument(
        "--devices",
        type=listed,
        default=[],
        metavar="LIST",
        help="answer in a process on each of these devices, such as cuda:0,cuda:1",
    )
    command.add_argument(
        "--on",
        choices=["ray"],
        help="answer on a Ray cluster, by --workers actors (default: one a GPU, or a node)",
    )
    command.add_argument(
        "--address",
        metavar="A",
        help="the cluster's address, such as auto or HOST:6379 (default: one on this machine)",
    )
    command.add_argument(
        "--draft",
        metavar="BASELINE",
        help="a baseline or run whose answers are verified in one pass and kept where they still "
        "hold: the same answers, sooner",
    )
    command.add_argument(
        "--latency", action="store_true", help="also time 24 fixed cases, one answer at a time"
    )
    add_tool_names(command)
    add_environment(command)
    command.add_argument(
        "--arm",
        choices=["real", "golden", "closed-book"],
        help="of a suite of documents: as it is, with the relevant documents put into the "
        "conversation, or without tools (default: real)",
    )
    add_opened(command)
    add_detail(command, progress=True)


def run(arguments: argparse.Namespace) -> int:
    """
    Run a checkpoint on a suite, or on several, judge it and show the results.
    """
    from harness.workflow import run as workflow
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    if arguments.resume and arguments.out is None:
        raise UsageError("--resume needs --out DIR, the folder of the run to continue")
    suites = _suites(arguments, project)
    with watching(suites[0], quiet=arguments.quiet) as progress:
        asked = {
            "project": project,
            "out": arguments.out,
            "options": run_options(arguments),
            "progress": progress,
        }
        if len(suites) > 1 or arguments.all:
            stored = list(workflow.run_each(suites, arguments.checkpoint, **asked))
        else:
            stored = [workflow.run(suites[0], arguments.checkpoint, **asked)]
    codes = [show_judged(each, arguments, following=following(each, project)) for each in stored]
    return max(codes)


def _suites(arguments: argparse.Namespace, project: "Project") -> list[str]:
    """
    Return the suites that are asked for.

    Raises:
        UsageError: if there are none, or both names and --all.
    """
    from harness.suites.files import find_suites

    suites: list[str] = arguments.suites
    if arguments.all and suites:
        raise UsageError(f"--all runs every suite: leave out {suites[0]!r}, or --all")
    if arguments.all:
        suites = [str(folder) for folder in find_suites(project.suites)]
    if not suites:
        where = f"there is none in {project.suites}" if arguments.all else "name one, or use --all"
        raise UsageError(f"no suite to run: {where}")
    return suites
