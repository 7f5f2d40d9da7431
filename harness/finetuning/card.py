"""
The record of how a checkpoint was trained: training.json, README.md, curves.png.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.finetuning.curves import SHOWN, training_panels, write_picture
from harness.finetuning.declarations import DECLARATIONS
from harness.finetuning.recipe import EvaluationPlan, Recipe
from harness.finetuning.result import TRAINING, EpochMetrics, Finetuned
from harness.finetuning.split import Split
from harness.runs.record import MetricValue
from harness.scoring.metrics import METRICS
from harness.wording import count, percent, plain

PICTURE = "curves.png"


def training_document(
    result: Finetuned,
    *,
    base: str,
    base_digests: Mapping[str, str | None],
    data: Mapping[str, Any],
    recipe: Recipe,
    evaluation: EvaluationPlan | None = None,
    precision: str,
    declarations: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """
    Return the content of training.json.
    """
    return {
        "format": 1,
        "digest": result.digest,
        "base": base,
        "base_digests": dict(base_digests),
        "data": dict(data),
        DECLARATIONS: dict(declarations),
        "recipe": recipe.to_json(),
        "precision": precision,
        "valid_before": result.valid_before,
        "losses": [asdict(loss) for loss in result.losses],
        "evaluation": evaluation and evaluation.to_json() | {"name": evaluation.suite.name},
        "evaluated": [asdict(each) for each in result.evaluated],
        "selected": result.selected and result.selected.to_json(),
        "warning": result.warning,
        "best_epoch": result.best_epoch,
        "kept_epoch": result.kept_epoch,
        "seconds": round(result.seconds, 1),
        "environment": dict(environment),
    }


def write_card(folder: Path, result: Finetuned, document: Mapping[str, Any], example: str) -> None:
    """
    Write the card, the curves and the numbers into *folder*, training.json last.
    """
    panels = training_panels(result)
    write_picture(folder / PICTURE, panels, title=document["base"], kept=result.kept_epoch)
    (folder / "README.md").write_text(card(result, document, example), encoding="utf-8")
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / TRAINING).write_text(text, encoding="utf-8")


def card(result: Finetuned, document: Mapping[str, Any], example: str) -> str:
    """
    Write the model card, with the metadata block the Hugging Face hub reads.
    """
    base, data, recipe = document["base"], document["data"], document["recipe"]
    environment, before = document["environment"], document["valid_before"]
    adapter = recipe["lora_rank"] is not None and not recipe["merge"]
    _, colon, target = base.partition(":")
    # The hub accepts only its own names as a base.
    on_hub = base.startswith("hf:") and not Path(target).is_absolute()
    lines = [
        "---",
        *([f"base_model: {target.partition('@')[0]}"] if colon and on_hub else []),
        f"library_name: {'peft' if adapter else 'transformers'}",
        "pipeline_tag: text-generation",
        "tags: [function-calling, sft, trl]",
        "---",
        "",
        f"# {base}, tuned to call tools",
        "",
        f"Trained with TRL's SFTTrainer by toolcall-harness on {data['train_rows']} conversations, "
        "with the loss on the assistant's tokens alone.",
        "",
        f"- base: `{base}`",
        *(f"- base {name}: `{value}`" for name, value in document["base_digests"].items() if value),
        f"- training data: {data['train_rows']} rows, `{data['train']}`",
        f"- validation data: {_validated(data)}, `{data['valid']}`",
        *(
            f"- declarations shown in {entry['rows']} rows: `{name}` "
            f"({', '.join(entry['tools']) or 'no tools'})"
            for name, entry in document[DECLARATIONS].items()
        ),
        f"- seed: {recipe['seed']}",
        f"- digest of base, data and recipe: `{document['digest']}`",
        f"- commit: `{environment['commit'] or 'unknown'}`"
        + (" with uncommitted changes" if environment["dirty"] else ""),
        "",
        "## Recipe",
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in recipe.items()),
        "| learning rate schedule | constant |",
        "| optimizer | AdamW, fused, weight decay 0 |",
        "| gradient clipping | norm 1 |",
        "| packing | no |",
        f"| precision | {document['precision']} |",
        "",
        "## Loss",
        "",
        f"![what changed while it was trained]({PICTURE})",
        "",
        "| epoch | training | validation |",
        "|---|---|---|",
        *([f"| before | | {before:.4f} |"] if before is not None else []),
        *(
            f"| {loss['epoch']} | {loss['train']:.4f} | {loss['valid']:.4f} |"
            for loss in document["losses"]
        ),
        "",
        f"The weights are those after epoch {document['kept_epoch']}; validation loss was lowest "
        f"after epoch {document['best_epoch']}.",
        "",
        *_evaluated(result, document["evaluation"]),
        *([f"Warning: {document['warning']}.", ""] if document["warning"] else []),
        "## One training example, as the model sees it",
        "",
        "````text",
        example,
        "````",
        "",
        "## Versions",
        "",
        f"Python {environment['python']}, "
        + ", ".join(f"{name} {version}" for name, version in environment["packages"].items()),
        "",
    ]
    return "\n".join(lines)


def _evaluated(result: Finetuned, plan: Mapping[str, Any] | None) -> list[str]:
    """
    Return the section about the suite that was asked while training.
    """
    if plan is None or not result.evaluated:
        return []
    names = shown_metrics(result.evaluated)
    of = max(each.metrics["accuracy"].eligible for each in result.evaluated)
    about = (
        f"Suite `{plan['name']}` (`{plan['suite']}`), {count(of, 'case')} after each evaluation."
    )
    if (selected := result.selected) is not None:
        looked = count(len(selected.rates), "evaluation")
        about = (
            f"Suite `{plan['name']}` (`{plan['suite']}`). {looked} were looked at to choose the "
            f"weights: {selected}. The figures are of the {of} other cases, which chose nothing."
        )
    return [
        "## What the suite measures",
        "",
        about,
        "",
        f"| epoch | {' | '.join(METRICS[name].title for name in names)} |",
        f"|---|{'---|' * len(names)}",
        *(
            f"| {each.epoch:g}{' (kept)' if each.epoch == result.kept_epoch else ''} | "
            + " | ".join(figure(each.metrics[name]) for name in names)
            + " |"
            for each in result.evaluated
        ),
        "",
    ]


def shown_metrics(evaluated: Sequence[EpochMetrics]) -> list[str]:
    """
    Return the names of the metrics that are shown of evaluations: of `SHOWN` those with a value.
    """
    return [
        name
        for names in SHOWN
        for name in names
        if any(name in each.metrics and each.metrics[name].value is not None for each in evaluated)
    ]


def figure(found: MetricValue) -> str:
    """
    Return a metric's value in words, with its interval where it has one.
    """
    if found.value is None:
        return "-"
    if found.low is None or found.high is None:
        return plain(float(found.value))
    return f"{percent(float(found.value))} ({percent(found.low)} to {percent(found.high)})"


def _validated(data: Mapping[str, Any]) -> str:
    """
    Return how many rows were validated on, and how they were chosen, if by us.
    """
    stored = data["split"]
    return f"{data['valid_rows']} rows" if stored is None else str(Split.from_json(stored))
