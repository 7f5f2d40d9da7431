"""
``harness finetune``.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.options import (
    add_accept_licence,
    add_command,
    add_quiet,
    add_root,
    path,
    positive,
    share,
)
from harness.cli.output import coloured, no_workflow_commands, table
from harness.cli.parser import Commands
from harness.cli.progress import watching
from harness.cli.sweep import add_sweep, run_sweep
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
        type=_rows,
        metavar="FILE",
        help="chat rows to learn, as JSON lines, or hf:org/name[@revision][:split], a data set of "
        "the Hugging Face hub (default: the suite's)",
    )
    command.add_argument(
        "--valid",
        type=_rows,
        metavar="FILE",
        help="chat rows to measure the loss on, likewise (default: the suite's; without those, a "
        "fifth of the training rows, of each tool's, chosen by --seed)",
    )
    command.add_argument(
        "--valid-share",
        type=share,
        metavar="SHARE",
        help="measure the loss on this share of the training rows, such as 50%%, of each tool's "
        "and chosen by --seed, and do not train on it (default: see --valid)",
    )
    command.add_argument(
        "--base",
        required=True,
        metavar="REF",
        help="the checkpoint to start from: hf:org/name, a folder, embedded:smollm2-135m "
        "or embedded:gemma3-270m",
    )
    add_accept_licence(command)
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
        help="keep the weights of the best epoch, or the last ones (default: last)",
    )
    command.add_argument(
        "--by",
        metavar="METRIC",
        help="what the best epoch is the best by: loss, or a rate such as tool_accuracy of the "
        "suite that is evaluated; half of its cases then choose the epoch, and the figures are of "
        "the other half (default: loss)",
    )
    command.add_argument(
        "--evaluate",
        metavar="SUITE",
        help="a suite to ask while the model is trained; its runs go to DIR/evaluations "
        "(default: none)",
    )
    command.add_argument(
        "--every",
        type=_every,
        metavar="epoch|N",
        help="validate, and evaluate, after each epoch or every N steps (default: epoch)",
    )
    command.add_argument(
        "--evaluate-limit",
        type=positive,
        metavar="N",
        help="ask a sample of N cases, drawn by --seed from each slice alike (default: all)",
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
        "--tensorboard",
        action=argparse.BooleanOptionalAction,
        help="write a log for TensorBoard to DIR/runs (default: where tensorboard is installed)",
    )
    command.add_argument(
        "--push-to-hub", metavar="ORG/NAME", help="also push the result to the Hugging Face hub"
    )
    command.add_argument("--resume", action="store_true", help="continue after an interruption")
    add_sweep(command)
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
        "by": arguments.by,
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
                valid_share=arguments.valid_share,
                recipe=recipe,
                progress=progress,
            )
        return _show_checked(checked)
    if arguments.out is None:
        raise UsageError("say where the result goes: --out DIR")
    if arguments.rows or arguments.sweep:
        return run_sweep(arguments, recipe, project)
    if arguments.html or arguments.json:
        raise UsageError("--html and --json are for the results of --rows or --sweep")
    with watching("fine-tuning", quiet=arguments.quiet) as progress:
        trained = finetune(
            project=project,
            base=arguments.base,
            out=arguments.out,
            suite=arguments.suite,
            train=arguments.train,
            valid=arguments.valid,
            valid_share=arguments.valid_share,
            recipe=recipe,
            resume=arguments.resume,
            tensorboard=arguments.tensorboard,
            push_to_hub=arguments.push_to_hub,
            evaluate=arguments.evaluate,
            every=arguments.every or None,
            evaluate_limit=arguments.evaluate_limit,
            progress=progress,
        )
    head, rows = _epochs(trained)
    table(head, rows, floats=".4f")
    if trained.selected is not None:
        print(
            f"\nwhat is measured is of {len(trained.selected.halves.report)} cases, which chose "
            f"nothing; the epoch was chosen by {len(trained.selected.halves.select)} others"
        )
    print(f"\ncheckpoint: {trained.folder} (kept: {_kept(trained)})")
    if trained.warning is not None:
        print(f"warning: {trained.warning}")
    print(f"next: {_next_command(trained.folder, arguments)}")
    return ExitCode.PASS


def _rows(text: str) -> Path | str:
    """
    Return a file, or a data set of the hub as it is written.
    """
    return text if text.startswith("hf:") else path(text)


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


def _every(text: str) -> int:
    """
    Return so many steps; 0 for each epoch.
    """
    return 0 if text == "epoch" else positive(text)


def _kept(trained: "Finetuned") -> str:
    kept = f"epoch {trained.kept_epoch:g}"
    return kept if trained.selected is None else f"{kept}, {trained.selected}"


def _epochs(trained: "Finetuned") -> tuple[list[str], list[list[Any]]]:
    """
    Return the table of losses, and of what was measured, by epoch.
    """
    from harness.finetuning.card import figure, shown_metrics
    from harness.scoring.metrics import METRICS

    names = shown_metrics(trained.evaluated)
    found = {each.epoch: each.metrics for each in trained.evaluated}
    rows = [
        [
            f"{loss.epoch:g}",
            loss.train,
            loss.valid,
            *(figure(found[loss.epoch][name]) if loss.epoch in found else None for name in names),
        ]
        for loss in trained.losses
    ]
    if trained.valid_before is not None:
        rows.insert(0, ["0", None, trained.valid_before, *(None for _ in names)])
    titles = [METRICS[name].title for name in names]
    return ["epoch", "training loss", "validation loss", *titles], rows


def _next_command(folder: Path, arguments: argparse.Namespace) -> str:
    """
    Return the command that asks the trained checkpoint what it was trained for.
    """
    suite = shlex.quote(arguments.suite) if arguments.suite else "SUITE"
    root = ["--root", str(arguments.root)] if arguments.root else []
    return f"harness run {suite} {shlex.join(['--checkpoint', str(folder), *root])}"
