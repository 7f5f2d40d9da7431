"""
``harness demo``: one small model before and after fine-tuning on twenty rows.

It begins with a verdict that takes seconds, on stored runs of the same model. Then it takes the
steps of `harness.workflow` in the order a user would; valid results of an earlier demo are reused.
Everything is written to one folder of reports/, the baseline too, so the work tree stays clean.

The cases tagged `TAG` are asked as a suite of their own, as a run of only a part of its suite
cannot pass.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options import add_command, add_quiet, add_root, path
from harness.cli.output import conclude, show
from harness.cli.parser import Commands
from harness.cli.progress import say, watching

if TYPE_CHECKING:
    from harness.gating.decision import Gated
    from harness.gating.policy import Policy
    from harness.gating.verdict import Verdict
    from harness.runs.store import StoredRun
    from harness.workflow.project import Project

SUITE, TAG = "tool-routing", "demo"
BASE = "embedded:smollm2-135m"
STORED, STORED_TUNED = "smollm2-135m", "smollm2-135m-tuned"
"""The baselines of `SUITE` that are runs of this model, before and after the same training."""

REPORTS = {
    "html": "report.html",
    "markdown": "report.md",
    "junit": "junit.xml",
    "json": "verdict.json",
}


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(
        commands,
        "demo",
        run,
        "show the whole loop on a small model, from run to report",
    )
    add_root(command)
    command.add_argument(
        "--out", type=path, metavar="DIR", help="the folder to write to (default: reports/demo)"
    )
    command.add_argument(
        "--fresh",
        action="store_true",
        help="reuse nothing of an earlier demo",
    )
    command.add_argument("-v", "--verbose", action="store_true", help="show reports in full")
    add_quiet(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Run, fine-tune, run again and gate.
    """
    from harness.workflow.project import open_project

    verdict = run_demo(
        open_project(arguments.root),
        out=arguments.out,
        fresh=arguments.fresh,
        quiet=arguments.quiet,
        verbose=arguments.verbose,
    )
    word = verdict.verdict.replace("_", " ")
    conclude(word, f"exit {int(verdict.exit)}", arguments, sys.stdout)
    return int(verdict.exit)


def run_demo(
    project: "Project",
    *,
    out: Path | None = None,
    fresh: bool = False,
    quiet: bool = False,
    verbose: bool = False,
) -> "Verdict":
    """
    Run the demo in *out* (default: reports/demo) and return the gate's verdict.
    """
    from dataclasses import replace

    from harness.files import write_text
    from harness.gating.policy import default_policy
    from harness.renderers.registry import renderer
    from harness.reports.build import report_gate, report_run
    from harness.wording import duration
    from harness.workflow.baseline import save_baseline
    from harness.workflow.finetune import finetune
    from harness.workflow.gate import gate

    folder = out or project.reports / "demo"
    if fresh:
        discard_demo(folder)
    scratch = replace(project, baselines=folder / "baselines", reports=folder)
    started = time.monotonic()
    notify = (lambda _: None) if quiet else say

    before, after = (stored(project, name) for name in (STORED, STORED_TUNED))
    if before and after and not quiet:
        notify(
            "1/6  a first verdict, on runs of this model that are stored in "
            f"{before.folder.parent}: nothing is asked yet"
        )
        show(report_gate(gate(before, after, default_policy(), project=scratch)))
        notify(f"that verdict took {duration(time.monotonic() - started)}; now all of it, live")

    suite = demo_suite(project, folder)

    notify(f"2/6  the same now: {BASE} as it comes, on suite {suite.name} (up to a minute)")
    base = _run(
        scratch,
        suite,
        BASE,
        folder / "base",
        # Answers that are stored are verified: the same answers, sooner.
        draft=None if before is None else str(before.folder),
        quiet=quiet,
    )
    shipped = save_baseline(
        base,
        scratch.baselines,
        "shipped",
        reason="the model before any training",
        replace=True,
        policy=default_policy(),
    )

    notify(
        "3/6  training a candidate on 20 rows, by the recipe of a public guide (about three "
        "minutes)"
    )
    with watching("model", quiet=quiet) as progress:
        trained = finetune(
            project=scratch,
            base=BASE,
            suite=SUITE,
            out=folder / "model",
            reuse=True,
            tensorboard=False,
            progress=progress,
        )

    notify("4/6  the candidate on the same suite (up to a minute)")
    candidate = _run(
        scratch, suite, str(trained.folder), folder / "candidate", draft=None, quiet=quiet
    )

    show(report_run(candidate), everything=verbose)
    notify("5/6  the gate: may the candidate replace what is shipped?")
    gated = gate_candidate(scratch, shipped, candidate, default_policy(), quiet=quiet)
    report = report_gate(gated)
    show(report, everything=verbose)

    notify("6/6  reports")
    for name, file in REPORTS.items():
        write_text(folder / file, renderer(name)(report))
    minutes = (time.monotonic() - started) / 60
    notify(f"written to {folder}: {', '.join(REPORTS.values())}; {minutes:.1f} minutes in all")
    notify(f"try next: harness compare {folder / 'base'} {folder / 'candidate'}")
    notify(f"or which answers faster: harness latency {suite} {BASE} {trained.folder}")
    return gated.verdict


