"""
The step that trains a checkpoint: where its result goes, and that the cache changes no rule.
"""

import json
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.errors import TrainingError, UsageError
from harness.finetuning import Finetuned
from harness.workflow.options import Progress


def row(query: str) -> str:
    call = {"type": "function", "function": {"name": "search", "arguments": {"query": query}}}
    user = {"role": "user", "content": f"find {query}"}
    return json.dumps({"messages": [user, {"role": "assistant", "tool_calls": [call]}]}) + "\n"


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "suites" / "find"
    folder.mkdir(parents=True)
    query = {"type": "object", "properties": {"query": {"type": "string"}}}
    asks(folder, "find the harbour", tools=[{"name": "search", "parameters": query}])
    (folder / "train.jsonl").write_text(row("a cat") + row("the sun"))
    (folder / "valid.jsonl").write_text(row("a dog"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return folder


def asks(folder: Path, prompt: str, **more: Any) -> None:
    file = folder / "suite.yaml"
    case = {"id": "one", "prompt": prompt, "expect": {"abstain": True}}
    kept = json.loads(file.read_text()) if file.exists() else {}
    suite = {"format": 1, "name": "find", "version": "1.0.0", **kept, **more, "cases": [case]}
    file.write_text(json.dumps(suite))


@pytest.mark.parametrize("where", [{}, {"out": Path("made"), "cache": True}])
def test_a_fine_tune_goes_to_one_place(suite: Path, where: dict[str, Any]):
    with pytest.raises(UsageError, match="say where the result goes"):
        harness.finetune(base="hf:nowhere", suite="find", **where)


def test_a_fine_tune_in_the_cache_is_made_once_and_held_to_what_the_suite_asks_now(
    suite: Path, tiny_model: Path, tmp_path: Path
):
    said: list[str] = []

    def finetune() -> Finetuned:
        return harness.finetune(
            base=f"hf:{tiny_model}",
            suite="find",
            cache=True,
            recipe=harness.Recipe(epochs=1, max_length=2048),
            progress=Progress(notify=said.append),
        )

    first = finetune()
    weights = (first.folder / "model.safetensors").stat().st_mtime_ns
    begun = [text for text in said if text.startswith("fine-tuning hf:")]
    second = finetune()

    assert tmp_path / "cache" / "finetuned" == first.folder.parent
    assert [f"fine-tuning hf:{tiny_model} on 2 rows, to be kept in {first.folder}"] == begun
    assert begun == [text for text in said if text.startswith("fine-tuning hf:")]
    assert first == second
    assert weights == (first.folder / "model.safetensors").stat().st_mtime_ns
    asks(suite, "find a cat")
    with pytest.raises(TrainingError, match=r"train\.jsonl:1"):
        finetune()
