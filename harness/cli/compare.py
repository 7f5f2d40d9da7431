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
    suite = _suite_of(project, arguments.runs)
    runs = [project.run(text, suite) for text in arguments.runs]
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


def _suite_of(project: "Project", texts: Sequence[str]) -> str | None:
    """
    Return the suite of the first run folder: a bare baseline name is a baseline of that suite.
    """
    from harness.workflow.project import holds_run

    for text in texts:
        if holds_run(Path(text)):
            return project.run(text).record.suite.name
    return None
