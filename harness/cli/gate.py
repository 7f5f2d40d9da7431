"""
``harness gate``.
"""

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from harness.cli.forms import add_forms
from harness.cli.options import add_api_key, add_command, add_detail, add_policy, add_root, path
from harness.cli.output import conclude, deliver
from harness.cli.parser import Commands
from harness.cli.progress import watching
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.gating.decision import Gated, GatedRelease
    from harness.gating.verdict import Override
    from harness.reports.report import Report


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(commands, "gate", run, "decide whether a run may replace its baseline")
    command.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="the candidate's run: its folder or a baseline; of several suites one run of each, "
        "or the folder that holds them",
    )
    command.add_argument(
        "--baseline",
        required=True,
        metavar="NAME",
        help="the baseline of its suite to compare each run with, or a run's folder",
    )
    command.add_argument(
        "--baseline-from",
        metavar="REV",
        help="take the baselines of this commit of git, or of the merge-base with the branch that "
        "a pull request is for (default: those of the work tree)",
    )
    command.add_argument(
        "--anchor",
        metavar="NAME",
        help="a pinned baseline to compare the run with as well (default: the policy's)",
    )
    add_policy(command)
    command.add_argument(
        "--export",
        action="store_true",
        help="the run is of an export, quantised or on another engine, of the checkpoint that the "
        "baseline ran: these may differ, and the limits are those of exports (default: the "
        "policy's kind)",
    )
    command.add_argument(
        "--engine-control",
        nargs="+",
        default=[],
        metavar="RUN",
        help="of an export: a run of its parent's weights on its engine (of several suites one of "
        "each), to tell what the engine changed from what quantising did",
    )
    command.add_argument(
        "--logits",
        action="store_true",
        help="of an export: open the parent, and say how near it was to the first token with which "
        "each answer departs from it",
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
        "--recheck",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="load the models to answer the cases that would block again, at batch size 1 "
        "(default: the policy's recheck, which is false)",
    )
    add_api_key(command)
    add_detail(command)
    add_root(command)
    override = command.add_argument_group(
        "override",
        "Let a regression through: the verdict stays, the exit code is 0 instead of 1, and every "
        "form, the run and the history of a baseline that it becomes say who, when and why.",
    )
    override.add_argument("--override", metavar="REASON", help="let it through, and why")
    override.add_argument("--override-by", metavar="NAME", help="who says so")
    override.add_argument(
        "--override-event",
        type=path,
        metavar="FILE",
        help="take both from an event of GitHub: a label was set",
    )
    override.add_argument(
        "--override-label",
        default="harness-override",
        metavar="NAME",
        help="which label, with --override-event (default: %(default)s)",
    )
    add_forms(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Gate a run against a baseline, or one of each suite, show the verdict and return its exit code.
    """
    from harness.workflow.at_commit import baselines_at
    from harness.workflow.gate import belongs_to_release, gate, gate_release, runs_in
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    policy = project.policy(arguments.policy)
    runs = runs_in(arguments.runs, project)
    with ExitStack() as held:
        progress = held.enter_context(watching("batch size 1", quiet=arguments.quiet))
        if arguments.baseline_from is not None:
            # What is taken out of git is read until the last report is written.
            project = held.enter_context(baselines_at(project, arguments.baseline_from))
        options = {
            "project": project,
            "anchor": arguments.anchor,
            "recheck": arguments.recheck,
            "allow": arguments.allow_mismatch,
            "progress": progress,
            "api_key_env": arguments.api_key_env,
            "override": _override(arguments),
            "export": arguments.export,
            "engine_control": arguments.engine_control,
            "logits": arguments.logits,
        }
        if belongs_to_release([run.record.suite.name for run in runs], policy):
            gated = gate_release(runs, arguments.baseline, policy, **options)
            return _conclude_release(gated, arguments)
        return _conclude(gate(arguments.baseline, runs[0], policy, **options), arguments)


def _override(arguments: argparse.Namespace) -> "Override | None":
    from harness.gating.verdict import Override
    from harness.provenance import now
    from harness.workflow.request import read_override

    reason, by = arguments.override, arguments.override_by
    if arguments.override_event is not None:
        if reason is not None or by is not None:
            raise UsageError("--override-event says who overrides and why; drop the rest, or it")
        return read_override(arguments.override_event, arguments.override_label)
    if reason is None and by is None:
        return None
    if not (reason or "").strip() or not (by or "").strip():
        raise UsageError("who overrides the gate, and why? say --override TEXT --override-by NAME")
    return Override(by=by.strip(), reason=" ".join(reason.split()), when=now())


def _conclude(gated: "Gated", arguments: argparse.Namespace) -> int:
    from harness.gating.verdict import explain, let_through
    from harness.reports.build import report_gate

    verdict = gated.verdict
    return _show(
        report_gate(gated),
        let_through(verdict),
        int(verdict.exit),
        lambda: explain(verdict),
        arguments,
    )


def _conclude_release(gated: "GatedRelease", arguments: argparse.Namespace) -> int:
    from harness.gating.release import explain
    from harness.gating.verdict import let_through
    from harness.reports.build import report_release

    release = gated.release
    return _show(
        report_release(gated),
        let_through(release),
        int(release.exit),
        lambda: explain(release),
        arguments,
    )


def _show(
    report: "Report",
    warning: str | None,
    code: int,
    explained: Callable[[], list[str]],
    arguments: argparse.Namespace,
) -> int:
    from harness.reports.brief import outcome

    stream = deliver(report, arguments)
    if arguments.explain:
        print("how this was decided", file=stream)
        for line in explained():
            print(f"  {line}", file=stream)
        print(file=stream)
    conclude(outcome(report), warning or f"exit {code}", arguments, stream)
    return code
