"""
The program ``harness``: its commands, and how their errors end it.
"""

import argparse
import gc
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Protocol

from harness.cli import (
    aa,
    baseline,
    checkpoints,
    comment,
    compare,
    completion,
    demo,
    doctor,
    drift,
    explain,
    finetune,
    gate,
    init,
    latency,
    matrix,
    merge,
    need,
    report,
    run,
    score,
    stack,
    suite,
)
from harness.cli.output import until_closed
from harness.cli.parser import Commands, Parser
from harness.errors import ExitCode, HarnessError

_PURPOSE = """\
Regression testing of tool-calling language models:
may this checkpoint replace the one we ship?

`harness COMMAND --help` shows the options of a command.
"""

_EPILOG = """\
exit codes:
  0  pass; inconclusive, where the policy warns
  1  regressed; a must_pass case still failing; findings of `suite check`
  2  usage, input or infrastructure error: nothing was judged
  3  not comparable; inconclusive, where the policy blocks
"""


class Command(Protocol):
    """
    The interface of a command's module, which is named after the command.
    """

    __name__: str

    def add_parser(self, commands: Commands) -> None:
        """
        Declare the options of the command.
        """


COMMANDS: dict[str, tuple[Command, ...]] = {
    "everyday": (
        demo,
        init,
        run,
        merge,
        score,
        baseline,
        gate,
        compare,
        report,
        finetune,
        checkpoints,
    ),
    "suites": (suite,),
    "analysis": (matrix, explain, need, drift, aa, latency, stack, comment, doctor, completion),
}
"""Every command, in the groups and the order of ``harness --help``."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command and return its exit code.

    An error of `harness.errors`, or of the operating system about a file, is printed without a
    traceback. Any other exception is a bug, including a `SystemExit` of a command: it keeps its
    traceback, and the exit code says that nothing was judged.
    """
    # Suites and runs are many values without cycles: looking for some among them every 700 values
    # takes a third of the time of judging.
    gc.set_threshold(100_000, 20, 20)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not decide a verdict.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with until_closed():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    try:
        try:
            started = time.monotonic()
            parser = make_parser()
            known = argparse.Namespace(started=started, parser=parser)
            arguments = parser.parse_args(argv, known)
        except SystemExit as exited:
            # argparse has shown help, or an error about the arguments.
            return int(exited.code or 0)
        return int(arguments.handler(arguments))
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return ExitCode.ERROR
    except KeyboardInterrupt:
        print("harness: interrupted; what was stored is kept", file=sys.stderr)
        return 130
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"harness: {where}{error.strerror or error}", file=sys.stderr)
        return ExitCode.ERROR
    except BaseException:
        traceback.print_exc()
        print("harness: this is a bug in the harness; please report it", file=sys.stderr)
        return ExitCode.ERROR


def make_parser() -> Parser:
    """
    Return the parser of the whole command line.
    """
    parser = Parser(
        prog="harness",
        usage="%(prog)s [-h] [--version] COMMAND ...",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    # argparse lists commands in one block; ours are grouped, in the description.
    commands = parser.add_commands(prog=parser.prog, help=argparse.SUPPRESS)
    for modules in COMMANDS.values():
        for module in modules:
            module.add_parser(commands)
    parser.description = _PURPOSE + "".join(_listed(parser))
    return parser


def _listed(parser: Parser) -> Iterator[str]:
    known = list(parser.listed())
    width = max(len(words) for words, _ in known)
    for title, modules in COMMANDS.items():
        yield f"\n{title}:\n"
        names = {module.__name__.rpartition(".")[2] for module in modules}
        for words, purpose in known:
            if words.split()[0] in names:
                yield f"  {words:<{width}}  {purpose}\n"


class _Version(argparse.Action):
    """
    Look up the version only on request: package metadata is slow to read.
    """

    def __call__(self, *_: object, **__: object) -> None:
        from harness.provenance import harness_version

        print(f"harness {harness_version()}")
        sys.exit(0)
