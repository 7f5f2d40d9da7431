"""
argparse with helpful errors.

An error shows the usage of its command and suggests the nearest word; a command that needs a
subcommand prints its help; what takes long to look up for a help text is looked up only when that
command is used.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from harness.errors import ExitCode


class Parser(argparse.ArgumentParser):
    """
    The parser of the program or of one command.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False} | kwargs)
        self.commands: Commands | None = None
        """The subcommands, if the command has any."""
        self.meant: dict[str, str] = {}
        """What to write instead of flags that do not exist but are likely to be tried."""
        self._late: list[Callable[[], None]] = []

    def add_commands(self, **settings: Any) -> "Commands":
        """
        Let the command have subcommands. Without one, its help is printed.
        """
        self.commands = self.add_subparsers(title="commands", metavar="COMMAND", **settings)
        self.set_defaults(handler=self._show_help)
        return self.commands

    def _show_help(self, _: argparse.Namespace) -> int:
        self.print_help()
        # 0 means that a checkpoint passed: a CI job with an empty variable must not get it.
        return ExitCode.ERROR

    def declare_late(self, declare: Callable[[], None]) -> None:
        """
        Let *declare* add options once the command is used: looking up installed packages takes as
        long as everything else in ``harness --help``.
        """
        self._late.append(declare)

    def declare_all(self) -> None:
        """
        Add the options that were deferred.
        """
        while self._late:
            self._late.pop(0)()

    def listed(self) -> Iterator[tuple[str, str]]:
        """
        Yield each command and its purpose; a command with subcommands yields these instead.
        """
        if self.commands is None:
            return
        for name, command in self.commands.choices.items():
            if command.commands is None:
                yield name, command.description or ""
            for verb, purpose in command.listed():
                yield f"{name} {verb}", purpose

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """
        Parse *args*, all of which must be known, so that an error is about the command, not about
        the program.
        """
        words = list(sys.argv[1:] if args is None else args)
        self.declare_all()
        # Before argparse, which would complain about the missing flag: the misspelt one.
        if (flag := self._unknown(words)) is not None:
            known = {name: name for name in self._option_string_actions} | self.meant
            self.error(f"unrecognized arguments: {flag}{_nearest(flag, known)}")
        parsed, rest = super().parse_known_args(words, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return parsed, rest

    def _unknown(self, words: Sequence[str]) -> str | None:
        for word in words:
            if word == "--" or (self.commands is not None and not word.startswith("-")):
                return None
            flag = word.partition("=")[0]
            known = flag in self._option_string_actions
            # With a space in it, argparse takes it for a value.
            if word.startswith("--") and " " not in word and not known:
                return flag
        return None

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if self.commands is not None and action is self.commands and value not in action.choices:
            names = {name: repr(name) for name in self.commands.choices}
            hint = _nearest(value, names) or f"; `{self.prog} --help` lists them"
            self.error(f"unknown command {value!r}{hint}")
        if action.choices is not None and value not in action.choices:
            from harness.wording import suggest

            near = suggest(value, map(str, action.choices))
            raise argparse.ArgumentError(action, f"unknown value {value!r}{near}")
        super()._check_value(action, value)


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""The commands of the program, or the subcommands of a command such as ``harness suite``."""


def _nearest(word: str, known: dict[str, str]) -> str:
    """
    Return the end of an error about *word*: the nearest known word, if there is one.
    """
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1)
    return f" (did you mean {known[close[0]]}?)" if close else ""
