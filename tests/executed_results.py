"""
What a small checkpoint makes of the executed suites: stored baselines and the page of them.

    python -m tests.executed_results --make [NAME ...]    # train, run and save what is not there
    python -m tests.executed_results --write docs/executed-results.md

The checkpoints are the embedded model as it comes, trained on the first answer of each training row
of rag-kb (single calls), and on the whole rows. The page is made of the committed baselines alone;
a test holds the document to it. Making takes an hour on two cores, and goes on where it was ended.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate

from harness.cli.progress import say, watching
from harness.constraints.answers import parts
from harness.files import write_text
from harness.finetuning.recipe import Recipe
from harness.reports.funnel import passages
from harness.runs.store import StoredRun, load_run
from harness.scoring.results import CaseResult
from harness.stats import wilson
from harness.suites.files import load_suite
from harness.wording import count
from harness.workflow import run as workflow
from harness.workflow.baseline import save_baseline
from harness.workflow.finetune import finetune
from harness.workflow.options import Progress, RunOptions
from harness.workflow.project import Project, open_project

TREE = Path(__file__).parent.parent
BASE = "embedded:smollm2-135m"
KB, PHONE = "rag-kb", "phone-state"
PLAIN, CALLS, ROWS = "smollm2-135m", "smollm2-135m-calls", "smollm2-135m-kb"
SUITES = {KB: (PLAIN, CALLS, ROWS), PHONE: (PLAIN,)}
"""Suite -> its baselines here."""
REASONS = {
    PLAIN: "the embedded model as it comes",
    CALLS: "the embedded model trained on the first answers of rag-kb's rows",
    ROWS: "the embedded model trained on rag-kb's rows",
}
RECIPES = {
    CALLS: Recipe(epochs=1, learning_rate=2e-4),
    ROWS: Recipe(epochs=1, learning_rate=2e-4, max_length=768),
}
SAMPLES = {CALLS: 60}
"""Of how many cases, drawn at random, a baseline is. Who never learned to answer searches until its
steps are used up, which takes many times as long."""

EXAMPLES = 4


def make(work: Path, names: tuple[str, ...]) -> None:
    """
    Train, run and save each of these baselines that is not there.
    """
    project = replace(open_project(TREE), reports=work)
    for suite, of_suite in SUITES.items():
        for name in of_suite:
            if name not in names or name in stored(suite):
                continue
            checkpoint = BASE if name == PLAIN else train(project, name, work / name)
            with watching(f"{suite}, {name}") as progress:
                run = workflow.run(
                    suite,
                    checkpoint,
                    project=project,
                    out=work / name / suite,
                    options=RunOptions(reuse=True, sample=SAMPLES.get(name)),
                    progress=progress,
                )
            save_baseline(
                run,
                project.baselines,
                name,
                reason=REASONS[name],
                replace=True,
                allow_partial=name in SAMPLES,
            )


def train(project: Project, name: str, work: Path) -> str:
    """
    Return the folder of a checkpoint that is trained on rag-kb's rows.
    """
    files: dict[str, Path] = {}
    if name == CALLS:
        for part in ("train", "valid"):
            files[part] = work / f"{part}.jsonl"
            write_text(files[part], first_answers(TREE / "suites" / KB / f"{part}.jsonl"))
    trained = finetune(
        project=project,
        base=BASE,
        suite=KB,
        recipe=RECIPES[name],
        out=work / "model",
        reuse=True,
        progress=Progress(notify=say),
        **files,
    )
    return str(trained.folder)


def first_answers(path: Path) -> str:
    """
    Return the rows of a file, each up to its first answer.
    """
    kept = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        roles = [message["role"] for message in row["messages"]]
        kept.append({**row, "messages": row["messages"][: roles.index("assistant") + 1]})
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)


def stored(suite: str) -> dict[str, StoredRun]:
    """
    Load the baselines of today's version of a suite.
    """
    digest = load_suite(TREE / "suites" / suite).digest
    folders = {name: TREE / "baselines" / suite / name for name in SUITES[suite]}
    runs = {name: load_run(folder) for name, folder in folders.items() if folder.is_dir()}
    return {name: run for name, run in runs.items() if run.record.suite.digest == digest}


INTRODUCTION = """\
# A small checkpoint on the executed suites

SmolLM2-135M-Instruct as it comes (`smollm2-135m`), trained on single calls, the first answers of
the 164 training rows of rag-kb (`smollm2-135m-calls`), and trained on the whole conversations
(`smollm2-135m-kb`); each time {training}.

From single calls it learns to search and not to stop: `smollm2-135m-calls` was asked {sample} cases
drawn at random, the others all.

