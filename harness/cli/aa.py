"""
``harness aa``.
"""

import argparse
from pathlib import Path

from harness.cli.output import percent, table, while_read
from harness.cli.progress import say, watching
from harness.errors import ExitCode
from harness.files import write_text
from harness.gating.noise import KINDS, Discordance, sentences
from harness.reports.escape import line
from harness.runs.store import TRANSCRIPTS
from harness.wording import points
from harness.workflow.aa import SelfTest, run_self_test, spell
from harness.workflow.options import RunOptions
from harness.workflow.project import open_project


def aa(arguments: argparse.Namespace) -> int:
    """
    ``harness aa``: a measurement, so its exit code says only whether anything was measured.
    """
    project = open_project(arguments.root)
    options = RunOptions(
        dialect=arguments.dialect,
        device=arguments.device,
        dtype=arguments.dtype,
        batch_size=arguments.batch_size,
        max_new_tokens=arguments.max_new_tokens,
        seed=arguments.seed,
        limit=arguments.limit,
        tags=tuple(arguments.tags),
        repeats=arguments.repeats,
        tool_names=arguments.tool_names,
    )
    with watching(f"{arguments.suite} against itself", quiet=arguments.quiet) as progress:
        result = run_self_test(
            arguments.suite,
            arguments.checkpoint,
            project=project,
            out=arguments.out,
            options=options,
            policy=project.policy(arguments.policy),
            progress=progress,
        )
    with while_read():
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


def _why(result: SelfTest) -> str:
    if all(case.status == "error" for case in result.first.record.cases):
        return f"every case broke; see `error` in {result.first.folder / TRANSCRIPTS}"
    return "no case was scored in the first run and in another"


def _show(result: SelfTest) -> None:
    record = result.first.record
    print(
        line(
            f"{record.checkpoint['reference']} against itself on {record.suite.name} "
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
        [[each.old, each.new, each.broken, each.fixed, each.verdict] for each in result.trials],
    )
    for sentence in sentences(result.trials, result.policy):
        print(line(sentence))
    print(f"\nwhat it can see of accuracy on these {result.cases} cases (80% power)")
    head = ["cases that flip without cause", "where from", "smallest drop seen"]
    margin = next((each for each in result.sights if each.to_detect is not None), None)
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
            for each in result.sights
        ],
    )
    for note in result.notes:
        print(f"not tried: {line(note)}")
    print(f"\nruns: {result.folder}")


def _share(found: Discordance) -> str | None:
    return None if found.share is None else f"{found.differing} ({percent(found.share)})"


def _interval(found: Discordance) -> str | None:
    return None if found.low is None else f"{percent(found.low)} to {percent(found.high)}"
