"""
``harness init``.
"""

import argparse
import shlex
from pathlib import Path

from harness.cli.options import add_command, path
from harness.cli.parser import Commands
from harness.errors import ExitCode

_PURPOSES = {
    "harness.toml": "where suites, baselines and reports are",
    "gate.toml": "what a candidate must meet: every key, as a comment",
    "gate.yml": "the gate in CI",
    ".gitlab-ci.yml": "the gate in CI",
    ".gitignore": "leaves reports/ out",
}
"""What the files of a project are for, by name; a suite has none of these."""


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(commands, "init", run, "make a project to start from")
    command.add_argument(
        "folder",
        nargs="?",
        type=path,
        default=Path(),
        metavar="DIR",
        help="the folder of the project, made if needed (default: the current one)",
    )
    command.add_argument(
        "--ci",
        choices=["github", "gitlab", "none"],
        default="github",
        help="whose CI to write a job for (default: github)",
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Make the files that are not there yet, and say what each is for and what to do next.
    """
    from harness.workflow.init import init

    started = init(arguments.folder, ci=arguments.ci)
    width = max((len(str(made)) for made in started.made), default=0)
    for made in started.made:
        print(f"made {made!s:<{width}}  {_PURPOSES.get(made.name, 'a small suite to start from')}")
    for kept in started.kept:
        print(f"exists, left as it is: {kept}")
    if started.misplaced_job is not None:
        print(
            "note: CI looks for its jobs at the top of the repository: move "
            f"{started.misplaced_job} there, and let it work in {started.root.resolve().name}/"
        )
    if started.to_ignore is not None:
        print(f"add {started.to_ignore} to .gitignore: it holds runs, which need not be committed")
    enter = "" if started.root == Path() else f"cd {shlex.quote(str(started.root))} && "
    print(f"next, with rows of your own: {enter}harness suite import sheet --template rows")
    print(f"or with the suite that is there: {enter}harness suite check {started.suite}")
    return ExitCode.PASS
