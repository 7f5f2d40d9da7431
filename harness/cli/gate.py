"""
``harness gate``.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from harness.cli.options import add_command, add_outputs, add_policy, add_root
from harness.cli.output import show, while_read, write
from harness.cli.parser import Commands
from harness.cli.progress import watching

if TYPE_CHECKING:
    from harness.gating.decision import Gated
    from harness.runs.store import StoredRun


def add_parser(commands: Commands) -> None:
    """
    Declare what it takes.
    """
    command = add_command(commands, "gate", run, "decide whether a run may replace its baseline")
    command.add_argument("run", metavar="RUN", help="the candidate's run: its folder or a baseline")
    command.add_argument(
        "--baseline",
        required=True,
        metavar="NAME",
        help="what to hold the run against: a baseline of its suite",
    )
    command.add_argument(
        "--anchor",
        metavar="NAME",
        help="a pinned baseline to hold the run against as well (default: the policy's)",
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
        "--no-recheck",
        action="store_true",
        help="do not answer again, at batch size 1, the cases that would block",
    )
    add_root(command)
    add_outputs(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Hold a run against a baseline, show the verdict and return its exit code.
    """
    from harness.gating.verdict import explain
    from harness.reports.build import report_gate
    from harness.workflow.gate import gate_anchored, gate_runs
    from harness.workflow.project import open_project
    from harness.workflow.recheck import gate_rechecked

    project = open_project(arguments.root)
    new = project.run(arguments.run)
    policy = project.policy(arguments.policy)

    def against(old: "StoredRun") -> "Gated":
        if arguments.no_recheck:
            return gate_runs(old, new, policy, allow=arguments.allow_mismatch)
        with watching("batch size 1") as progress:
            return gate_rechecked(
                old, new, policy, project=project, allow=arguments.allow_mismatch, progress=progress
            )

    gated = gate_anchored(
        against,
        new.record,
        project=project,
        baseline=arguments.baseline,
        anchor=policy.anchor if arguments.anchor is None else arguments.anchor,
    )
    report = report_gate(gated)
    with while_read():
        printed = write(report, arguments)
        if not printed:
            show(report)
        if arguments.explain:
            # Beside a report on standard output this is for a person, not for its reader.
            stream = sys.stderr if printed else sys.stdout
            print("\nhow this was decided", file=stream)
            for line in explain(gated.verdict):
                print(f"  {line}", file=stream)
    return gated.verdict.exit
