"""
``harness latency``.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options import (
    CHECKPOINT,
    add_accept_licence,
    add_asking,
    add_command,
    add_policy,
    add_quiet,
    add_root,
    add_served,
    add_tool_names,
    path,
    positive,
    run_options,
    target,
)
from harness.cli.output import conclude, table
from harness.cli.parser import Commands
from harness.cli.progress import watching
from harness.errors import UsageError
from harness.reports.escape import line
from harness.wording import plain

if TYPE_CHECKING:
    from harness.gating.alternation import Alternation, Load
    from harness.gating.verdict import MetricVerdict
    from harness.workflow.latency import JudgedTimes
    from harness.workflow.project import Project


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    command = add_command(commands, "latency", run, "time two checkpoints in alternation")
    command.add_argument("suite", nargs="?", metavar="SUITE", help="a suite's folder or name")
    command.add_argument(
        "old", nargs="?", metavar="A", help=f"the checkpoint that is shipped: {CHECKPOINT}"
    )
    command.add_argument(
        "new", nargs="?", metavar="B", help="the candidate, written in the same way"
    )
    add_accept_licence(command)
    add_root(command)
    command.add_argument(
        "--stored",
        type=path,
        metavar="FILE",
        help="judge the times in FILE, from --benchmark-json, instead of measuring",
    )
    command.add_argument(
        "--rounds",
        type=positive,
        default=1,
        metavar="R",
        help="answer every case 2R times with each, in the order A B B A (default: %(default)s)",
    )
    command.add_argument(
        "--load",
        type=positive,
        metavar="N",
        help="two models behind URLs: measure throughput and times with N requests in flight as "
        "well, apart from the rest",
    )
    command.add_argument(
        "--allow-mismatch",
        action="extend",
        nargs="+",
        default=[],
        metavar="FIELD",
        help="compare although FIELD differs between the servers, such as backend.server.version",
    )
    add_policy(command)
    add_asking(command)
    add_served(command)
    add_tool_names(command)
    command.add_argument(
        "--json", type=target, metavar="FILE", help="write the verdict there; - prints it"
    )
    command.add_argument(
        "--benchmark-json",
        type=path,
        metavar="FILE",
        help="write the times there, as pytest-benchmark does",
    )
    add_quiet(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Time two checkpoints in alternation, or judge stored times again.
    """
    from harness.files import write_text
    from harness.workflow.benchmark_json import spell_benchmark
    from harness.workflow.latency import judge_times
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    policy = project.policy(arguments.policy)
    judged = judge_times(_measured(arguments, project), policy, allow=arguments.allow_mismatch)
    text = json.dumps(judged.to_json(), indent=2, sort_keys=True, allow_nan=False) + "\n"
    # Minutes of measuring must survive a closed pipe and a full disk: results are written before
    # they are shown, and shown even if they cannot be written.
    try:
        if arguments.benchmark_json is not None:
            write_text(arguments.benchmark_json, spell_benchmark(judged.measured))
        if arguments.json not in (None, "-"):
            write_text(Path(arguments.json), text)
    finally:
        if arguments.json == "-":
            print(text, end="")
        else:
            _show(judged)
            print()
    ending = f"exit {int(judged.exit)}"
    stream = sys.stderr if arguments.json == "-" else sys.stdout
    conclude(judged.verdict.replace("_", " "), ending, arguments, stream)
    return judged.exit


def _measured(arguments: argparse.Namespace, project: "Project") -> "Alternation":
    from harness.workflow.benchmark_json import read_benchmark
    from harness.workflow.latency import time_checkpoints

    named = (arguments.suite, arguments.old, arguments.new)
    if arguments.stored is not None:
        if any(named):
            raise UsageError("SUITE A B measures, --stored FILE judges again: write one, not both")
        if arguments.load is not None:
            raise UsageError("--load measures, --stored FILE judges again: write one, not both")
        return read_benchmark(arguments.stored)
    if not all(named):
        raise UsageError("write SUITE A B, a suite and two checkpoints, or --stored FILE")
    with watching(f"{arguments.suite}, in alternation", quiet=arguments.quiet) as progress:
        return time_checkpoints(
            *named,
            project=project,
            options=run_options(arguments),
            rounds=arguments.rounds,
            load=arguments.load,
            progress=progress,
        )


