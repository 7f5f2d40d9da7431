"""
A model that was checked is not checked again, unless anything is different about it.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.backends import transformers as backends
from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.engine import attention, memory
from harness.backends.transformers import TransformersBackend
from harness.checkpoints.reference import parse_reference
from harness.messages import Message, Tool
from harness.transcript import Key, Transcript

TOOL = Tool.from_schema({"name": "search", "description": "Search."})
GENERATION = Generation(max_new_tokens=4)


@pytest.fixture(autouse=True)
def remembered(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    The cache of a test, empty at first.
    """
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(memory, "cache_folder", lambda: folder)
    return folder


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """
    How many tokens each check of a model reached.
    """
    made: list[int] = []
    check = backends.agreement

    def counted(model: Any, engine: Any, prompts: Any, reach: int) -> Any:
        made.append(reach)
        return check(model, engine, prompts, reach)

    monkeypatch.setattr(backends, "agreement", counted)
    return made


def answers(folder: Path, *, words: int = 4, **options: Any) -> list[Transcript]:
    """
    Return what a checkpoint answers, opened anew.
    """
    opened = TransformersBackend.open(
        parse_reference(str(folder)), BackendOptions(device="cpu", **options)
    )
    requests = [
        Request(
            key=Key(f"case-{n}"),
            messages=(Message(role="user", content=" ".join(["policy"] * (words + n))),),
            tools=(TOOL,),
        )
        for n in range(3)
    ]
    return [each for group in opened.answer(requests, GENERATION) for each in group]


def test_an_equal_checkpoint_is_checked_once(tiny_model: Path, tmp_path: Path, checks: list[int]):
    copied = shutil.copytree(tiny_model, tmp_path / "elsewhere")

    first = answers(tiny_model)

    assert first == answers(tiny_model) == answers(copied)
    assert 1 == len(checks)


def test_longer_prompts_are_checked_for(tiny_model: Path, checks: list[int]):
    for words in (4, 40, 4, 40):
        answers(tiny_model, words=words)

    assert 2 == len(checks)
    assert checks[0] < checks[1]


def change_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    (file,) = folder.glob("model*.safetensors")
    weights = load_file(file)
    name = min(weights)
    save_file({**weights, name: weights[name] + 1e-3}, file, {"format": "pt"})


def change_config(folder: Path) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**config, "rms_norm_eps": 1e-4}), "utf-8")


def change_template(folder: Path) -> None:
    file = folder / "chat_template.jinja"
    file.write_text(file.read_text("utf-8") + "{# changed #}", "utf-8")


@pytest.mark.parametrize("change", [change_weights, change_config, change_template])
def test_another_model_is_checked(
    tiny_model: Path, tmp_path: Path, checks: list[int], change: Callable[[Path], None]
):
    changed = shutil.copytree(tiny_model, tmp_path / "changed")
    change(changed)

    answers(tiny_model)
    answers(changed)

    assert 2 == len(checks)


def test_another_dtype_is_checked(tiny_model: Path, checks: list[int]):
    answers(tiny_model)
    answers(tiny_model, dtype="bfloat16")

    assert 2 == len(checks)


def test_another_version_of_the_engine_is_checked(
    tiny_model: Path, checks: list[int], monkeypatch: pytest.MonkeyPatch
):
    answers(tiny_model)
    monkeypatch.setattr(memory, "_code", lambda: "another")

    answers(tiny_model)

    assert 2 == len(checks)


def test_a_damaged_memory_is_made_again(tiny_model: Path, remembered: Path, checks: list[int]):
    answers(tiny_model)
    (file,) = remembered.rglob("*.json")

    for damage in ("", "{", "[1, 2]", '{"tokens": "many", "near_tie": 0.1}'):
        file.write_text(damage, "utf-8")
        answers(tiny_model)

    assert 5 == len(checks)
    assert {"tokens", "near_tie"} == json.loads(file.read_text("utf-8")).keys()


def test_a_model_that_was_refuted_says_so_each_time(
    tiny_model: Path, checks: list[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attention.Prefill, "positions", property(lambda self: self._slot))

    for _ in range(2):
        said: list[str] = []
        answers(tiny_model, notify=said.append)
        assert "left-padded batches: logits differ" in said[-1]

    assert 2 == len(checks)
