"""
``harness finetune --rows`` and ``--sweep``: several fine-tunes instead of one.
"""

import argparse
from typing import TYPE_CHECKING

from harness.cli.options import path, positive, target
from harness.cli.output import show_sheet, wrote_json
from harness.cli.parser import Parser
from harness.cli.progress import say, watching
from harness.errors import ExitCode, UsageError
from harness.reports.escape import line

if TYPE_CHECKING:
    from harness.finetuning import Recipe
    from harness.workflow.project import Project


def add_sweep(command: Parser) -> None:
    """
    ``--rows`` to ``--json``.
    """
    command.add_argument(
        "--rows",
        type=_numbers,
        metavar="N,N,...",
        help="train on so many of the rows, each number into a folder of its own in --out, judge "
        "each on the suite and show accuracy by rows; of each tool its share, more hold the fewer "
        "(default: one fine-tune on all rows)",
    )
    command.add_argument(
        "--sweep",
        type=path,
        metavar="FILE",
        help="train every combination of the settings in a TOML file (learning_rate, epochs, "
        "lora_rank, batch_size, seed, rows: a value or a list of them), judge each on the suite "
        "and show which cannot be told apart (default: one fine-tune)",
    )
    command.add_argument(
        "--html",
        type=path,
        metavar="FILE",
        help="of --rows and --sweep: write a page (default: none)",
    )
    command.add_argument(
        "--json",
        type=target,
        metavar="FILE",
        help="of --rows and --sweep: the same for programs; - prints it instead (default: none)",
    )


def run_sweep(arguments: argparse.Namespace, recipe: "Recipe", project: "Project") -> int:
    """
    Train and judge what is asked for, and show it as a table.
    """
    from harness.reports.sweep import sheet_of_sweep, sweep_data
    from harness.workflow.sweep import by_rows, read_sweep, sweep

    if arguments.rows and arguments.sweep:
        raise UsageError("give --rows, or --sweep with rows = [...] in its file")
    if arguments.push_to_hub or arguments.resume:
        raise UsageError(
            "of several fine-tunes none is pushed, and what is there is never trained again: drop "
            "--push-to-hub and --resume"
        )
    asked = (
        by_rows(arguments.rows, recipe) if arguments.rows else read_sweep(arguments.sweep, recipe)
    )
    with watching("fine-tunes", quiet=arguments.quiet) as progress:
        found = sweep(
            asked,
            base=arguments.base,
            out=arguments.out,
            project=project,
            suite=arguments.suite,
            evaluate=arguments.evaluate,
            train=arguments.train,
            valid=arguments.valid,
            valid_share=arguments.valid_share,
            limit=arguments.evaluate_limit,
            progress=progress,
        )
    sheet = sheet_of_sweep(found)
    if arguments.html is not None:
        from harness.files import write_text
        from harness.renderers.html import render_sheet

        write_text(arguments.html, render_sheet(sheet))
    if not wrote_json(sweep_data(found), arguments.json):
        show_sheet(sheet)
        if arguments.html is not None:
            say(line(f"wrote: {arguments.html}"))
    return ExitCode.PASS


def _numbers(text: str) -> list[int]:
    return [positive(part.strip()) for part in text.split(",")]
