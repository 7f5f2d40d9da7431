"""
``harness checkpoints`` as a user runs it.
"""

import json
import shutil
from pathlib import Path

import pytest

import harness
from harness.cli.main import main

from ..builders import question, write_suite
from ..saved import Training

WORDS = ["checkpoints", "trained", "--suite", "routing"]


@pytest.fixture
def three(training: Training) -> Training:
    good = training.save(9)
    harness.run("routing", str(good), out=Path("shipped"))
    shutil.rmtree(good)
    training.opened.clear()
    training.save(1, wrong=range(30))
    training.save(2, twice=(20, 21, 22))
    cut = training.save(3) / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-1])
    training.save(4, losses=[(1, 0.5), (2, 0.1), (4, 0.2)])
    return training


def test_checkpoints_are_shown_with_the_one_to_keep_and_the_next_command(
    three: Training, capsys: pytest.CaptureFixture[str]
):
    assert 0 == main([*WORDS, "--baseline", "shipped"])
    said = capsys.readouterr()

    keep = "keep checkpoint-2: accuracy 92.5% (80.1–97.4%), not told apart from the highest, "
    assert f"{keep}checkpoint-4 with 100.0%" in said.out.replace("\n", " ")
    assert "first to pass the gate against shipped: checkpoint-4" in said.out
    assert "checkpoint-3: skipped: " in said.err
    assert "asked 3 of 3 checkpoints\n" in said.out
    *_, last = said.out.splitlines()
    assert last.startswith("next: `harness gate reports/routing/checkpoints/checkpoint-4-")
    assert 0 == main(last.removeprefix("next: `harness ").removesuffix("`").split())


def test_the_page_and_the_json_say_the_same(three: Training, capsys: pytest.CaptureFixture[str]):
    assert 0 == main([*WORDS, "--quiet", "--html", "page.html", "--json", "-"])

    data = json.loads(capsys.readouterr().out)
    page = Path("page.html").read_text("utf-8")
    assert ("checkpoint-2", "checkpoint-4", None) == (
        data["best"],
        data["highest"],
        data["first_passing"],
    )
    assert [1, 2, 4] == [each["step"] for each in data["checkpoints"]]
    assert 0.25 == data["checkpoints"][0]["metrics"]["accuracy"]["value"]
    assert {"checkpoint-3"} == data["skipped"].keys()
    assert "<svg" in page
    assert "checkpoint-3" in page
    assert "keep <bdi>checkpoint-2</bdi>" in page


def test_a_running_training_is_followed(three: Training, capsys: pytest.CaptureFixture[str]):
    three.save(5, last=5)

    assert 0 == main([*WORDS, "--watch", "--html", "page.html"])

    said = capsys.readouterr()
    assert "checkpoint-2: accuracy 92.5%" in said.err
    assert "checkpoint-5: accuracy 100.0%" in said.err
    assert "keep checkpoint-2" in said.out
    assert '<th scope="row">5</th>' in Path("page.html").read_text("utf-8")


def test_a_bisection_says_between_which_two_and_what_it_took(
    training: Training, capsys: pytest.CaptureFixture[str]
):
    for step in range(1, 9):
        training.save(step, wrong=(7,) if step > 5 else ())

    assert 1 == main([*WORDS, "--bisect", "c7"])

    said = capsys.readouterr().out
    assert "c7 broke between checkpoint-5 and checkpoint-6\n" in said
    assert "asked 5 of 8 checkpoints" in said
    assert 0 == main([*WORDS, "--bisect", "c8", "--json", "-"])
    assert json.loads(capsys.readouterr().out)["bad"] is None
    assert 2 == main([*WORDS, "--bisect", "c8", "--watch"])


def test_the_adapters_of_a_plain_trainer_are_judged(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """
    Of transformers' own Trainer, with LoRA and without a tokenizer: four checkpoints, one cut off.
    """
    write_suite(tmp_path, [question("c1"), question("c2")], name="routing")
    monkeypatch.chdir(tmp_path)
    train_plainly(tiny_model, tmp_path / "trained")
    weights = tmp_path / "trained" / "checkpoint-3" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    words = [*WORDS, "--max-new-tokens", "4", "--html", "page.html", "--json", "-", "--quiet"]

    capsys.readouterr()

    assert 0 == main(words)
    first = json.loads(capsys.readouterr().out)
    assert 0 == main(words)
    again = json.loads(capsys.readouterr().out)

    names = ["checkpoint-1", "checkpoint-2", "checkpoint-4"]
    assert names == [each["name"] for each in first["checkpoints"]]
    assert ["checkpoint-3"] == list(first["skipped"])
    assert [True] * 3 == [each["asked"] for each in first["checkpoints"]]
    assert [False] * 3 == [each["asked"] for each in again["checkpoints"]]
    assert [1, 2, 3, 4] == [step for step, _ in first["log"]["train"]]
    assert "training" in Path("page.html").read_text("utf-8")


def train_plainly(base: Path, out: Path) -> None:
    import peft
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    torch.manual_seed(0)
    model = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    row = {"input_ids": [5, 6, 7, 8], "labels": [5, 6, 7, 8], "attention_mask": [1] * 4}
    settings = TrainingArguments(
        output_dir=str(out),
        max_steps=4,
        save_steps=1,
        logging_steps=1,
        per_device_train_batch_size=1,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )
    Trainer(model=model, args=settings, train_dataset=Dataset.from_list([row] * 4)).train()
