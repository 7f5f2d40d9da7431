"""
``harness stack``.
"""

import argparse

from harness.cli.forms import add_forms
from harness.cli.options import (
    add_asking,
    add_checkpoint,
    add_choice,
    add_command,
    add_detail,
    add_out,
    add_preflight,
    add_root,
    add_served,
    add_suite,
    add_tool_names,
    positive,
    run_options,
)
from harness.cli.output import conclude, deliver
from harness.cli.parser import Commands
from harness.cli.progress import say, watching
from harness.errors import ExitCode, UsageError


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    purpose = "measure what a serving stack costs: raw against chat"
    command = add_command(commands, "stack", run, purpose)
    add_suite(command)
    add_checkpoint(command)
    add_root(command)
    add_out(command, "the folder of both runs")
    command.add_argument(
        "--repeats",
        type=positive,
        default=1,
        metavar="K",
        help="ask every case K times each way (default: %(default)s)",
    )
    command.add_argument(
        "--resume", action="store_true", help="continue the unfinished runs in --out"
    )
    add_asking(command)
    add_served(command)
    add_preflight(command)
    add_choice(command)
    add_tool_names(command)
    add_detail(command, progress=True)
    add_forms(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Ask both ways and report; the exit code says only whether anything was measured.
    """
    from harness.reports.brief import outcome
    from harness.reports.build import report_stack
    from harness.workflow.project import open_project
    from harness.workflow.stack import measure_stack

    if arguments.resume and arguments.out is None:
        raise UsageError("--resume needs --out DIR, the folder of the runs to continue")
    with watching(f"{arguments.suite}, raw and chat", quiet=arguments.quiet) as progress:
        stacked = measure_stack(
            arguments.suite,
            arguments.checkpoint,
            project=open_project(arguments.root),
            out=arguments.out,
            options=run_options(arguments),
            progress=progress,
        )
    report = report_stack(stacked.compared, stacked.cost)
    code = ExitCode.PASS if stacked.cost.pairs else ExitCode.ERROR
    stream = deliver(report, arguments)
    print(f"runs: {stacked.folder}", file=stream)
    conclude(outcome(report), f"exit {int(code)}", arguments, stream)
    if not stacked.cost.pairs:
        say("harness: nothing was measured: no case was scored both raw and in chat")
    return code
