"""
``harness aa``.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options import (
    add_asking,
    add_batch_size,
    add_checkpoint,
    add_command,
    add_out,
    add_policy,
    add_preflight,
    add_quiet,
    add_root,
    add_served,
    add_suite,
    add_tool_names,
    positive,
    run_options,
    target,
)
from harness.cli.output import percent, table
from harness.cli.parser import Commands
from harness.cli.progress import say, watching
from harness.errors import ExitCode
from harness.reports.escape import line
from harness.wording import points

if TYPE_CHECKING:
    from harness.gating.noise import Discordance
    from harness.workflow.aa import SelfTest


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    purpose = "measure the noise: run a checkpoint against itself"
    command = add_command(commands, "aa", run, purpose)
    add_suite(command)
    add_checkpoint(command)
    add_root(command)
    add_out(command, "the folder of all the runs")
    command.add_argument(
        "--repeats",
        type=positive,
        default=1,
        metavar="K",
        help="make K runs of each kind (default: %(default)s)",
    )
    add_policy(command)
    add_batch_size(command)
    add_asking(command)
    add_served(command)
    add_preflight(command)
    add_tool_names(command)
    command.add_argument(
        "--json", type=target, metavar="FILE", help="write what was measured there; - prints it"
    )
    add_quiet(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Measure; the exit code says only whether anything was measured.
    """
    from harness.files import write_text
    from harness.workflow.aa import run_self_test, spell
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    with watching(f"{arguments.suite} against itself", quiet=arguments.quiet) as progress:
        result = run_self_test(
            arguments.suite,
            arguments.checkpoint,
            project=project,
            out=arguments.out,
            options=run_options(arguments),
            policy=project.policy(arguments.policy),
            progress=progress,
        )
    if arguments.json == "-":
        print(spell(result), end="")
    else:
        _show(result)
        if arguments.json is not None:
            write_text(Path(arguments.json), spell(result))
    if not any(noise.flips.pairs for noise in result.noises):
        say(f"harness: nothing was measured: {_why(result)}")
        return ExitCode.ERROR
    return ExitCode.PASS


def _why(result: "SelfTest") -> str:
    from harness.runs.store import TRANSCRIPTS

    if all(case.status == "error" for case in result.first.record.cases):
        return f"every case is an error; see `error` in {result.first.folder / TRANSCRIPTS}"
    return "no case was scored both in the first run and in another"


def _show(result: "SelfTest") -> None:
    from harness.gating.noise import KINDS, sentences

    record = result.first.record
    print(
        line(
            f"{record.checkpoint.reference} against itself on {record.suite.name} "
            f"{record.suite.version}: {result.cases} scored cases"
        )
    )
    print()
    head = ["changed", "runs", "pairs", "right or wrong flips", "95% interval"]
    table(
        [*head, "status differs", "calls differ", "text differs"],
        [
            [
                KINDS[noise.kind],
                len(noise.runs),
                noise.flips.pairs,
                _share(noise.flips),
                _interval(noise.flips),
                _share(noise.status),
                _share(noise.calls),
                _share(noise.text),
            ]
            for noise in result.noises
        ],
    )
    flipped = dict.fromkeys(name for noise in result.noises for name in noise.flipped)
    if flipped:
        print(line(f"flipped: {', '.join(flipped)}"))
    print(f"\nthe gate ({result.policy.source}) on each run and the first, both ways round")
    table(
        ["old", "new", "broken", "fixed", "verdict"],
        [[each.old, each.new, each.broken, each.fixed, each.verdict] for each in result.gates],
    )
    for sentence in sentences(result.gates, result.policy):
        print(line(sentence))
    print(f"\nwhat it can see of accuracy on these {result.cases} cases (80% power)")
    head = ["cases that flip without cause", "where from", "smallest drop seen"]
    margin = next((each for each in result.sensitivities if each.to_detect is not None), None)
    limit = result.policy.limits["accuracy"].margin if margin is not None else 0.0
    if margin is not None:
        head += [f"cases to see a drop of {points(limit)} points", "cases to clear an equal one"]
    table(
        head,
        [
            [
                percent(each.discordance),
                each.source,
                None if each.detectable is None else f"{points(each.detectable)} points",
                *([each.to_detect, each.to_clear] if margin is not None else []),
            ]
            for each in result.sensitivities
        ],
    )
    for note in result.notes:
        print(f"not tried: {line(note)}")
    print(f"\nruns: {result.folder}")


def _share(found: "Discordance") -> str | None:
    return None if found.share is None else f"{found.differing} ({percent(found.share)})"


def _interval(found: "Discordance") -> str | None:
    return None if found.low is None else f"{percent(found.low)} to {percent(found.high)}"