def stored(project: "Project", name: str) -> "StoredRun | None":
    """
    Return a baseline of `SUITE` that comes with the repository; None where there is none.

    Raises:
        StoreError: if it cannot be read.
    """
    from harness.runs.store import is_run, load_run

    folder = project.baselines / SUITE / name
    return load_run(folder) if is_run(folder) else None


def gate_candidate(
    project: "Project",
    shipped: "StoredRun",
    candidate: "StoredRun",
    policy: "Policy",
    *,
    quiet: bool,
) -> "Gated":
    """
    Return the verdict on the candidate, by the gate that ``harness gate`` uses.
    """
    from harness.workflow.gate import gate

    with watching("batch size 1", quiet=quiet) as progress:
        return gate(shipped, candidate, policy, project=project, recheck=True, progress=progress)


def demo_suite(project: "Project", folder: Path) -> Path:
    """
    Write the cases tagged `TAG` as a suite of their own below *folder*, and return its folder.

    Raises:
        SuiteError: if the suite cannot be read.
        UsageError: if there is no such suite or no such case.
    """
    from harness.canonical import as_written
    from harness.files import write_text
    from harness.suites.files import SUITE_FILE, VERSIONS_FILE, load_suite
    from harness.suites.selection import Choice, select

    whole = load_suite(project.suite(SUITE))
    chosen = {case.id for case in select(whole, Choice(tags=(TAG,)))}
    document = dict(whole.document)
    document["name"] = f"{SUITE}-{TAG}"
    document["cases"] = [case for case in document["cases"] if case["id"] in chosen]
    target: Path = folder / "suites" / document["name"]
    # Left over from an earlier demo of another release.
    (target / VERSIONS_FILE).unlink(missing_ok=True)
    # Keys in their own order: the template shows declarations in it, and training used it.
    write_text(target / SUITE_FILE, as_written(document) + "\n")
    if whole.released:
        # A part of a released suite counts as released, too.
        digest = load_suite(target).digest
        write_text(target / VERSIONS_FILE, json.dumps({whole.version: digest}) + "\n")
    return target


def discard_demo(folder: Path) -> None:
    """
    Remove what an earlier demo made in *folder*, and nothing else: it is the user's.

    Raises:
        StoreError: if its ``model`` holds anything but a fine-tune.
    """
    from harness.finetuning import discard
    from harness.runs.writer import discard_run

    again = (
        f"{SUITE}-{TAG}/shipped-batch-1*",
        "candidate-batch-1*",
    )  # The answers that its gate made again.
    made = [path for pattern in again for path in folder.glob(pattern)]
    for run in (folder / "base", folder / "candidate", *made):
        discard_run(run)
    discard(folder / "model")
    for file in REPORTS.values():
        (folder / file).unlink(missing_ok=True)


def _run(
    project: "Project",
    suite: Path,
    checkpoint: str,
    folder: Path,
    *,
    draft: str | None,
    quiet: bool,
) -> "StoredRun":
    from harness.workflow import run as workflow
    from harness.workflow.options import RunOptions

    with watching(folder.name, quiet=quiet) as progress:
        return workflow.run(
            str(suite),
            checkpoint,
            project=project,
            out=folder,
            options=RunOptions(draft=draft, reuse=True),
            progress=progress,
        )
