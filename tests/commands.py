"""
The command reference, made from the parsers.

``python -m tests.commands`` writes docs/commands.md; `test_references` holds the page to it.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from harness.cli.main import COMMANDS, make_parser
from harness.cli.parser import Parser

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"

_HEAD = """\
# Commands

Every command and every option, made from the parsers by `python -m tests.commands`.
`harness COMMAND --help` says the same, with what other installed packages add.

SUITE is a folder or a name under `suites/`, RUN a folder with a `run.json`, and NAME a baseline of
the run's suite. These folders are those of the [project](project.md).

```text
{exit_codes}
```
"""


def page() -> str:
    """
    Return the page as it has to be, whatever other packages are installed.
    """
    with patch("harness.plugins.installed", lambda group: ()):
        parser = make_parser()
        head = _HEAD.format(exit_codes=(parser.epilog or "").strip())
        return head + "".join(_groups(parser))


def _groups(parser: Parser) -> Iterator[str]:
    assert parser.commands is not None
    for title, modules in COMMANDS.items():
        yield f"\n## {title.capitalize()}\n"
        for module in modules:
            yield from _command(parser.commands.choices[module.__name__.rpartition(".")[2]])


def _command(parser: Parser) -> Iterator[str]:
    parser.declare_all()
    if parser.commands is not None:
        for command in parser.commands.choices.values():
            yield from _command(command)
        return
    yield f"\n### {parser.prog}\n\n{parser.description}\n\n```text\n{_usage(parser)}\n```\n"
    described = [group for group in parser._action_groups if group.description]
    apart = [action for group in described for action in group._group_actions]
    yield from _table(parser, [action for action in _shown(parser) if action not in apart])
    for group in described:
        yield f"\n{str(group.title).capitalize()}: {group.description}\n"
        yield from _table(parser, group._group_actions)


def _shown(parser: Parser) -> list[argparse.Action]:
    return [
        action
        for action in parser._actions
        if action.dest != "help" and action.help is not argparse.SUPPRESS
    ]


def _usage(parser: Parser) -> str:
    """
    Return the command with what it must be given; argparse wraps its own differently by version.
    """
    actions = _shown(parser)
    positional = [action for action in actions if not action.option_strings]
    required = [action for action in actions if action.option_strings and action.required]
    given = [_written(parser, action) for action in [*positional, *required]]
    optional = len(actions) > len(given)
    return " ".join([parser.prog, *given, *(["[options]"] if optional else [])])


def _table(parser: Parser, actions: list[argparse.Action]) -> Iterator[str]:
    if actions:
        yield "\n| argument | meaning |\n|---|---|\n"
    for action in actions:
        meaning = parser._get_formatter()._expand_help(action)
        cells = f"`{_written(parser, action)}`", " ".join(meaning.split())
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _written(parser: Parser, action: argparse.Action) -> str:
    """
    Return an argument as it is written on the command line.
    """
    formatter = parser._get_formatter()
    if not action.option_strings:
        return formatter._format_args(action, action.dest)
    flags = ", ".join(action.option_strings)
    if action.nargs == 0:
        return flags
    return f"{flags} {formatter._format_args(action, action.dest.upper())}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
