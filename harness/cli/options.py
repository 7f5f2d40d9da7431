"""
The options and types of argument that several commands share.

A function ``add_...`` declares on a command's parser what its name says.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from harness.workflow.options import RunOptions

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What commands are added to: the program's, or those of a command such as ``harness suite``."""

CHECKPOINT = (
    "hf:org/name[@revision] or a local folder (weights, or a PEFT adapter), gguf:FILE, "
    "embedded:smollm2-135m, replay:FILE, python:package.module:function"
)


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], purpose: str
) -> argparse.ArgumentParser:
    """
    Add the command *name*, which *run* carries out, and return its parser.
    """
    command = commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)
    command.set_defaults(handler=run)
    return command


def add_group(commands: Commands, name: str, purpose: str) -> Commands:
    """
    Add the command *name* that has commands of its own, and return what those are added to.
    """
    command = commands.add_parser(name, help=purpose)
    return command.add_subparsers(title="commands", metavar="COMMAND", required=True)


def add_suite(command: argparse.ArgumentParser) -> None:
    """
    ``SUITE``.
    """
    command.add_argument("suite", metavar="SUITE", help="a suite's folder or name")


def add_checkpoint(command: argparse.ArgumentParser) -> None:
    """
    ``--checkpoint``.
    """
    command.add_argument("--checkpoint", required=True, metavar="REF", help=CHECKPOINT)


def add_root(command: argparse.ArgumentParser) -> None:
    """
    ``--root``.
    """
    command.add_argument(
        "--root",
        type=path,
        metavar="DIR",
        help="the folder with suites/, baselines/ and reports/ (default: the current one)",
    )


def add_quiet(command: argparse.ArgumentParser) -> None:
    """
    ``--quiet``.
    """
    command.add_argument("--quiet", action="store_true", help="no progress, only results")


def add_asking(command: argparse.ArgumentParser) -> None:
    """
    How a checkpoint is asked, and which cases: ``--dialect`` to ``--seed``.
    """
    command.add_argument("--dialect", help="the tool-call format (default: from the template)")
    command.add_argument("--limit", type=int, metavar="N", help="only the first N cases")
    command.add_argument("--tags", nargs="+", default=[], metavar="T", help="only cases with all")
    command.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, mps")
    command.add_argument("--dtype", metavar="T", help="float32, bfloat16, float16")
    command.add_argument("--max-new-tokens", type=positive, metavar="N")
    command.add_argument("--seed", type=int, metavar="N")


def add_tool_names(command: argparse.ArgumentParser) -> None:
    """
    ``--tool-names``.
    """
    command.add_argument(
        "--tool-names",
        choices=["dots-to-underscores"],
        help="how the model is shown the names of tools, as APIs do that forbid dots",
    )


def add_outputs(command: argparse.ArgumentParser) -> None:
    """
    The forms in which a report is written.
    """
    for name, what in (
        ("html", "one page with everything"),
        ("markdown", "for a pull request"),
        ("junit", "for a CI server"),
        ("json", "for programs"),
        ("lm-eval", "the new run as lm-evaluation-harness's results"),
        ("model-index", "the new run as metadata of a model card"),
    ):
        command.add_argument(f"--{name}", metavar="FILE", help=f"{what}; - prints it")
    command.add_argument(
        "--github",
        action="store_true",
        help="on GitHub Actions: a summary, outputs and annotations of the step",
    )


def run_options(arguments: argparse.Namespace) -> "RunOptions":
    """
    Return what *arguments* say of a run. An option is called as its field; a command has some.
    """
    from dataclasses import fields

    from harness.workflow.options import RunOptions

    known = {field.name for field in fields(RunOptions)}
    said = {name: value for name, value in vars(arguments).items() if name in known}
    return RunOptions(**said | {"tags": tuple(arguments.tags)})


def path(text: str) -> Path:
    """
    The type of an argument that names a file or folder.
    """
    if not text.strip():
        # `Path("")` is the current folder, and what an unset variable leaves is not meant as that.
        raise argparse.ArgumentTypeError(f"{text!r} names nothing (is a variable unset?)")
    return Path(text)


def positive(text: str) -> int:
    """
    The type of an argument that counts from 1.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def share(text: str) -> float:
    """
    The type of an argument such as 3pp, 3% or 0.03.
    """
    number = text.removesuffix("pp").removesuffix("%")
    try:
        value = float(number) / (100 if number != text else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: write 3pp, 3% or 0.03")
    return value
