"""
``harness run``, ``score``, ``compare``, ``gate``, ``explain``, ``finetune``, ``demo``.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.cli.demo import tell
from harness.cli.output import coloured, obeyed_by_nobody, show, table, while_read, write
from harness.cli.progress import say, watching
from harness.errors import ExitCode, UsageError
from harness.gating.decision import Gated
from harness.gating.verdict import explain as rules_applied
from harness.reports import build as reports
from harness.reports.explain import explain_case
from harness.runs.store import StoredRun
from harness.workflow import recheck as rechecking
from harness.workflow import run as workflow
from harness.workflow import score as rescoring
from harness.workflow.finetune import finetune as train
from harness.workflow.gate import gate_anchored, gate_runs
from harness.workflow.options import RunOptions
from harness.workflow.project import Project, holds_run, open_project


def run(arguments: argparse.Namespace) -> int:
    """
    ``harness run``.
    """
    project = open_project(arguments.root)
    options = RunOptions(
        dialect=arguments.dialect,
        device=arguments.device,
        dtype=arguments.dtype,
        batch_size=arguments.batch_size,
        max_new_tokens=arguments.max_new_tokens,
        seed=arguments.seed,
        limit=arguments.limit,
        tags=tuple(arguments.tags),
        repeats=arguments.repeats,
        latency=arguments.latency,
        tool_names=arguments.tool_names,
        draft=arguments.draft,
        resume=arguments.resume,
    )
    if options.resume and arguments.out is None:
        raise UsageError("--resume needs --out DIR, the folder of the run to go on with")
    with watching(arguments.suite, quiet=arguments.quiet) as progress:
        stored = workflow.run(
            arguments.suite,
            arguments.checkpoint,
            project=project,
            out=arguments.out,
            options=options,
            progress=progress,
        )
    return _judged(stored)


def score(arguments: argparse.Namespace) -> int:
    """
    ``harness score``.
    """
    project = open_project(arguments.root)
    with watching(arguments.suite, quiet=arguments.quiet) as progress:
        stored = rescoring.score(
            arguments.source,
            arguments.suite,
            project=project,
            dialect=arguments.dialect,
            tool_names=arguments.tool_names,
            out=arguments.out,
            progress=progress,
        )
    return _judged(stored)


def _judged(stored: StoredRun) -> int:
    with while_read():
        show(reports.report_run(stored))
        print(f"\nrun: {stored.folder}")
    if all(case.status == "error" for case in stored.record.cases):
        say("harness: nothing was judged: every case broke; see `error` in transcripts.jsonl")
        return ExitCode.ERROR
    return ExitCode.PASS


def compare(arguments: argparse.Namespace) -> int:
    """
    ``harness compare``.
    """
    project = open_project(arguments.root)
    if len(arguments.runs) < 2:
        raise UsageError("compare needs two runs or baselines at least")
    suite = _suite_of(project, arguments.runs)
    report = reports.report_side_by_side([project.run(text, suite) for text in arguments.runs])
    if not write(report, arguments):
        show(report)
    return ExitCode.PASS


def _suite_of(project: Project, texts: Sequence[str]) -> str | None:
    """
    A bare baseline name beside a run's folder means a baseline of that run's suite.
    """
    for text in texts:
        if holds_run(Path(text)):
            return project.run(text).record.suite.name
    return None


def gate(arguments: argparse.Namespace) -> int:
    """
    ``harness gate``.
    """
    project = open_project(arguments.root)
    new = project.run(arguments.run)
    policy = project.policy(arguments.policy)

    def against(old: StoredRun) -> Gated:
        if arguments.no_recheck:
            return gate_runs(old, new, policy, allow=arguments.allow_mismatch)
        with watching("batch size 1") as progress:
            return rechecking.gate_rechecked(
                old, new, policy, project=project, allow=arguments.allow_mismatch, progress=progress
            )

    gated = gate_anchored(
        against,
        new.record,
        project=project,
        baseline=arguments.baseline,
        anchor=policy.anchor if arguments.anchor is None else arguments.anchor,
    )
    report = reports.report_gate(gated)
    with while_read():
        printed = write(report, arguments)
        if not printed:
            show(report)
        if arguments.explain:
            # Beside a report on standard output this is for a person, not for its reader.
            stream = sys.stderr if printed else sys.stdout
            print("\nhow this was decided", file=stream)
            for line in rules_applied(gated.verdict):
                print(f"  {line}", file=stream)
    return gated.verdict.exit


def report(arguments: argparse.Namespace) -> int:
    """
    ``harness report``.
    """
    project = open_project(arguments.root)
    made = reports.report_run(project.run(arguments.run))
    if not write(made, arguments):
        show(made)
    return ExitCode.PASS


def explain(arguments: argparse.Namespace) -> int:
    """
    ``harness explain``.
    """
    project = open_project(arguments.root)
    run = project.run(arguments.run)
    name = arguments.baseline
    against = None if name is None else project.baseline(run.record, name)
    colour = coloured(sys.stdout.isatty(), os.environ)
    with obeyed_by_nobody():
        for line in explain_case(run, arguments.case, against=against, colour=colour):
            print(line)
    return ExitCode.PASS


def finetune(arguments: argparse.Namespace) -> int:
    """
    ``harness finetune``.
    """
    from harness.finetuning import Recipe

    project = open_project(arguments.root)
    given = {
        "epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "max_length": arguments.max_length,
        "seed": arguments.seed,
        "keep": arguments.keep,
    }
    recipe = Recipe(**{name: value for name, value in given.items() if value is not None})
    if arguments.lora:
        recipe = replace(recipe, lora_rank=16)
    trained = train(
        project=project,
        base=arguments.base,
        out=arguments.out,
        suite=arguments.suite,
        train=arguments.train,
        valid=arguments.valid,
        recipe=recipe,
        resume=arguments.resume,
        tensorboard=arguments.tensorboard,
        push_to_hub=arguments.push_to_hub,
        progress=not arguments.quiet and sys.stderr.isatty(),
        notify=(lambda _: None) if arguments.quiet else say,
    )
    rows = [[loss.epoch, loss.train, loss.valid] for loss in trained.losses]
    table(["epoch", "training loss", "validation loss"], rows, floats=".4f")
    print(f"\ncheckpoint: {trained.folder} (kept: epoch {trained.kept_epoch})")
    return ExitCode.PASS


def demo(arguments: argparse.Namespace) -> int:
    """
    ``harness demo``.
    """
    return tell(
        open_project(arguments.root),
        show=show,
        out=arguments.out,
        fresh=arguments.fresh,
        quiet=arguments.quiet,
    )