The runs are in `baselines/`; this page is made of them by
`python -m tests.executed_results --write docs/executed-results.md`, and they by `--make`."""

METRICS = {
    "accuracy": "accuracy",
    "answer_accuracy": "answer right",
    "recall_at_k": "recall@5",
    "reciprocal_rank": "reciprocal rank",
    "unsupported_rate": "unsupported fact",
    "goal_accuracy": "goal reached",
    "collateral_rate": "change beside it",
    "no_call_rate": "no call",
    "malformed_rate": "malformed",
    "schema_violation_rate": "schema violation",
    "steps_p50": "answers p50",
}
LOST = {
    "did not search": lambda case: not case.executed.called,
    "searched and did not find it": lambda case: case.executed.called and not case.executed.found,
    "found it and answered wrongly": lambda case: (
        case.executed.found and case.executed.answered is False
    ),
}
"""What became of a case that a document answers and that was not answered rightly."""


def page() -> str:
    """
    Spell what the committed baselines of rag-kb and phone-state come to.
    """
    found = [INTRODUCTION.format(training=spell_recipe(RECIPES[ROWS]), sample=SAMPLES[CALLS])]
    for suite in SUITES:
        runs = stored(suite)
        whole = load_suite(TREE / "suites" / suite)
        found += ["", f"## {suite} {whole.version}"]
        if not runs:
            found += ["", "Not measured yet."]
            continue
        if suite == KB:
            found += ["", FUNNEL, "", funnel(runs)]
        found += ["", metrics(runs)]
        if suite == KB and ROWS in runs:
            found += ["", *examples(runs[ROWS])]
    return "\n".join(found) + "\n"


FUNNEL = """\
Of the cases that a document answers: called at all (routing), found given called (the query that
the model wrote), answered given found (reading); shares with 95% intervals."""


def spell_recipe(recipe: Recipe) -> str:
    return (
        f"for {count(recipe.epochs, 'epoch')} of all weights,\nwith batches of "
        f"{recipe.batch_size} and learning rate {recipe.learning_rate:g}"
    )


def funnel(runs: dict[str, StoredRun]) -> str:
    rows = []
    for name, run in runs.items():
        cells = []
        for stage in passages(run.record):
            cell = f"{stage.passed}/{stage.came}"
            if stage.came:
                low, high = wilson(stage.passed, stage.came)
                share = stage.passed / stage.came
                cell += f", {share:.1%} ({100 * low:.1f} to {100 * high:.1f})"
            cells.append(cell)
        rows.append([name, *cells])
    return tabulate(rows, headers=["", "called", "found", "answered"], tablefmt="github")


def metrics(runs: dict[str, StoredRun]) -> str:
    rows = []
    for metric, title in METRICS.items():
        values = [run.record.metrics[metric] for run in runs.values()]
        if all(value.value is None for value in values):
            continue
        cells = []
        for value in values:
            if value.value is None:
                cells.append("-")
            elif value.hits is None:
                cells.append(f"{value.value:.2f}")
            else:
                cells.append(f"{100 * value.value:.1f}% of {value.eligible}")
        rows.append([title, *cells])
    aligned = ("left", *["right"] * len(runs))
    return tabulate(rows, headers=["", *runs], tablefmt="github", colalign=aligned)


def examples(run: StoredRun) -> Iterator[str]:
    """
    Yield what a checkpoint loses of the cases that a document answers, with the first of each kind.
    """
    said: dict[str, list[str]] = {}
    for key, answer in sorted(run.answers().items()):
        said.setdefault(key.case, []).append(answer.output or "")
    asked = {case.id: case for case in run.suite().cases}
    yield f"What `{run.folder.name}` loses of these cases, and the first {EXAMPLES} of each kind:"
    for title, lost in LOST.items():
        found = [case for case in run.record.cases if answerable(case) and lost(case)]
        yield ""
        yield f"**It {title}: {len(found)}**"
        rows = [
            (
                case.id,
                cell(asked[case.id].prompt),
                " / ".join(cell(query) for query in queries(case)),
                cell(said[case.id][-1]),
                ", ".join(str(part) for part in parts(asked[case.id].outcome.answer.spec)[:2]),
            )
            for case in found[:EXAMPLES]
        ]
        if rows:
            yield ""
            yield tabulate(rows, headers=["", "asked", "query", "said", "right"], tablefmt="github")


def queries(case: CaseResult) -> Iterator[str]:
    for turn in (*case.turns, *case.executed.steps):
        for call in turn.calls:
            yield str(call["arguments"].get("query", ""))


def cell(text: str) -> str:
    """
    Spell a text in a cell of a table.
    """
    line = " ".join(text.replace("<|im_end|>", "").split()).replace("|", "\\|")
    return line if len(line) <= 160 else f"{line[:159]}…"


def answerable(case: CaseResult) -> bool:
    return case.scored and case.executed is not None and bool(case.executed.relevant)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--make", nargs="*", metavar="NAME", choices=[*REASONS])
    parser.add_argument("--work", type=Path, default=Path("reports/executed-results"))
    parser.add_argument("--write", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.make is not None:
        make(arguments.work, tuple(arguments.make or REASONS))
    if arguments.write is not None:
        write_text(arguments.write, page())
    elif arguments.make is None:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
