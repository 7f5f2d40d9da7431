"""
``harness compare``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.forms import add_forms
from harness.cli.options import add_command, add_detail, add_root
from harness.cli.output import conclude, deliver
from harness.cli.parser import Commands
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.runs.store import StoredRun
    from harness.workflow.project import Project


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    purpose = "show runs side by side; more than two in order"
    command = add_command(commands, "compare", run, purpose)
    command.add_argument("runs", nargs="+", metavar="RUN", help="two or more runs or baselines")
    command.add_argument(
        "--logits",
        action="store_true",
        help="open both checkpoints, and say at which token their answers part and how near each "
        "was to the other token",
    )
    add_detail(command, progress=True)
    add_root(command)
    add_forms(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Show two runs compared, or more side by side.
    """
    from harness.cli.progress import watching
    from harness.reports.brief import outcome
    from harness.reports.build import report_comparison, report_side_by_side
    from harness.workflow.compare import compare, compare_many, exit_code
    from harness.workflow.divergence import diverging, with_logits
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    if len(arguments.runs) < 2:
        raise UsageError("compare needs at least two runs or baselines")
    runs = _runs(project, arguments.runs)
    if arguments.logits and len(runs) > 2:
        raise UsageError("--logits is for two runs")
    if len(runs) == 2:
        compared = compare(*runs)
        found = diverging(compared, always=arguments.logits)
        if found is not None and arguments.logits:
            with watching("compare", quiet=arguments.quiet) as progress:
                found = with_logits(found, compared, progress)
        report = report_comparison(compared, found)
    else:
        report = report_side_by_side(*compare_many(runs))
    code = exit_code(runs)
    stream = deliver(report, arguments)
    conclude(outcome(report), f"exit {int(code)}", arguments, stream)
    return code


def _runs(project: "Project", texts: Sequence[str]) -> "list[StoredRun]":
    """
    Return the runs. A bare baseline name is a baseline of the suite of the first run folder.
    """
    from harness.workflow.project import holds_run

    first = next((text for text in texts if holds_run(Path(text))), None)
    if first is None:
        return [project.run(text) for text in texts]
    run = project.run(first)
    suite = run.record.suite.name
    return [run if text == first else project.run(text, suite) for text in texts]
