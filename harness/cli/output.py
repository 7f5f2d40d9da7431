"""
Printing and writing: reports, tables, and what was just judged.
"""

import argparse
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from harness.cli.progress import say
from harness.errors import ExitCode, UsageError
from harness.reports.escape import line
from harness.wording import duration

if TYPE_CHECKING:
    from typing import TextIO

    from harness.reports.report import Report
    from harness.reports.sheet import Sheet
    from harness.runs.store import StoredRun
    from harness.workflow.project import Project

PRINTED = "-"
"""The name of the file that is standard output."""


class _UntilClosed:
    """
    A stream whose reader may go away: what is written after that is dropped.
    """

    def __init__(self, stream: "TextIO") -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """
        Write *text*, if anybody reads it.
        """
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """
        Pass on what was written, if anybody reads it.
        """
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()
            self._stream.flush()

    def _drop(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def until_closed() -> Iterator[None]:
    """
    Let readers of the output go away: ``harness gate | head`` is quiet and exits with the verdict.
    """
    streams = sys.stdout, sys.stderr
    # There is none where it was closed before the program began.
    sys.stdout, sys.stderr = (each and cast("TextIO", _UntilClosed(each)) for each in streams)
    try:
        yield
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        sys.stdout, sys.stderr = streams


def show(report: "Report", *, everything: bool = False) -> None:
    """
    Print *report* or its short form, in colour and to its width where standard output is a
    terminal.
    """
    from harness.renderers.terminal import render, render_brief

    terminal = sys.stdout.isatty()
    width = max(80, shutil.get_terminal_size().columns) if terminal else 100
    form = render if everything else render_brief
    text = form(report, width=width, colour=coloured(terminal, os.environ))
    with no_workflow_commands():
        print(text, end="")


def show_sheet(sheet: "Sheet") -> None:
    """
    Print the words and tables of a page as `show` does a report.
    """
    from harness.renderers.terminal import render_sheet

    terminal = sys.stdout.isatty()
    width = max(80, shutil.get_terminal_size().columns) if terminal else 100
    with no_workflow_commands():
        print(render_sheet(sheet, width=width, colour=coloured(terminal, os.environ)), end="")


def conclude(outcome: str, ending: str, arguments: argparse.Namespace, stream: "TextIO") -> None:
    """
    Print the last line: the outcome, the time that the command took, and how it ends.
    """
    took = duration(time.monotonic() - arguments.started)
    print(line(f"{outcome} after {took}, {ending}"), file=stream)


def show_judged(
    stored: "StoredRun", arguments: argparse.Namespace, *, following: str | None = None
) -> int:
    """
    Show a run that was just judged and return the exit code: an error if every case is one.

    *following* is the command that comes next, if there is one to name.
    """
    from harness.reports.brief import outcome
    from harness.reports.build import report_run

    nothing = stored.record.errors == len(stored.record.cases)
    code = ExitCode.ERROR if nothing else ExitCode.PASS
    report = report_run(stored)
    if not arguments.quiet:
        show(report, everything=arguments.verbose)
        print()
    print(f"run: {stored.folder}")
    if following and not (nothing or arguments.quiet):
        print(f"next: `{line(following)}`")
    conclude(outcome(report), f"exit {int(code)}", arguments, sys.stdout)
    if nothing:
        say("harness: nothing was judged: every case is an error; see `error` in transcripts.jsonl")
    return code


def following(stored: "StoredRun", project: "Project") -> str | None:
    """
    Return the command that accepts a run of a suite that has no baseline yet.
    """
    suite = stored.record.suite.name
    if not stored.record.selection.complete or project.baseline_names(suite):
        return None
    return f"harness baseline save {shlex.quote(str(stored.folder))} --name NAME"


@contextmanager
def no_workflow_commands() -> Iterator[None]:
    """
    Print what a model wrote, which GitHub's runner must not execute: lines that begin with ``::``.

    https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        yield
        return
    import secrets

    # Text that was written before cannot contain the word that ends this.
    word = secrets.token_hex(16)
    print(f"::stop-commands::{word}")
    try:
        yield
    finally:
        print(f"::{word}::")


def deliver(report: "Report", arguments: argparse.Namespace) -> "TextIO":
    """
    Write the requested forms and name their files, and show the report if no form is printed.

    Return where the last line belongs: beside a printed form, on standard error.
    """
    from harness.files import write_text
    from harness.renderers.registry import renderer

    printed = False
    wrote = []
    for name, target in arguments.forms:
        text = renderer(name)(report)
        if target == PRINTED:
            print(text, end="" if text.endswith("\n") else "\n")
            printed = True
        else:
            write_text(Path(target), text)
            wrote.append(target)
    if arguments.github:
        _write_for_github(report)
    if not printed and not arguments.quiet:
        show(report, everything=arguments.verbose)
        print()
    if wrote and not arguments.quiet:
        say(line(f"wrote: {', '.join(wrote)}"))
    return sys.stderr if printed else sys.stdout


def _write_for_github(report: "Report") -> None:
    """
    Add a summary and outputs to the step this runs in, and print annotations.

    Raises:
        UsageError: outside a step.
    """
    from harness.renderers import github
    from harness.renderers.markdown import render as markdown

    files = {name: os.environ.get(name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    if missing := [name for name, file in files.items() if not file]:
        raise UsageError(f"--github is for a step of GitHub Actions: ${missing[0]} is not set")
    summary = markdown(report, limit=github.SUMMARY_LIMIT)
    texts = {"GITHUB_STEP_SUMMARY": summary, "GITHUB_OUTPUT": github.outputs(report)}
    for name, text in texts.items():
        # Appended: other commands of the step may have written, too.
        with Path(str(files[name])).open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    print(github.render(report), end="")


def wrote_json(data: object, target: str | None) -> bool:
    """
    Write *data* as JSON to the file *target*, if there is one. Return whether it was printed.
    """
    import json

    from harness.files import write_text

    if target is None:
        return False
    # In ASCII: nothing in it can act on a terminal.
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    if target == PRINTED:
        print(text, end="")
    else:
        write_text(Path(target), text)
    return target == PRINTED


def table(head: Sequence[str], rows: Sequence[Sequence[object]], floats: str = "g") -> None:
    """
    Print a table, or "none". Text in it may come from anywhere.
    """
    from tabulate import tabulate

    if not rows:
        print("none")
        return
    shown = [[line(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    print(tabulate(shown, headers=head, floatfmt=floats, missingval="-"))


def percent(value: float | None) -> str | None:
    """
    Return a share as a percentage; None stays None.
    """
    return None if value is None else f"{100 * value:.1f}%"


def coloured(terminal: bool, environment: Mapping[str, str]) -> bool:
    """
    Return whether to write in colour: on a terminal, unless NO_COLOR (no-color.org) or FORCE_COLOR
    says otherwise.
    """
    if environment.get("NO_COLOR"):
        return False
    return terminal or bool(environment.get("FORCE_COLOR"))
