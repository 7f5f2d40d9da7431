"""
``harness matrix``.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options import add_command, add_json, add_out, add_quiet, add_root, path
from harness.cli.output import conclude, show_sheet, wrote_json
from harness.cli.parser import Commands
from harness.cli.progress import say, watching
from harness.reports.escape import line

if TYPE_CHECKING:
    from harness.reports.sheet import Sheet


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(
        commands, "matrix", run, "run several checkpoints on several suites, each opened once"
    )
    command.add_argument(
        "file",
        type=path,
        metavar="FILE",
        help="the checkpoints, suites and options, as TOML (docs/scale.md)",
    )
    add_root(command)
    add_out(command, "the folder with a folder for each checkpoint")
    command.add_argument("--html", type=path, metavar="FILE", help="write one page")
    command.add_argument("--markdown", type=path, metavar="FILE", help="for a pull request")
    add_json(command)
    add_quiet(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Fill in the matrix and show it.
    """
    import sys

    from harness.reports.matrix import matrix_data, outcome, sheet_of_matrix
    from harness.workflow.matrix import read_matrix, run_matrix
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    matrix = read_matrix(arguments.file)
    with watching(matrix.name, quiet=arguments.quiet) as progress:
        found = run_matrix(matrix, project=project, out=arguments.out, progress=progress)
    sheet = sheet_of_matrix(found)
    _write(sheet, arguments.html, arguments.markdown)
    printed = wrote_json(matrix_data(found), arguments.json)
    if not printed:
        show_sheet(sheet)
        print()
    if not arguments.quiet:
        for file in filter(None, (arguments.html, arguments.markdown)):
            say(line(f"wrote: {file}"))
    stream = sys.stderr if printed else sys.stdout
    conclude(outcome(found), f"exit {int(found.exit)}", arguments, stream)
    return found.exit


def _write(sheet: "Sheet", html: Path | None, markdown: Path | None) -> None:
    from harness.files import write_text

    if html is not None:
        from harness.renderers.html import render_sheet as as_html

        write_text(html, as_html(sheet))
    if markdown is not None:
        from harness.renderers.markdown import render_sheet as as_markdown

        write_text(markdown, as_markdown(sheet))
