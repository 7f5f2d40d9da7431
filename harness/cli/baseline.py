"""
``harness baseline save``, ``accept``, ``rm``,
``rename``, ``prune``, ``list``, ``show``, ``history``.
"""

import argparse
from typing import TYPE_CHECKING, Any

from harness.cli.options import add_command, add_group, add_json, add_root, date, path
from harness.cli.output import percent, show, table, wrote_json
from harness.cli.parser import Commands
from harness.cli.progress import say
from harness.errors import ExitCode, UsageError
from harness.reports.escape import line
from harness.wording import count

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.gating.policy import Policy
    from harness.runs.store import StoredRun


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the commands.
    """
    verbs = add_group(commands, "baseline", "accept runs and list what was accepted")
    save = add_command(verbs, "save", run_save, "accept a run under a name")
    save.add_argument("run", metavar="RUN", help="a run's folder or a baseline")
    save.add_argument("--name", required=True, metavar="NAME", help="what to call the baseline")
    save.add_argument("--reason", metavar="TEXT", help="why it is accepted: kept in its history")
    save.add_argument(
        "--replace",
        action="store_true",
        help="replace the baseline of that name, which is kept under history/; by a run that "
        "regressed only with a --reason",
    )
    save.add_argument(
        "--allow-errors",
        action="store_true",
        help="accept a run of which more than 2%% of the answers broke",
    )
    save.add_argument(
        "--allow-partial", action="store_true", help="accept a run of only a part of its suite"
    )
    add_root(save)
    accept = add_command(
        verbs, "accept", run_accept, "accept a run, or single changes of it, as they are"
    )
    accept.add_argument("run", metavar="RUN", help="a run's folder or a baseline")
    accept.add_argument("--name", required=True, metavar="NAME", help="the baseline's name")
    accept.add_argument(
        "--cases",
        nargs="+",
        metavar="ID",
        help="accept the answers to these cases only; the baseline stays (default: the whole run "
        "takes its place, as with save --replace)",
    )
    accept.add_argument("--reason", metavar="TEXT", help="why it is accepted")
    accept.add_argument(
        "--until",
        type=date,
        metavar="DATE",
        help="with --cases: the last day it holds, such as 2027-01-31 (default: until the baseline "
        "is replaced)",
    )
    accept.add_argument(
        "--event",
        type=path,
        metavar="FILE",
        help="take cases, reason and last day from an event of GitHub: a label or a comment",
    )
    add_root(accept)
    remove = add_command(verbs, "rm", run_remove, "remove a baseline; its run is kept")
    remove.add_argument("name", metavar="NAME", help="the baseline's name, or suite/name")
    add_root(remove)
    rename = add_command(verbs, "rename", run_rename, "give a baseline another name")
    rename.add_argument("old", metavar="OLD", help="the baseline's name, or suite/name")
    rename.add_argument("new", metavar="NEW", help="its new name")
    add_root(rename)
    prune = add_command(verbs, "prune", run_prune, "delete replaced and removed baselines")
    prune.add_argument(
        "--keep",
        type=int,
        default=5,
        metavar="N",
        help="how many of each name to keep, the newest (default: %(default)s)",
    )
    add_root(prune)
    listed = add_command(verbs, "list", run_list, "list every baseline")
    add_json(listed)
    add_root(listed)
    show = add_command(verbs, "show", run_show, "show one baseline")
    show.add_argument("name", metavar="NAME", help="the baseline's name, or suite/name")
    show.add_argument("-v", "--verbose", action="store_true", help="show everything")
    add_json(show)
    add_root(show)
    history = add_command(verbs, "history", run_history, "show what was accepted, when and why")
    history.add_argument(
        "name", nargs="?", metavar="NAME", help="the baseline's name, or suite/name (default: all)"
    )
    history.add_argument(
        "--metric",
        nargs="+",
        default=["accuracy", "second_call_rate"],
        metavar="M",
        help="which metrics to show (default: accuracy second_call_rate)",
    )
    history.add_argument("--png", type=path, metavar="FILE", help="also draw them over time")
    history.add_argument(
        "--html",
        type=path,
        metavar="DIR",
        help="also write a page for each baseline, with every case over all releases, and a badge",
    )
    add_root(history)


def run_save(arguments: argparse.Namespace) -> int:
    """
    Accept a run.
    """
    from harness.workflow.baseline import save_baseline
    from harness.workflow.options import Progress
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    stored = project.run(arguments.run)
    first = not project.baseline_names(stored.record.suite.name)
    saved = save_baseline(
        stored,
        project.baselines,
        arguments.name,
        reason=arguments.reason,
        replace=arguments.replace,
        allow_errors=arguments.allow_errors,
        allow_partial=arguments.allow_partial,
        policy=project.policy(),
        progress=Progress(notify=say),
    )
    print(f"baseline {saved.record.suite.name}/{arguments.name}: {saved.folder}")
    if not stored.record.selection.complete:
        say("note: this run answered only part of its suite; a gate against it cannot pass")
    if not stored.record.suite.released:
        say("note: its suite is unreleased; `harness suite release` pins its content to a version")
    if first:
        print(line(f"next: run a candidate, then `harness gate RUN --baseline {arguments.name}`"))
    return ExitCode.PASS


def run_accept(arguments: argparse.Namespace) -> int:
    """
    Accept a run, or answers of it to single cases.
    """
    from harness.runs.accepted import ACCEPTED
    from harness.workflow.accept import accept_changes
    from harness.workflow.baseline import save_baseline
    from harness.workflow.options import Progress
    from harness.workflow.project import open_project
    from harness.workflow.request import read_request

    cases, reason, until = arguments.cases, arguments.reason, arguments.until
    if arguments.event is not None:
        if any(each is not None for each in (cases, reason, until)):
            raise UsageError("--event says what is accepted and why; drop the rest, or --event")
        asked = read_request(arguments.event)
        cases, reason, until = list(asked.cases) or None, asked.reason, asked.until
    if reason is None:
        raise UsageError("why is it accepted? say so with --reason TEXT")
    project = open_project(arguments.root)
    stored = project.run(arguments.run)
    if cases is None:
        if until is not None:
            raise UsageError("--until is for single cases: add --cases, or drop it")
        saved = save_baseline(
            stored,
            project.baselines,
            arguments.name,
            reason=reason,
            replace=True,
            policy=project.policy(),
            progress=Progress(notify=say),
        )
        print(line(f"baseline {saved.record.suite.name}/{arguments.name}: {saved.folder}"))
        return ExitCode.PASS
    done = accept_changes(
        stored,
        project.baseline(stored.record, arguments.name),
        cases,
        reason=reason,
        policy=project.policy(),
        until=until,
    )
    folder = done.baseline.folder
    print(
        line(
            f"accepted for {folder.parent.name}/{folder.name}: {', '.join(done.cases)}; "
            f"{done.in_force} of {count(done.of, 'case')} by now"
        )
    )
    say(f"commit {folder / ACCEPTED} with the change; gates list what it holds")
    return ExitCode.PASS


def run_remove(arguments: argparse.Namespace) -> int:
    """
    Remove a baseline, and say where its run is now.
    """
    from harness.workflow.baseline import remove_baseline
    from harness.workflow.project import open_project

    folder = open_project(arguments.root).accepted_folder(arguments.name)
    kept = remove_baseline(folder)
    print(line(f"baseline {folder.parent.name}/{folder.name} removed; its run is kept: {kept}"))
    say(f"to have it back: harness baseline save {kept} --name {folder.name}")
    return ExitCode.PASS


def run_rename(arguments: argparse.Namespace) -> int:
    """
    Rename a baseline.
    """
    from harness.workflow.baseline import rename_baseline
    from harness.workflow.project import open_project

    folder = open_project(arguments.root).accepted_folder(arguments.old)
    renamed = rename_baseline(folder, arguments.new)
    print(f"baseline {renamed.parent.name}/{renamed.name}: {renamed}")
    return ExitCode.PASS


def run_prune(arguments: argparse.Namespace) -> int:
    """
    Delete the older replaced runs, and list what was deleted.
    """
    from harness.workflow.baseline import prune_baselines
    from harness.workflow.project import open_project

    deleted = prune_baselines(open_project(arguments.root).baselines, keep=arguments.keep)
    for folder in deleted:
        print(line(f"deleted {folder}"))
    if not deleted:
        print(f"nothing to delete: no baseline has more than {arguments.keep} under history/")
    return ExitCode.PASS


def run_list(arguments: argparse.Namespace) -> int:
    """
    Print every baseline.
    """
    from harness.errors import HarnessError
    from harness.runs.baselines import baseline_history, list_baselines
    from harness.runs.verify import verified
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    found: list[dict[str, Any]] = []
    for stored in list_baselines(project.baselines):
        record = stored.record
        accuracy = record.metrics["accuracy"].value
        try:
            # An earlier format has no digests, and judging it again would take too long here.
            if record.digests is not None:
                verified(stored)
        except HarnessError as error:
            say(f"note: {error}")
            accuracy = None
        last = (baseline_history(stored.folder) or [{}])[-1]
        found.append(
            {
                "baseline": f"{record.suite.name}/{stored.folder.name}",
                "suite_version": record.suite.version,
                "checkpoint": record.checkpoint.reference,
                "accuracy": accuracy,
                "saved": last.get("saved"),
                "reason": last.get("reason"),
            }
        )
    if not wrote_json(found, arguments.json):
        head = ["baseline", "suite version", "checkpoint", "accuracy", "saved", "reason"]
        rows = [list((each | {"accuracy": percent(each["accuracy"])}).values()) for each in found]
        table(head, rows)
    return ExitCode.PASS


def run_show(arguments: argparse.Namespace) -> int:
    """
    Show one baseline and when it was saved.
    """
    import json

    from harness.renderers.json import render
    from harness.reports.build import report_run
    from harness.runs.accepted import read_accepted
    from harness.runs.baselines import baseline_history
    from harness.runs.verify import verified
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    stored = project.accepted(arguments.name)
    report, history = report_run(verified(stored)), baseline_history(stored.folder)
    data = {"run": json.loads(render(report)), "history": history} if arguments.json else None
    if not wrote_json(data, arguments.json):
        show(report, everything=arguments.verbose)
        for entry in history:
            print()
            reason = entry["reason"] or "no reason"
            print(line(f"saved {entry['saved']} from {entry['from']}: {reason}"))
            for each in entry.get("overrides", ()):
                print(line(f"  overridden by {each['by']} on {each['when']}: {each['reason']}"))
        for each in read_accepted(stored.folder):
            until = "" if each.until is None else f" until {each.until}"
            print(line(f"accepted {each.accepted}{until}: {each.case}: {each.reason}"))
    return ExitCode.PASS


def run_history(arguments: argparse.Namespace) -> int:
    """
    Print what was accepted over time, and plot it if asked to.
    """
    from harness.reports.history import acceptances, draw_history, titles
    from harness.runs.baselines import list_baselines
    from harness.workflow.project import open_project

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
    if arguments.html is not None:
        _write_pages(arguments.html, runs, names, project.policy())
    rows = [
        [
            each.baseline,
            each.saved.isoformat(),
            each.checkpoint,
            each.suite_version,
            *(each.spell(name) for name in names),
            each.why,
        ]
        for each in found
    ]
    table(["baseline", "saved", "checkpoint", "suite", *head, "reason"], rows)
    return ExitCode.PASS


def _write_pages(
    folder: "Path", baselines: "Sequence[StoredRun]", metrics: "Sequence[str]", policy: "Policy"
) -> None:
    from harness.files import write_text
    from harness.provenance import date_today
    from harness.renderers.html import badge
    from harness.renderers.html.history import render_history, render_index
    from harness.reports.timeline import timeline

    listed = []
    for baseline in baselines:
        found = timeline(baseline, policy)
        place = folder / found.suite / found.name
        write_text(place / "index.html", render_history(found, metrics, today=date_today()))
        write_text(place / "badge.svg", badge.svg(found))
        write_text(place / "badge.json", badge.shields(found))
        listed.append((f"{found.suite}/{found.name}/index.html", found))
    write_text(folder / "index.html", render_index(listed))
    say(line(f"wrote: {folder / 'index.html'}"))
