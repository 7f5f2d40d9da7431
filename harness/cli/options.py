"""
Options and argument types that several commands share; forms of reports are in `forms`.

A function ``add_...`` declares the option of that name on a command's parser.
"""

import argparse
import datetime
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.checkpoints.licences import ACCEPTED, LICENCES, accept
from harness.cli.parser import Commands, Parser

if TYPE_CHECKING:
    from harness.workflow.options import RunOptions

CHECKPOINT = (
    "hf:org/name[@revision] or a local folder (weights, or a PEFT adapter), gguf:FILE, "
    "llamacpp:FILE, embedded:smollm2-135m, embedded:gemma3-270m, replay:FILE, "
    "python:package.module:function; vllm: or continuous: before one of the first two; "
    "openai:MODEL@URL or completions:MODEL@URL for a server; `harness doctor` lists what other "
    "packages bring"
)

_PRINTED = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], purpose: str
) -> Parser:
    """
    Add the command *name*, which calls *run*, and return its parser.
    """
    command = commands.add_parser(name, help=purpose, description=purpose)
    command.set_defaults(handler=run)
    return command


def add_group(commands: Commands, name: str, purpose: str) -> Commands:
    """
    Add the command *name* that has subcommands, and return what those are added to.
    """
    return commands.add_parser(name, help=purpose, description=purpose).add_commands()


def add_suite(command: Parser) -> None:
    """
    ``SUITE``.
    """
    command.add_argument("suite", metavar="SUITE", help="a suite's folder or name")


def add_checkpoint(command: Parser) -> None:
    """
    ``--checkpoint``.
    """
    command.add_argument("--checkpoint", required=True, metavar="REF", help=CHECKPOINT)
    add_accept_licence(command)


class _Accept(argparse.Action):
    """
    Accept a licence while the command line is read: for this process and those that it starts.
    """

    def __call__(self, _parser: object, _namespace: object, values: Any, *_: object) -> None:
        accept(values)


def add_accept_licence(command: Parser) -> None:
    """
    ``--accept-licence``.
    """
    command.add_argument(
        "--accept-licence",
        action=_Accept,
        choices=[*LICENCES],
        metavar="NAME",
        help="accept the licence of embedded:gemma3-270m: "
        + "; ".join(f"{name}, {each.terms}" for name, each in LICENCES.items())
        + f" (default: none, or that in {ACCEPTED})",
    )


def add_root(command: Parser) -> None:
    """
    ``--root``.
    """
    command.add_argument(
        "--root",
        type=path,
        metavar="DIR",
        help="the folder with suites/, baselines/ and reports/ (default: the current one)",
    )


def add_out(command: Parser, what: str) -> None:
    """
    ``--out`` of a command that makes runs.
    """
    command.add_argument(
        "--out", type=path, metavar="DIR", help=f"{what} (default: a fresh one under reports/)"
    )


def add_policy(command: Parser) -> None:
    """
    ``--policy``.
    """
    command.add_argument(
        "--policy",
        type=path,
        metavar="FILE",
        help="the policy (default: gate.toml of the project, else the built-in one)",
    )


def add_quiet(command: Parser) -> None:
    """
    ``--quiet``.
    """
    command.add_argument("--quiet", action="store_true", help="no progress, only results")


def add_detail(command: Parser, *, progress: bool = False) -> None:
    """
    ``--verbose`` and ``--quiet`` of a command that shows a report; with *progress*, one that takes
    long as well.
    """
    how_much = command.add_mutually_exclusive_group()
    how_much.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="show everything (default: what decides, in 40 lines)",
    )
    how_much.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="only the last line: the outcome, the exit code and the time it took"
        + (", and no progress" if progress else ""),
    )


def add_json(command: Parser) -> None:
    """
    ``--json`` of a command that prints a table.
    """
    command.add_argument(
        "--json", type=target, metavar="FILE", help="the same for programs; - prints it instead"
    )


def add_batch_size(command: Parser) -> None:
    """
    ``--batch-size``.
    """
    command.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="how many prompts are answered at once (default: planned by their length)",
    )


def add_dialect(command: Parser, default: str) -> None:
    """
    ``--dialect``.
    """
    command.add_argument(
        "--dialect",
        metavar="NAME",
        help="the format of the tool calls; `harness doctor` lists them, those of other packages "
        f"included (default: {default})",
    )


def add_asking(command: Parser) -> None:
    """
    How a checkpoint is run, and on which cases: ``--dialect`` to ``--seed``.
    """
    add_dialect(command, "found from the chat template")
    command.add_argument(
        "--limit", type=int, metavar="N", help="ask only the first N cases (default: all)"
    )
    command.add_argument(
        "--tags",
        nargs="+",
        default=[],
        metavar="T",
        help="ask only the cases that have all these tags, and with '!T' those that do not have T "
        "(default: all cases)",
    )
    command.add_argument(
        "--device",
        metavar="D",
        help="cpu, cuda, cuda:1 or mps (default: cuda if there is one, then mps, then cpu)",
    )
    command.add_argument(
        "--dtype",
        metavar="T",
        help="float32, bfloat16 or float16 (default: bfloat16 on cuda, else float32)",
    )
    command.add_argument(
        "--tensor-parallel",
        type=positive,
        metavar="N",
        help="how many devices vllm: splits the weights over (default: 1)",
    )
    command.add_argument(
        "--max-new-tokens",
        type=positive,
        metavar="N",
        help="the longest answer, in tokens (default: what the suite says, else 128)",
    )
    command.add_argument(
        "--seed", type=int, metavar="N", help="for sampling (default: what the suite says, else 0)"
    )


