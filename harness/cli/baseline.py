"""
``harness baseline save``, ``list``, ``show``, ``history``.
"""

import argparse

from harness.cli.output import percent, show, table
from harness.cli.progress import say
from harness.errors import ExitCode
from harness.provenance import now
from harness.reports import build as reports
from harness.reports.escape import line
from harness.reports.history import acceptances, draw_history, titles
from harness.runs.baselines import baseline_history, list_baselines, save_baseline
from harness.workflow.project import open_project


def save(arguments: argparse.Namespace) -> int:
    """
    ``harness baseline save``.
    """
    project = open_project(arguments.root)
    stored = project.run(arguments.run)
    saved = save_baseline(
        stored, project.baselines, arguments.name, saved=now(), reason=arguments.reason
    )
    print(f"baseline {saved.record.suite.name}/{arguments.name}: {saved.folder}")
    if not stored.record.selection.complete:
        say("note: this run answered only part of its suite; a gate against it cannot pass")
    if not stored.record.suite.released:
        say("note: its suite is unreleased; `harness suite release` fixes what was asked")
    return ExitCode.PASS


def show_all(arguments: argparse.Namespace) -> int:
    """
    ``harness baseline list``.
    """
    project = open_project(arguments.root)
    rows = []
    for stored in list_baselines(project.baselines):
        record = stored.record
        entries = baseline_history(stored.folder)
        rows.append(
            [
                f"{record.suite.name}/{stored.folder.name}",
                record.suite.version,
                record.checkpoint["reference"],
                percent(record.metrics["accuracy"].value),
                entries[-1]["saved"] if entries else None,
                entries[-1]["reason"] if entries else None,
            ]
        )
    table(["baseline", "suite version", "checkpoint", "accuracy", "saved", "reason"], rows)
    return ExitCode.PASS


def show_one(arguments: argparse.Namespace) -> int:
    """
    ``harness baseline show``.
    """
    project = open_project(arguments.root)
    stored = project.accepted(arguments.name)
    show(reports.report_run(stored))
    for entry in baseline_history(stored.folder):
        print()
        reason = entry["reason"] or "no reason"
        print(line(f"saved {entry['saved']} from {entry['from']}: {reason}"))
    return ExitCode.PASS


def history(arguments: argparse.Namespace) -> int:
    """
    ``harness baseline history``.
    """
    project = open_project(arguments.root)
    if arguments.name is None:
        runs = list_baselines(project.baselines)
    else:
        runs = [project.accepted(arguments.name)]
    names = arguments.metric
    head = titles(names)
    found = acceptances(runs)
    if arguments.png is not None:
        draw_history(arguments.png, found, names)
    rows = [
        [
            each.baseline,
            each.saved.isoformat(),
            each.checkpoint,
            each.suite_version,
            *(each.spell(name) for name in names),
            each.reason,
        ]
        for each in found
    ]
    table(["baseline", "saved", "checkpoint", "suite", *head, "reason"], rows)
    return ExitCode.PASS
