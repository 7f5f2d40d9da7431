"""
The record of how a checkpoint was trained: training.json, README.md, curves.png.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.finetuning.curves import training_panels, write_picture
from harness.finetuning.declarations import DECLARATIONS
from harness.finetuning.recipe import Recipe
from harness.finetuning.result import TRAINING, Finetuned
from harness.finetuning.split import Split

PICTURE = "curves.png"


def training_document(
    result: Finetuned,
    *,
    base: str,
    base_digests: Mapping[str, str | None],
    data: Mapping[str, Any],
    recipe: Recipe,
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
    (folder / "README.md").write_text(card(document, example), encoding="utf-8")
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / TRAINING).write_text(text, encoding="utf-8")


def card(document: Mapping[str, Any], example: str) -> str:
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
        f"![training and validation loss]({PICTURE})",
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


def _validated(data: Mapping[str, Any]) -> str:
    """
    Return how many rows were validated on, and how they were chosen, if by us.
    """
    stored = data["split"]
    return f"{data['valid_rows']} rows" if stored is None else str(Split.from_json(stored))
