"""
``harness drift``.
"""

import argparse
from typing import TYPE_CHECKING, Any

from harness.cli.options import add_command, add_json, add_root
from harness.cli.output import percent, table, wrote_json
from harness.cli.parser import Commands
from harness.cli.progress import say
from harness.errors import ExitCode
from harness.reports.escape import line
from harness.wording import chance, count, points

if TYPE_CHECKING:
    from harness.workflow.drift import Chain


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(
        commands, "drift", run, "find a slow loss over all accepted runs of a suite"
    )
    command.add_argument(
        "--suite", required=True, metavar="SUITE", help="the suite's name, as its baselines have it"
    )
    command.add_argument(
        "--name", metavar="NAME", help="only runs that were accepted under this name (default: all)"
    )
    add_json(command)
    add_root(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Show the chain, and exit with 1 where it drifts.
    """
    from harness.workflow.drift import drift
    from harness.workflow.project import open_project

    chain = drift(arguments.suite, project=open_project(arguments.root), name=arguments.name)
    for note in chain.notes:
        say(f"note: {note}")
    if not wrote_json(_data(chain), arguments.json):
        rows = [
            [
                each.saved,
                each.name,
                each.checkpoint,
                percent(each.right / chain.answers) if chain.answers else None,
            ]
            for each in chain.releases
        ]
        table(["accepted", "as", "checkpoint", "accuracy"], rows)
        print(line(_said(chain)))
    return ExitCode.REGRESSED if chain.trend.drifts else ExitCode.PASS


def _said(chain: "Chain") -> str:
    releases = count(len(chain.releases), "accepted run")
    trend = chain.trend
    if trend.p is None or trend.per_release is None:
        common = count(chain.answers, "common answer")
        return f"{chain.suite}: {releases} with {common}: a trend needs three runs and one answer"
    moved = f"{points(abs(trend.per_release))} points a release"
    way = "loses" if trend.per_release < 0 else "gains"
    word = "drifts" if trend.drifts else "no drift"
    return (
        f"{chain.suite}: {word}: {releases} over {count(chain.answers, 'common answer')}; it {way} "
        f"{moved} ({chance(trend.p)}; below 0.01 it drifts)"
    )


def _data(chain: "Chain") -> dict[str, Any]:
    return {
        "suite": chain.suite,
        "answers": chain.answers,
        "drifts": chain.trend.drifts,
        "p": chain.trend.p,
        "per_release": chain.trend.per_release,
        "releases": [
            {name: getattr(each, name) for name in each.__slots__} for each in chain.releases
        ],
        "notes": list(chain.notes),
    }
