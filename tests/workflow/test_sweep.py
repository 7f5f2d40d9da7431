"""
Several fine-tunes, each judged: which are made, and which cannot be told apart.
"""

import json
from pathlib import Path

import pytest

from harness.errors import TrainingError, UsageError
from harness.finetuning import EpochLoss, Finetuned, Recipe
from harness.workflow.sweep import Configuration, by_rows, read_sweep, sweep

from ..saved import Training


def row(number: int, tool: str) -> str:
    function = {"name": tool, "arguments": {"q": f"{number}"}}
    said = {"role": "assistant", "tool_calls": [{"type": "function", "function": function}]}
    asked = {"role": "user", "content": f"Row {number} about {tool}s."}
    return json.dumps({"messages": [asked, said]}) + "\n"


@pytest.fixture
def trained(training: Training, monkeypatch: pytest.MonkeyPatch) -> list[Configuration]:
    """
    Fine-tunes that are right in as many cases as they have rows; what was asked of them.
    """
    rows = [row(number, "inside" if number % 4 else "outside") for number in range(40)]
    Path("suites/routing/train.jsonl").write_text("".join(rows))
    Path("suites/routing/valid.jsonl").write_text(row(99, "inside"))
    made: list[Configuration] = []

    def finetune(*, base, out, rows, recipe, **_):
        made.append(Configuration(name=out.name, recipe=recipe, rows=rows))
        right = (rows or 40) if recipe.learning_rate != 1.0 else 0
        # In the folder of the training, moved to where it is asked for.
        saved = training.save(len(made) + 100, wrong=range(right, 40))
        out.parent.mkdir(exist_ok=True)
        saved.rename(out)
        losses = (EpochLoss(epoch=1, train=1.0, valid=1 / right if right else 2.0),)
        return Finetuned(folder=out, digest=out.name, losses=losses, kept_epoch=1, seconds=1.0)

    monkeypatch.setattr("harness.workflow.sweep.finetune", finetune)
    return made


def swept(configurations, **more):
    return sweep(configurations, base="hf:base", out=Path("out"), suite="routing", **more)


def test_the_fewest_rows_are_named_that_are_not_worse_than_the_best(
    trained: list[Configuration],
):
    found = swept(by_rows([38, 5, 40, 10], Recipe()))

    assert [5, 10, 38, 40] == [each.rows for each in trained]
    assert 38 == found.enough.rows, "2 of 40 are not told from 0"
    assert ["rows=40", "rows=38", "rows=10", "rows=5"] == [
        found.swept[place].configuration.name for place in found.order
    ]
    assert found.by_rows


def test_what_differs_otherwise_is_ranked_and_has_no_number_of_rows(
    trained: list[Configuration], tmp_path: Path
):
    file = tmp_path / "sweep.toml"
    file.write_text("learning_rate = [1.0, 0.5]\nepochs = [2, 3]\n")

    found = swept(read_sweep(file, Recipe()))

    assert found.enough is None
    assert [(1.0, 2), (1.0, 3), (0.5, 2), (0.5, 3)] == [
        (each.recipe.learning_rate, each.recipe.epochs) for each in trained
    ]
    best, other, *_ = found.ranking.places
    assert (1,) == best.alike
    assert (0,) == other.alike
    assert "learning_rate=0.5,epochs=2" == found.swept[found.order[0]].configuration.name
    assert "learning_rate-0.5_epochs-2" == found.swept[found.order[0]].trained.folder.name


def test_a_rank_of_nought_trains_all_weights_at_their_usual_rate(tmp_path: Path):
    file = tmp_path / "sweep.toml"
    file.write_text("lora_rank = [0, 8]\n")

    whole, adapter = read_sweep(file, Recipe(epochs=3))
    given, _ = read_sweep(file, Recipe(learning_rate=0.7))

    assert (None, 5e-5, 3) == (
        whole.recipe.lora_rank,
        whole.recipe.learning_rate,
        whole.recipe.epochs,
    )
    assert (8, 1e-3) == (adapter.recipe.lora_rank, adapter.recipe.learning_rate)
    assert 0.7 == given.recipe.learning_rate


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs = [2, 3", "sweep.toml: "),
        ("learningrate = [1.0, 2.0]", "unknown setting 'learningrate'; did you mean"),
        ("epochs = [2]", "no setting has several values"),
        ("epochs = []", "lists no value, or one twice"),
        ("epochs = [2, 2]", "lists no value, or one twice"),
        ("epochs = [2, 2.5]", "epochs 2.5 is not a whole number"),
        ("rows = [0, 2]", "rows 0 is not"),
        ("epochs = [0, 2]", "epochs is 0; it must be more than 0"),
    ],
)
def test_a_file_that_is_wrong_is_named_before_anything_is_trained(
    tmp_path: Path, text: str, said: str
):
    file = tmp_path / "sweep.toml"
    file.write_text(text)

    with pytest.raises(UsageError) as caught:
        read_sweep(file, Recipe())

    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_what_cannot_be_trained_is_refused_before_anything_is(trained: list[Configuration]):
    with pytest.raises(TrainingError, match="there are 40 rows to train on, not 41"):
        swept(by_rows([5, 41], Recipe()))
    with pytest.raises(UsageError, match="nothing to compare"):
        swept(by_rows([5, 5], Recipe()))
    Path("suites/routing/train.jsonl").write_text(
        row(1, "inside").replace("Row 1 about insides", "Ask about c7")
    )
    with pytest.raises(TrainingError, match="its prompt is a case of the suite"):
        swept(by_rows([1, 2], Recipe()), train=Path("suites/routing/train.jsonl"))
    assert [] == trained