def _show(judged: "JudgedTimes") -> None:
    measured, suite = judged.measured, judged.measured.suite
    print(line(f"old  {measured.old['reference']}"))
    print(line(f"new  {measured.new['reference']}"))
    many = f"{len(measured.cases)} cases of {suite.name} {suite.version}"
    each = len(measured.cases[0].old)
    print(line(f"{many}, each answered {each} times by both, in alternation"))
    print()
    head = ["median", "old", "new", "ratio", "95% interval", "limit", "verdict"]
    table(head, _rows(judged))
    print()
    if measured.load is not None:
        many = f"{measured.load.concurrency} requests in flight, in alternation"
        print(f"under load: {many}")
        print()
        table(["under load", *head[1:5]], _rows_under_load(judged, measured.load))
        print()
    print(line(f"{judged.verdict} (exit {int(judged.exit)}), {judged.policy.source}"))
    for metric in judged.metrics.values():
        print(line(f"- {metric.reason}"))
    if not judged.metrics:
        print("- the policy limits no time that was measured")
    if measured.advisory is not None:
        print(line(f"- advisory: {measured.advisory}"))
    for case, why in measured.left_out.items():
        print(line(f"left out: {case}: {why}"))


def _rows(judged: "JudgedTimes") -> list[list[str | None]]:
    """
    Return a row for each time: title, old and new median, ratio, its interval, limit, verdict.
    """
    from harness.gating.alternation import TIMES
    from harness.scoring.metrics import METRICS

    found: list[list[str | None]] = []
    for name in TIMES:
        paired, metric = judged.measured.paired(name), judged.metrics.get(name)
        if not paired.pairs:
            continue
        word = None if metric is None else metric.verdict.replace("_", " ")
        found.append(
            [
                METRICS[name].title,
                *(f"{plain(value)} ms" for value in paired.both),
                *_ratio(metric),
                None if metric is None else metric.limit,
                f"({word})" if metric is not None and metric.advisory else word,
            ]
        )
    if (tokens := judged.measured.tokens()).pairs:
        found.append(["output tokens", *(plain(value) for value in tokens.both), *[None] * 4])
    return found


def _rows_under_load(judged: "JudgedTimes", load: "Load") -> list[list[str | None]]:
    """
    Return a row for each figure: title, old, new, ratio and its interval, case by case.
    """
    from harness.gating.alternation import TIMES

    both = (load.old, load.new)
    tokens = [side.tokens_per_s for side in both]
    times = [side.times() for side in both]
    found: list[list[str | None]] = [
        ["answers a second", *(plain(side.answers_per_s) for side in both), None, None],
        [
            "output tokens a second",
            *(None if each is None else plain(each) for each in tokens),
            None,
            None,
        ],
    ]
    for name in times[0]:
        shown = [each[name] for each in times]
        title = name.replace("_ms_", " ").replace("ttft", "time to first token")
        # The ratio is that of the typical answer.
        metric = judged.under_load.get(name) if name in TIMES else None
        found.append(
            [
                title,
                *(None if each is None else f"{plain(each)} ms" for each in shown),
                *_ratio(metric),
            ]
        )
    if any(side.failed for side in both):
        found.append(["failed", *(f"{side.failed:,}" for side in both), None, None])
    return found


def _ratio(metric: "MetricVerdict | None") -> tuple[str | None, str | None]:
    if metric is None or metric.ratio is None:
        return None, None
    ratio, low, high = metric.ratio
    return f"{ratio:.3f}", f"{low:.3f} to {high:.3f}"
