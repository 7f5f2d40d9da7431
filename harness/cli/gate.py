"""
``harness gate``.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from harness.cli.options import Commands, add_command, add_outputs, add_root, path
from harness.cli.output import show, while_read, write
from harness.cli.progress import watching

if TYPE_CHECKING:
    from harness.gating.decision import Gated
    from harness.runs.store import StoredRun


def add_parser(commands: Commands) -> None:
    """
    Declare what it takes.
    """
    command = add_command(commands, "gate", run, "may this run replace the baseline?")
    command.add_argument("run", metavar="RUN")
    command.add_argument("--baseline", required=True, metavar="NAME")
    command.add_argument(
        "--anchor",
        metavar="NAME",
        help="a pinned baseline to hold the run against as well (default: the policy's)",
    )
    command.add_argument(
        "--policy",
        type=path,
        metavar="FILE",
        help="default: gate.toml of the project, or else the built-in one",
    )
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
        help="do not decide again at batch size 1 what would block",
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
