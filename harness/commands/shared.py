"""
What several commands need: printing and writing reports, printing a table.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tabulate import tabulate

from harness.files import write_text
from harness.renderers.base import Report
from harness.renderers.registry import renderer
from harness.renderers.terminal import render


@contextmanager
def while_read() -> Iterator[None]:
    """
    Print as long as somebody reads: ``harness gate ... | head`` still exits by the verdict.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(report: Report) -> None:
    """
    Print *report*, in colour and to its width where standard output is a terminal.
    """
    terminal = sys.stdout.isatty()
    width = max(80, shutil.get_terminal_size().columns) if terminal else 100
    print(render(report, width=width, colour=terminal), end="")


def write(report: Report, arguments: argparse.Namespace) -> bool:
    """
    Write the forms asked for; say whether one of them went to standard output.
    """
    printed = False
    for name in ("html", "markdown", "junit", "json"):
        target = getattr(arguments, name)
        if target is None:
            continue
        text = renderer(name)(report)
        if target == "-":
            print(text, end="" if text.endswith("\n") else "\n")
            printed = True
        else:
            write_text(Path(target), text)
    return printed


def table(head: Sequence[str], rows: Sequence[Sequence[object]], floats: str = "g") -> None:
    """
    Print a table, or that there is nothing to show.
    """
    if not rows:
        print("none")
        return
    print(tabulate(rows, headers=head, floatfmt=floats, missingval="-"))


def percent(value: float | None) -> str | None:
    """
    Spell a share for people; None stays None.
    """
    return None if value is None else f"{100 * value:.1f}%"


def coloured(terminal: bool, environment: Mapping[str, str]) -> bool:
    """
    Whether to write in colour: on a terminal, unless NO_COLOR (no-color.org) or FORCE_COLOR says
    otherwise.
    """
    if environment.get("NO_COLOR"):
        return False
    return terminal or bool(environment.get("FORCE_COLOR"))
