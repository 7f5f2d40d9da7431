"""
``harness finetune``.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.options import add_command, add_quiet, add_root, path, positive
from harness.cli.output import coloured, no_workflow_commands, table
from harness.cli.parser import Commands
from harness.cli.progress import watching
from harness.errors import ExitCode, UsageError
from harness.reports.escape import line

if TYPE_CHECKING:
    from harness.finetuning import Finetuned
    from harness.finetuning.check import CheckedRows


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(commands, "finetune", run, "fine-tune a candidate with TRL")
    command.add_argument(
        "--suite",
        metavar="SUITE",
        help="a suite, for its train.jsonl, valid.jsonl, tools and system text (default: none; "
        "--train is needed then)",
    )
    command.add_argument(
        "--train",
        type=path,
        metavar="FILE",
        help="chat rows to learn, as JSON lines (default: the suite's)",
    )
    command.add_argument(
        "--valid",
        type=path,
        metavar="FILE",
        help="chat rows to measure the loss on (default: the suite's; without those, a fifth of "
        "the training rows, of each tool's, chosen by --seed)",
    )
    command.add_argument(
        "--base",
        required=True,
        metavar="REF",
        help="the checkpoint to start from: hf:org/name, a folder or embedded:smollm2-135m",
    )
    command.add_argument(
        "--out",
        type=path,
        metavar="DIR",
        help="the folder to write the checkpoint to",
    )
    command.add_argument(
        "--check",
        action="store_true",
        help="train nothing: show what would be learned of three rows, and list what is wrong with "
        "the rows; exit 1 if anything is",
    )
    add_root(command)
    command.add_argument(
        "--epochs", type=positive, metavar="N", help="passes over the rows (default: 8)"
    )
    command.add_argument(
        "--batch-size", type=positive, metavar="N", help="rows per step (default: 4)"
    )
    command.add_argument(
        "--learning-rate",
        type=float,
        metavar="X",
        help="constant, without warm-up (default: 5e-05, of a LoRA adapter 0.001)",
    )
    command.add_argument(
        "--max-length",
        type=positive,
        metavar="N",
        help="the longest row, in tokens; a longer one is refused (default: 512)",
    )
    command.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="for the order of the rows, for dropout, and for validation rows that are split off "
        "(default: 42)",
    )
    command.add_argument(
        "--keep",
        choices=["best", "last"],
        help="keep the weights of the best validation loss, or the last ones (default: last)",
    )
    command.add_argument(
        "--lora",
        action="store_true",
        help="train a LoRA adapter, with peft (default: all weights are trained)",
    )
    command.add_argument(
        "--lora-rank",
        type=positive,
        metavar="R",
        help="the rank of the adapter; implies --lora (default: 16)",
    )
    command.add_argument(
        "--tensorboard", action="store_true", help="also write a log for TensorBoard"
    )
    command.add_argument(
        "--push-to-hub", metavar="ORG/NAME", help="also push the result to the Hugging Face hub"
    )
    command.add_argument("--resume", action="store_true", help="continue after an interruption")
    add_quiet(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Train a checkpoint and print its losses.
    """
    from harness.finetuning.recipe import LORA_RANK, Recipe
    from harness.workflow.finetune import check_training_rows, finetune
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    given = {
        "epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "max_length": arguments.max_length,
        "seed": arguments.seed,
        "keep": arguments.keep,
    }
    if arguments.lora or arguments.lora_rank:
        given["lora_rank"] = arguments.lora_rank or LORA_RANK
    recipe = Recipe(**{name: value for name, value in given.items() if value is not None})
    if arguments.check:
        with watching("checking", quiet=arguments.quiet) as progress:
            checked = check_training_rows(
                project=project,
                base=arguments.base,
                suite=arguments.suite,
                train=arguments.train,
                valid=arguments.valid,
                recipe=recipe,
                progress=progress,
            )
        return _show_checked(checked)
    if arguments.out is None:
        raise UsageError("say where the result goes: --out DIR")
    with watching("fine-tuning", quiet=arguments.quiet) as progress:
        trained = finetune(
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
            progress=progress,
        )
    table(["epoch", "training loss", "validation loss"], _losses(trained), floats=".4f")
    print(f"\ncheckpoint: {trained.folder} (kept: epoch {trained.kept_epoch})")
    if trained.warning is not None:
        print(f"warning: {trained.warning}")
    print(f"next: {_next_command(trained.folder, arguments)}")
    return ExitCode.PASS


def _show_checked(checked: "CheckedRows") -> int:
    """
    Print what would be learned and what is wrong with the rows; exit 1 if anything is.
    """
    from harness.reports.learned import facts, spelled

    colour = coloured(sys.stdout.isatty(), os.environ)
    with no_workflow_commands():
        for text in spelled(checked, colour=colour):
            print(text, end="\n\n")
    head = ["", "training rows", "validation rows", "turns of the suite"]
    cells = [[each.name, each.train, each.valid, each.expected] for each in checked.kinds]
    table(head, cells)
    print()
    for fact in facts(checked):
        print(line(fact))
    for finding in checked.findings:
        print(line(str(finding)))
    print(f"{len(checked.findings) or 'no'} finding{'' if len(checked.findings) == 1 else 's'}")
    return ExitCode.REGRESSED if checked.findings else ExitCode.PASS


def _losses(trained: "Finetuned") -> list[list[Any]]:
    rows: list[list[Any]] = [[loss.epoch, loss.train, loss.valid] for loss in trained.losses]
    return rows if trained.valid_before is None else [[0, None, trained.valid_before], *rows]


def _next_command(folder: Path, arguments: argparse.Namespace) -> str:
    """
    Return the command that asks the trained checkpoint what it was trained for.
    """
    suite = shlex.quote(arguments.suite) if arguments.suite else "SUITE"
    root = ["--root", str(arguments.root)] if arguments.root else []
    return f"harness run {suite} {shlex.join(['--checkpoint', str(folder), *root])}"