def add_served(command: Parser) -> None:
    """
    How a model behind a URL is asked: ``--concurrency`` to ``--request-timeout``.
    """
    command.add_argument(
        "--tokenizer",
        metavar="REF",
        help="the checkpoint whose tokenizer and chat template write the prompts of completions:",
    )
    command.add_argument(
        "--concurrency",
        type=positive,
        metavar="N",
        help="how many requests a server gets at once (default: 8)",
    )
    add_api_key(command)
    command.add_argument(
        "--request-timeout",
        type=seconds,
        metavar="S",
        help="how many seconds a server has for one answer (default: 300)",
    )


def add_preflight(command: Parser) -> None:
    """
    ``--no-preflight``.
    """
    command.add_argument(
        "--no-preflight",
        dest="preflight",
        action="store_false",
        help="do not check a server before it is asked",
    )


def add_api_key(command: Parser) -> None:
    """
    ``--api-key-env``.
    """
    command.add_argument(
        "--api-key-env",
        metavar="NAME",
        help="the environment variable that holds a server's key (default: no key is sent)",
    )


def add_choice(command: Parser) -> None:
    """
    Further ways to ask only some of the cases: ``--case`` to ``--sample-seed``.
    """
    command.add_argument(
        "--case",
        dest="cases",
        action="append",
        default=[],
        metavar="ID",
        help="ask only this case; repeatable",
    )
    command.add_argument(
        "-k",
        dest="expression",
        metavar="EXPR",
        help="ask only the cases whose id or tags match, as pytest's -k: words with and, or, not "
        "and parentheses",
    )
    command.add_argument(
        "--failed", metavar="RUN", help="ask only the cases that failed in this run or baseline"
    )
    command.add_argument(
        "--sample",
        type=positive,
        metavar="N",
        help="ask only N of the chosen cases, of each combination of tags its share",
    )
    command.add_argument(
        "--sample-seed",
        type=int,
        default=0,
        metavar="N",
        help="which sample (default: %(default)s)",
    )


def add_tool_names(command: Parser) -> None:
    """
    ``--tool-names``.
    """
    command.add_argument(
        "--tool-names",
        choices=["dots-to-underscores"],
        help="show tool names as APIs that forbid dots do (default: as they are)",
    )


def members(names: Iterable[str], added: Mapping[str, str]) -> str:
    """
    Return *names* as listed in a help text, with the package of those in *added*.
    """
    listed = (f"{name} (from {added[name]})" if name in added else name for name in names)
    return ", ".join(listed).replace("%", "%%")


def add_opened(command: Parser) -> None:
    """
    ``--opened``.
    """
    command.add_argument(
        "--opened",
        metavar="TEXT",
        help="what the prompts had begun of the answers, such as '<think>', for stored answers "
        "that do not say (default: nothing)",
    )


def add_environment(command: Parser) -> None:
    """
    ``--environment``.
    """
    command.add_argument(
        "--environment",
        metavar="MODULE:CLASS",
        help="the Python class that an executed suite names and may run (default: no code is run)",
    )


def run_options(arguments: argparse.Namespace) -> "RunOptions":
    """
    Return the run options in *arguments*: each option has the name of its field, and a field
    without an option keeps its default.
    """
    from dataclasses import fields

    from harness.workflow.options import RunOptions

    known = {field.name for field in fields(RunOptions)}
    said = {name: value for name, value in vars(arguments).items() if name in known}
    lists = {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
    return RunOptions(**said | lists)


def path(text: str) -> Path:
    """
    Return the file or folder that an argument names.
    """
    if not text.strip():
        # `Path("")` is the current folder, but an empty text is most likely an unset variable.
        raise argparse.ArgumentTypeError(f"{text!r} names nothing (is a variable unset?)")
    return Path(text)


def target(text: str) -> str:
    """
    Return the file that an argument names, or ``-`` for standard output, however it is written.
    """
    return "-" if text in _PRINTED else str(path(text))


def listed(text: str) -> list[str]:
    """
    Return the parts of an argument such as cuda:0,cuda:1.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list such as cuda:0,cuda:1")
    return parts


def positive(text: str) -> int:
    """
    Return an argument as a whole number of at least 1.
    """
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def date(text: str) -> datetime.date:
    """
    Return an argument such as 2027-01-31 as a date.
    """
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2027-01-31") from exc


def seconds(text: str) -> float:
    """
    Return an argument as a number of seconds above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def share(text: str) -> float:
    """
    Return an argument such as 3pp, 3% or 0.03 as a share.
    """
    number = text.removesuffix("pp").removesuffix("%")
    try:
        value = float(number) / (100 if number != text else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share: write 3pp, 3% or 0.03")
    return value
