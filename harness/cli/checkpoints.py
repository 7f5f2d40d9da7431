"""
``harness checkpoints``.
"""

import argparse
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.options import (
    add_asking,
    add_batch_size,
    add_command,
    add_environment,
    add_json,
    add_out,
    add_policy,
    add_quiet,
    add_root,
    path,
    run_options,
)
from harness.cli.output import show_sheet, table, wrote_json
from harness.cli.parser import Commands
from harness.cli.progress import say, watching
from harness.errors import ExitCode, UsageError
from harness.reports.escape import line
from harness.wording import count

if TYPE_CHECKING:
    from harness.workflow.project import Project
    from harness.workflow.training_checkpoints import JudgedCheckpoints


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(
        commands, "checkpoints", run, "judge every saved checkpoint of a training"
    )
    command.add_argument(
        "folder",
        type=path,
        metavar="DIR",
        help="the folder that a trainer saves checkpoint-N folders to, whole weights or adapters",
    )
    command.add_argument("--suite", required=True, metavar="SUITE", help="a suite's folder or name")
    command.add_argument(
        "--baseline",
        metavar="NAME",
        help="gate each checkpoint against this baseline, or the run in this folder",
    )
    command.add_argument(
        "--by",
        default="accuracy",
        metavar="RATE",
        help="the rate by which the checkpoint to keep is found (default: %(default)s)",
    )
    command.add_argument(
        "--watch",
        action="store_true",
        help="judge each checkpoint of a running training once it is saved, until the last one",
    )
    command.add_argument(
        "--bisect",
        metavar="CASE|METRIC",
        help="find between which two checkpoints a case or a metric broke, asking as few as can be",
    )
    command.add_argument("--html", type=path, metavar="FILE", help="write a page with the curves")
    add_json(command)
    add_policy(command)
    add_root(command)
    add_out(command, "the folder with a run's folder for each checkpoint")
    add_batch_size(command)
    add_asking(command)
    add_environment(command)
    add_quiet(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Judge the checkpoints, or bisect them, and show what was found.
    """
    from harness.workflow.project import open_project

    if arguments.bisect is not None and (arguments.watch or arguments.html is not None):
        raise UsageError("--bisect looks at a few checkpoints; drop --watch and --html")
    project = open_project(arguments.root)
    if arguments.bisect is not None:
        return _bisect(arguments, project)
    if arguments.watch:
        return _watch(arguments, project)
    from harness.workflow.training_checkpoints import judge_checkpoints

    with watching("checkpoints", quiet=arguments.quiet) as progress:
        found = judge_checkpoints(
            arguments.folder,
            arguments.suite,
            by=arguments.by,
            progress=progress,
            **_asked(arguments, project),
        )
    return _show(found, arguments)


def _asked(arguments: argparse.Namespace, project: "Project") -> dict[str, Any]:
    """
    Return what all three ways of looking at checkpoints are asked with.
    """
    return {
        "project": project,
        "baseline": arguments.baseline,
        "policy": arguments.policy,
        "out": arguments.out,
        "options": run_options(arguments),
    }


def _watch(arguments: argparse.Namespace, project: "Project") -> int:
    from harness.workflow.training_checkpoints import Judging, watch_checkpoints

    found: JudgedCheckpoints | None = None
    with watching("checkpoints", quiet=arguments.quiet) as progress:
        asked = _asked(arguments, project)
        judging = Judging.of(arguments.suite, by=arguments.by, progress=progress, **asked)
        with suppress(KeyboardInterrupt):
            for found in watch_checkpoints(arguments.folder, judging):
                latest = found.judged[-1]
                accuracy = latest.run.record.metrics[found.by].value
                said = "" if accuracy is None else f": {found.by} {100 * accuracy:.1f}%"
                verdict = f", {latest.verdict.verdict}" if latest.verdict else ""
                progress.notify(f"{latest.name}{said}{verdict}")
                _write_page(found, arguments.html)
    if found is None:
        raise UsageError(f"{arguments.folder}: no checkpoint was judged")
    return _show(found, arguments)


def _bisect(arguments: argparse.Namespace, project: "Project") -> int:
    from harness.reports.checkpoints import bisected, bisected_data
    from harness.workflow.bisect import bisect_checkpoints

    with watching("checkpoints", quiet=arguments.quiet) as progress:
        found = bisect_checkpoints(
            arguments.folder,
            arguments.suite,
            arguments.bisect,
            progress=progress,
            **_asked(arguments, project),
        )
    if not wrote_json(bisected_data(found), arguments.json):
        rows = [
            [each.name, "broken" if each.broken else "good", each.said] for each in found.looked
        ]
        table(["looked at", "", "what it says"], rows)
        for each in found.skipped:
            say(line(f"skipped: {each}"))
        print(line(bisected(found)))
        print(
            f"asked {found.asked} of {count(found.checkpoints, 'checkpoint')}"
            + (f", {len(found.looked) - found.asked} known before" if found.looked else "")
        )
    return ExitCode.REGRESSED if found.bad is not None else ExitCode.PASS


def _show(found: "JudgedCheckpoints", arguments: argparse.Namespace) -> int:
    from harness.reports.checkpoints import checkpoints_data, sheet_of_checkpoints

    _write_page(found, arguments.html)
    if not wrote_json(checkpoints_data(found), arguments.json):
        show_sheet(sheet_of_checkpoints(found))
        asked = sum(each.asked for each in found.judged)
        known = ", the others were known" if asked < len(found.judged) else ""
        print(f"\nasked {asked} of {count(len(found.judged), 'checkpoint')}{known}")
        if arguments.html is not None:
            say(line(f"wrote: {arguments.html}"))
        if (chosen := found.passing or found.best) is not None:
            against = f" --baseline {shlex.quote(arguments.baseline)}" if arguments.baseline else ""
            verb = "gate" if arguments.baseline else "report"
            print(f"next: `harness {verb} {line(shlex.quote(str(chosen.run.folder)))}{against}`")
    return found.exit


def _write_page(found: "JudgedCheckpoints", file: Path | None) -> None:
    if file is None:
        return
    from harness.files import write_text
    from harness.renderers.html import render_sheet
    from harness.reports.checkpoints import sheet_of_checkpoints

    write_text(file, render_sheet(sheet_of_checkpoints(found)))
