"""
What three checkpoints make of every suite of this repository: stored baselines and their table.

    python -m tests.suite_results --make      # train, run and save what is not there: an hour
    python -m tests.suite_results --write docs/suite-results.md

The checkpoints are the embedded model as it comes, and trained on the rows of two of the suites.
The table is made of the committed baselines alone; a test holds the document to it.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate

from harness.cli.progress import say, watching
from harness.files import write_text
from harness.finetuning.recipe import Recipe
from harness.runs.record import MetricValue
from harness.runs.store import StoredRun, load_run
from harness.suites.files import find_suites, load_suite
from harness.suites.suite import Suite
from harness.workflow import run as workflow
from harness.workflow.baseline import save_baseline
from harness.workflow.finetune import finetune as train
from harness.workflow.options import Progress, RunOptions
from harness.workflow.project import open_project

TREE = Path(__file__).parent.parent
BASE = "embedded:smollm2-135m"
TRAINED = {"smollm2-135m-tuned": "tool-routing", "smollm2-135m-device": "device-actions"}
"""Baseline -> the suite whose rows its checkpoint was trained on."""
NAMES = ("smollm2-135m", *TRAINED)
RECIPES = {
    # Its tools take 1,100 tokens: fewer, larger steps, as each pays for them once.
    "smollm2-135m-device": Recipe(max_length=2048, batch_size=12, epochs=6, learning_rate=1e-4)
}
"""Where it is not the default one."""

INTRODUCTION = """\
# Results of small checkpoints

Three checkpoints on every suite of this repository: SmolLM2-135M-Instruct untrained
(`smollm2-135m`), trained on the rows of tool-routing (`smollm2-135m-tuned`), and trained on the
rows of device-actions (`smollm2-135m-device`). The runs are in `baselines/`; this page is made of
them by `python -m tests.suite_results --write docs/suite-results.md`, and they by `--make`.

Rates are in per cent, accuracy with its 95% interval; a dash means that nothing is eligible."""

COLUMNS = {
    "accuracy": "accuracy",
    "tool_accuracy": "right tool",
    "argument_accuracy": "right arguments",
    "second_call_rate": "second calls",
    "call_after_result_rate": "calls after a result",
    "abstention_accuracy": "rightly no call",
    "no_call_rate": "no call",
    "malformed_rate": "malformed",
    "undeclared_tool_rate": "undeclared tool",
    "schema_violation_rate": "schema violation",
    "output_tokens_p50": "tokens p50",
    "output_tokens_p95": "tokens p95",
}


def suites() -> list[str]:
    """
    Name the released suites: a baseline on a draft would be worth nothing tomorrow.
    """
    return [path.name for path in find_suites(TREE / "suites") if load_suite(path).released]


def make(work: Path) -> None:
    """
    Train, run and save every baseline that is not there.
    """
    project = replace(open_project(TREE), reports=work)
    for name in NAMES:
        if TRAINED.get(name, "tool-routing") not in suites():
            continue
        missing = [s for s in suites() if name not in stored(load_suite(TREE / "suites" / s))]
        if not missing:
            continue
        checkpoint = BASE
        if name in TRAINED:
            trained = train(
                project=project,
                base=BASE,
                suite=TRAINED[name],
                recipe=RECIPES.get(name),
                out=work / name / "model",
                reuse=True,
                progress=Progress(notify=say),
            )
            checkpoint = str(trained.folder)
        for suite in missing:
            with watching(f"{suite}, {name}") as progress:
                run = workflow.run(
                    suite,
                    checkpoint,
                    project=project,
                    out=work / name / suite,
                    options=RunOptions(reuse=True),
                    progress=progress,
                )
            on = f" trained on {TRAINED[name]}'s rows" if name in TRAINED else " as it comes"
            save_baseline(
                run,
                project.baselines,
                name,
                reason=f"the embedded model{on}",
                replace=True,
            )


def page() -> str:
    """
    Spell the table of the committed baselines.
    """
    parts = [INTRODUCTION]
    for suite in suites():
        whole = load_suite(TREE / "suites" / suite)
        runs = stored(whole)
        parts += ["", f"## {suite} {whole.version}", "", whole.description, ""]
        if not runs:
            parts.append("Not measured yet.")
            continue
        head = ["", *runs]
        rows = [["scored cases", *(str(scored(run)) for run in runs.values())]]
        for metric, title in COLUMNS.items():
            rows.append([title, *(spell(metric, run.record.metrics) for run in runs.values())])
        parts.append(
            tabulate(
                rows, headers=head, tablefmt="github", colalign=("left", *["right"] * len(runs))
            )
        )
        if remark := extreme(runs):
            parts += ["", remark]
    return "\n".join(parts) + "\n"


def stored(suite: Suite) -> dict[str, StoredRun]:
    """
    Load the baselines of this very version of *suite*.
    """
    folders = {name: TREE / "baselines" / suite.name / name for name in NAMES}
    runs = {name: load_run(folder) for name, folder in folders.items() if folder.is_dir()}
    return {name: run for name, run in runs.items() if run.record.suite.digest == suite.digest}


def scored(run: StoredRun) -> int:
    return sum(case.scored for case in run.record.cases)


def spell(name: str, metrics: Mapping[str, MetricValue]) -> str:
    metric = metrics[name]
    if metric.value is None:
        return "-"
    if metric.hits is None:
        return f"{metric.value:g}"
    rate = f"{100 * metric.value:.1f}"
    if name == "accuracy" and metric.low is not None and metric.high is not None:
        return f"{rate} ({100 * metric.low:.1f} to {100 * metric.high:.1f})"
    return f"{rate} of {metric.eligible}"


def extreme(runs: Mapping[str, StoredRun]) -> str | None:
    """
    Say that a suite on which all score alike at one end does not tell them apart.
    """
    values = [run.record.metrics["accuracy"].value for run in runs.values()]
    if all(value == 0 for value in values):
        return (
            "Too hard for all three. It stays: it is made for larger models, and how a small one "
            "fails (no call, malformed, another tool) is told apart above."
        )
    if all(value == 1 for value in values):
        return "Too easy for all three. It stays as a floor: whatever ships has to keep it."
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--work", type=Path, default=Path("reports/suite-results"))
    parser.add_argument("--write", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.work)
    if arguments.write is not None:
        write_text(arguments.write, page())
    elif not arguments.make:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
