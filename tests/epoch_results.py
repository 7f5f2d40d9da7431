"""
The demo's training, epoch by epoch: what the loss says, what the suite says, and which epoch each
of them would keep; and what other recipes make of the same rows.

    python -m tests.epoch_results --out reports/epochs --write docs/finetune.md

trains what is not in the folder yet, a quarter of an hour for each recipe on two cores, with all
cases of tool-routing asked while it is trained, and writes the tables of the page. Beside them the
prompts of valid.jsonl are asked: their loss is looked at, but no epoch is chosen by their answers.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from harness.canonical import canonical_json
from harness.cli.progress import say, watching
from harness.errors import StoreError
from harness.finetuning import Finetuned, Recipe, ToolCallEvaluation, sft_trainer
from harness.finetuning.selection import Halves, halves, measured, select_epoch
from harness.runs.record import MetricValue, RunRecord
from harness.runs.store import load_run
from harness.suites.files import load_suite
from harness.suites.suite import Suite
from harness.wording import percent
from harness.workflow.finetune import finetune
from harness.workflow.project import open_project
from tests.benchmarks.ways import write

TREE = Path(__file__).parent.parent
SUITE = TREE / "suites" / "tool-routing"
BASE = "embedded:smollm2-135m"
BY = "tool_accuracy"
TAGS = ("plain", "ambiguous")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """
    A recipe, and after how many steps the suite is asked; None: after each epoch.
    """

    recipe: Recipe
    every: int | None = None


DEFAULT = "default"
TRIED: Mapping[str, Tried] = {
    DEFAULT: Tried(recipe=Recipe()),
    "epochs16": Tried(recipe=Recipe(epochs=16), every=20),
    "lr1e-4": Tried(recipe=Recipe(learning_rate=1e-4, epochs=12), every=10),
    "lora": Tried(recipe=Recipe(lora_rank=16, epochs=12), every=20),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """
    A fine-tune with the runs of each evaluation: of the suite, and of the prompts kept apart.
    """

    recipe: Recipe
    result: Finetuned
    runs: tuple[RunRecord, ...]
    apart: tuple[RunRecord, ...]

    @property
    def least_loss(self) -> int:
        """
        The place of the evaluation with the lowest validation loss.
        """
        losses = [each.valid for each in self.result.losses]
        return losses.index(min(losses))

    def __str__(self) -> str:
        recipe, kind = self.recipe, "all weights"
        if recipe.lora_rank is not None:
            kind = f"LoRA of rank {recipe.lora_rank}"
        return f"{kind}, learning rate {recipe.learning_rate:g}, {recipe.epochs} epochs"


def kept_apart(folder: Path) -> Suite:
    """
    Return the prompts of valid.jsonl as a suite, written to *folder*.
    """
    folder.mkdir(parents=True, exist_ok=True)
    head = (SUITE / "suite.yaml").read_text("utf-8")
    (folder / "suite.yaml").write_text(head.replace("name: tool-routing", "name: apart"), "utf-8")
    (folder / "tools.json").write_text((SUITE / "tools.json").read_text("utf-8"), "utf-8")
    lines = []
    for number, row in enumerate((SUITE / "valid.jsonl").read_text("utf-8").splitlines(), 1):
        asked, answered = json.loads(row)["messages"]
        called = answered["tool_calls"][0]["function"]["name"]
        case = {
            "id": f"v-{number:02}",
            "prompt": asked["content"],
            "expect": {"calls": [{"tool": called, "arguments": {}}]},
        }
        lines.append(canonical_json(case) + "\n")
    (folder / "cases.jsonl").write_text("".join(lines), "utf-8")
    return load_suite(folder)


def train(name: str, tried: Tried, out: Path) -> Trained:
    """
    Return the fine-tune of this name, made or read.
    """
    from transformers import TrainerCallback

    asking = ToolCallEvaluation(kept_apart(out / "apart"), out=out / f"{name}-apart")

    class Beside(TrainerCallback):
        """
        Asks without a word to the trainer: what it finds can choose nothing.
        """

        def on_evaluate(
            self, args: Any, state: Any, control: Any, model: Any, processing_class: Any, **_: Any
        ) -> None:
            asking.evaluate(model, processing_class, step=state.global_step, epoch=state.epoch)

    made = sft_trainer._callbacks
    sft_trainer._callbacks = lambda *given: [Beside(), *made(*given)]
    try:
        with watching(name) as progress:
            result = finetune(
                project=open_project(TREE),
                base=BASE,
                suite=SUITE.name,
                out=out / name,
                recipe=tried.recipe,
                evaluate=SUITE.name,
                every=tried.every,
                resume=True,
                tensorboard=False,
                progress=progress,
            )
    finally:
        sft_trainer._callbacks = made
    apart = [
        load_run(path.parent).record for path in sorted((out / f"{name}-apart").glob("*/run.json"))
    ]
    if len(apart) != len(result.evaluated):
        raise StoreError(f"{out / name}: not every epoch was asked what is apart; remove it")
    return Trained(
        recipe=tried.recipe,
        result=result,
        runs=tuple(load_run(result.folder / each.run).record for each in result.evaluated),
        apart=tuple(apart),
    )


def epochs(trained: Trained, suite: Suite) -> str:
    """
    Return the table of a fine-tune, epoch by epoch.
    """
    heads = ("epoch", "validation loss", "right tool", "second calls", *TAGS, "valid.jsonl")
    rows = []
    for loss, run, apart in zip(trained.result.losses, trained.runs, trained.apart, strict=True):
        rows.append(
            [
                f"{loss.epoch:g}",
                f"{loss.valid:.4f}",
                share(run.metrics[BY]),
                share(run.metrics["second_call_rate"]),
                *(share(measured(run, ids)["accuracy"]) for ids in tagged(suite).values()),
                of(apart.metrics[BY]),
            ]
        )
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)


def kept(trained: list[Trained], suite: Suite) -> str:
    """
    Return the table of which epoch would be kept, and what it scores on the cases that chose none.
    """
    split = halves(suite.cases, seed=Recipe().seed)
    heads = ("recipe", "kept by", "epoch", "right tool", *TAGS, "valid.jsonl")
    rows = []
    for each in trained:
        ours = select_epoch(each.runs, split, by=BY).kept
        for how, place in {
            "least loss": each.least_loss,
            f"`{BY}`": ours,
            "last": len(each.runs) - 1,
        }.items():
            epoch = each.result.losses[place].epoch
            scores = on_the_rest(each.runs[place], split, suite)
            rows.append([each, how, f"{epoch:g}", *scores, of(each.apart[place].metrics[BY])])
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)


def on_the_rest(run: RunRecord, split: Halves, suite: Suite) -> Iterator[str]:
    """
    Yield what one epoch has on the cases that chose nothing.
    """
    found = measured(run, split.report)[BY]
    yield f"{share(found)}, {percent(found.low or 0.0)} to {percent(found.high or 0.0)}"
    for ids in tagged(suite).values():
        yield share(measured(run, set(split.report) & set(ids))["accuracy"])


def tagged(suite: Suite) -> dict[str, list[str]]:
    """
    Return the ids of the cases with each of the tags.
    """
    return {tag: [case.id for case in suite.cases if tag in case.tags] for tag in TAGS}


def share(found: MetricValue) -> str:
    """
    Return a rate with its count.
    """
    return "-" if found.value is None else f"{percent(found.value)} ({of(found)})"


def of(found: MetricValue) -> str:
    """
    Return the count of a rate.
    """
    return f"{found.hits} of {found.eligible}"


def main() -> None:
    """
    Train, and write the tables into the page.
    """
    parser = argparse.ArgumentParser(description="the demo's training, epoch by epoch")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--only", nargs="+", choices=TRIED, default=list(TRIED), metavar="NAME")
    arguments = parser.parse_args()
    suite, trained = load_suite(SUITE), {}
    for name in arguments.only:
        trained[name] = train(name, TRIED[name], arguments.out)
        say(f"{name}: {trained[name]}\n{epochs(trained[name], suite)}")
    table = kept(list(trained.values()), suite)
    say(table)
    if arguments.write is not None:
        write(arguments.write, f"\n{epochs(trained[DEFAULT], suite)}\n\n", "epochs: measured")
        write(arguments.write, f"\n{table}\n\n", "recipes: measured")


if __name__ == "__main__":
    main()
