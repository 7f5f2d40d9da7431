"""
docs/finetune.md: its rows are rows, its defaults are the defaults, and its messages are ours.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from harness.finetuning import EpochLoss, Finetuned, Recipe, read_rows, split_off
from harness.finetuning.recipe import LORA_LEARNING_RATE, LORA_RANK
from harness.runs.store import load_run
from harness.suites.files import load_suite

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "finetune.md").read_text("utf-8")
SUITE = ROOT / "suites" / "tool-routing"


def test_the_rows_of_the_page_are_read(tmp_path: Path):
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "rows.jsonl").write_text(text)

    call, chat, history = read_rows(tmp_path / "rows.jsonl", tools=load_suite(SUITE).tools)

    assert ["search_google"] == [one.name for one in call.messages[-1].tool_calls]
    assert () == chat.messages[-1].tool_calls
    assert {1} == history.history


@pytest.mark.parametrize(
    ("option", "default"),
    [
        ("`--epochs`", Recipe().epochs),
        ("`--batch-size`", Recipe().batch_size),
        ("`--learning-rate`", Recipe().learning_rate),
        ("`--learning-rate` with LoRA", LORA_LEARNING_RATE),
        ("`--lora-rank`", LORA_RANK),
        ("`--max-length`", Recipe().max_length),
        ("`--keep`", Recipe().keep),
        ("`--seed`", Recipe().seed),
    ],
)
def test_the_defaults_of_the_page_are_the_defaults(option: str, default: object):
    assert f"\n| {option} | {default} | " in PAGE


@pytest.mark.model
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*pin_memory:UserWarning")
def test_the_script_of_the_page_trains_the_embedded_model_and_asks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for long, short in (
        ("num_train_epochs=8", "num_train_epochs=2"),
        ("range(16)", "range(2)"),
        ("range(16, 20)", "range(2, 3)"),
        ("limit=60", "limit=2"),
    ):
        assert long in script
        script = script.replace(long, short)
    (tmp_path / "suites").symlink_to(ROOT / "suites")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}

    exec(compile(script, "finetune.md", "exec"), names)

    trainer = names["trainer"]
    runs = [load_run(tmp_path / "reports/sft/evaluations" / f"epoch-0{n}") for n in (1, 2)]
    accuracy = [run.record.metrics["tool_accuracy"].value for run in runs]
    assert max(accuracy) == trainer.state.best_metric
    logged = [entry for entry in trainer.state.log_history if "eval_tool_accuracy" in entry]
    assert accuracy == [entry["eval_tool_accuracy"] for entry in logged]
    assert {2} == {len(run.record.cases) for run in runs}


def test_the_split_of_the_page_is_that_of_the_suite():
    suite = load_suite(SUITE)
    rows = read_rows(SUITE / "train.jsonl", tools=suite.tools, system=suite.system)

    _, _, split = split_off(rows, seed=Recipe().seed)

    assert f"`{split}`" in PAGE


def test_the_warning_of_the_page_is_that_of_its_figures():
    losses = (EpochLoss(epoch=1, train=1.0, valid=0.5741),)
    result = Finetuned(
        folder=Path("x"), digest="", losses=losses, kept_epoch=1, seconds=1.0, valid_before=1.5806
    )

    assert f"\nwarning: {result.warning}\n" in PAGE
    assert "**more than a quarter**" in PAGE


def test_the_bias_of_the_page_is_within_its_bounds():
    table = PAGE.partition("<!-- selection: simulated -->")[2].partition("<!--")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if "±" in line]

    assert 3 == len(rows)
    for *_, highest, _, reported in rows:
        assert float(highest.split(" ± ")[0]) > 1.5
        assert abs(float(reported.split(" ± ")[0])) < 0.5


def measured(mark: str) -> list[list[str]]:
    """
    Return the rows of a table of the page that was measured, without its heads.
    """
    table = PAGE.partition(f"<!-- {mark}: measured -->")[2].partition("<!--")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [row for row in rows if len(row) > 1][2:]


def test_what_is_kept_on_the_page_follows_from_its_own_tables():
    epochs = measured("epochs")
    by_loss = min(epochs, key=lambda row: float(row[1]))[0]
    kept = {row[1]: row[2] for row in measured("recipes")[:3]}

    assert 8 == len(epochs)
    assert by_loss == kept["least loss"]
    assert "8" == kept["last"]
    assert f"The loss is lowest after epoch {by_loss}," in PAGE
