"""
``harness gate``.
"""

import argparse

from harness.cli.forms import add_forms
from harness.cli.options import add_api_key, add_command, add_detail, add_policy, add_root
from harness.cli.output import conclude, deliver
from harness.cli.parser import Commands
from harness.cli.progress import watching


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(commands, "gate", run, "decide whether a run may replace its baseline")
    command.add_argument("run", metavar="RUN", help="the candidate's run: its folder or a baseline")
    command.add_argument(
        "--baseline",
        required=True,
        metavar="NAME",
        help="the baseline of its suite to compare the run with, or a run's folder",
    )
    command.add_argument(
        "--anchor",
        metavar="NAME",
        help="a pinned baseline to compare the run with as well (default: the policy's)",
    )
    add_policy(command)
    command.add_argument(
        "--allow-mismatch",
        action="extend",
        nargs="+",
        default=[],
        metavar="FIELD",
        help="compare although FIELD differs: generation, dtype, batch, backend",
    )
    command.add_argument("--explain", action="store_true", help="say which rule decided and why")
    command.add_argument(
        "--recheck",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="load the models to answer the cases that would block again, at batch size 1 "
        "(default: the policy's recheck, which is false)",
    )
    add_api_key(command)
    add_detail(command)
    add_root(command)
    add_forms(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Gate a run against a baseline, show the verdict and return its exit code.
    """
    from harness.gating.verdict import explain, let_through
    from harness.reports.brief import outcome
    from harness.reports.build import report_gate
    from harness.workflow.gate import gate
    from harness.workflow.project import open_project

    with watching("batch size 1", quiet=arguments.quiet) as progress:
        gated = gate(
            arguments.baseline,
            arguments.run,
            arguments.policy,
            project=open_project(arguments.root),
            anchor=arguments.anchor,
            recheck=arguments.recheck,
            allow=arguments.allow_mismatch,
            progress=progress,
            api_key_env=arguments.api_key_env,
        )
    report = report_gate(gated)
    stream = deliver(report, arguments)
    if arguments.explain:
        print("how this was decided", file=stream)
        for line in explain(gated.verdict):
            print(f"  {line}", file=stream)
        print(file=stream)
    ending = let_through(gated.verdict) or f"exit {int(gated.verdict.exit)}"
    conclude(outcome(report), ending, arguments, stream)
    return gated.verdict.exit
