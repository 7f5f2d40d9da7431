"""
``harness completion``.
"""

import argparse

from harness.cli.options import add_command
from harness.cli.parser import Commands, Parser
from harness.errors import ExitCode

SHELLS = ("bash", "zsh", "fish", "tcsh")

_FOLDERS = ("DIR",)
_FILES = ("FILE", "F", "RUN", "SUITE", "SOURCE")


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    purpose = "print what lets a shell complete commands and names"
    command = add_command(commands, "completion", run, purpose)
    command.add_argument("shell", choices=SHELLS, help="the shell the script is for")


def run(arguments: argparse.Namespace) -> int:
    """
    Print the script, which is made from the parsers.
    """
    import shtab

    _prepare(arguments.parser)
    print(shtab.complete(arguments.parser, shell=arguments.shell))
    return ExitCode.PASS


def _prepare(parser: Parser) -> None:
    """
    Declare every option of *parser* and its commands, and say what their values may be.
    """
    import shtab

    from harness.dialects import registry as dialects
    from harness.importers import registry as importers
    from harness.scoring.metrics import METRICS

    names = {"dialect": dialects.names, "format": importers.names, "metric": METRICS.keys}
    parser.declare_all()
    for action in parser._actions:
        if action.metavar in (*_FOLDERS, *_FILES):
            kind = shtab.DIRECTORY if action.metavar in _FOLDERS else shtab.FILE
            action.complete = kind  # type: ignore[attr-defined]
        elif action.dest in names:
            action.choices = list(names[action.dest]())
    if parser.commands is not None:
        # shtab leaves out what is hidden in help texts, as the list of commands is.
        parser.commands.help = None
        for command in parser.commands.choices.values():
            _prepare(command)
