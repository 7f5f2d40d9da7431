"""
``harness comment``.
"""

import argparse
import json
import os
from pathlib import Path

from harness.cli.options import add_command, path, positive
from harness.cli.parser import Commands
from harness.errors import UsageError, boundary


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(
        commands, "comment", run, "keep one comment on a pull request up to date, through gh"
    )
    command.add_argument(
        "file", type=path, metavar="FILE", help="what `harness gate --comment FILE` wrote"
    )
    command.add_argument(
        "--pull-request",
        type=positive,
        metavar="N",
        help="the number of the pull request (default: only print the comment)",
    )
    command.add_argument(
        "--before",
        type=path,
        metavar="FILE",
        help="what the comment says now, to print the new one with its lines on overrides: for "
        "servers other than GitHub",
    )
    command.add_argument(
        "--repository",
        metavar="OWNER/NAME",
        help="whose pull request (default: $GITHUB_REPOSITORY)",
    )
    command.add_argument(
        "--only-on-alert",
        action="store_true",
        help="make no comment for a pass; one that is there is updated",
    )
    command.add_argument(
        "--checks",
        type=path,
        metavar="FILE",
        help="also make a check for each suite, of what `harness gate --json FILE` wrote",
    )
    command.add_argument(
        "--commit", metavar="SHA", help="the commit that is checked (default: $GITHUB_SHA)"
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Make or update the comment, and the checks.
    """
    from harness.canonical import parse_json
    from harness.workflow.comment import Place, put_checks, put_comment, with_kept

    text = _read(arguments.file)
    if arguments.pull_request is None:
        before = "" if arguments.before is None else _read(arguments.before)
        print(with_kept(text, before), end="")
        return 0
    if arguments.before is not None:
        raise UsageError("--before is for a comment that is only printed: drop --pull-request")
    repository = _given(arguments.repository, "GITHUB_REPOSITORY", "--repository OWNER/NAME")
    place = Place(repository=repository, number=arguments.pull_request)
    done = put_comment(text, place, only_on_alert=arguments.only_on_alert)
    print(f"comment on {repository}#{arguments.pull_request}: {done}")
    if arguments.checks is not None:
        commit = _given(arguments.commit, "GITHUB_SHA", "--commit SHA")
        with boundary(UsageError, f"{arguments.checks}: not the JSON of a verdict"):
            verdict = parse_json(Path(arguments.checks).read_text("utf-8"))
            json.dumps([verdict["verdict"], verdict["reasons"]])
        print(f"checks: {', '.join(put_checks(verdict, repository, commit))}")
    return 0


def _read(file: Path) -> str:
    with boundary(UsageError, f"{file}: cannot be read"):
        return file.read_text("utf-8")


def _given(text: str | None, variable: str, option: str) -> str:
    found = text or os.environ.get(variable)
    if not found:
        raise UsageError(f"${variable} is not set: say {option}")
    return found
