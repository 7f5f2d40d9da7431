"""
The contract of backends, held by every one of this package; and finding one by its scheme.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.backends.base import BackendOptions
from harness.backends.registry import open_backend
from harness.checkpoints.reference import SCHEMES
from harness.errors import BackendError, CheckpointError
from harness.testing import BackendContract
from harness.testing.backends import KEYS
from harness.transcript import Transcript

from ..stand_in_vllm import install
from .fault_server import fault_server


class TestTransformers(BackendContract):
    @pytest.fixture
    def reference(self, tiny_model: Path) -> str:
        return str(tiny_model)


class TestContinuous(BackendContract):
    @pytest.fixture
    def reference(self, tiny_model: Path) -> str:
        return f"continuous:{tiny_model}"


class TestVllm(BackendContract):
    options = BackendOptions(dtype="float32", batch_size=3)

    @pytest.fixture
    def reference(self, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        install(monkeypatch)
        return f"vllm:{tiny_model}"


class TestReplay(BackendContract):
    timed = False

    @pytest.fixture
    def reference(self, tmp_path: Path) -> str:
        lines = [Transcript(key=key, message={"role": "assistant", "content": "x"}) for key in KEYS]
        path = tmp_path / "answers.jsonl"
        path.write_text("".join(json.dumps(line.to_json()) + "\n" for line in lines))
        return f"replay:{path}"


class TestPython(BackendContract):
    @pytest.fixture
    def reference(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        (tmp_path / "toymodel.py").write_text(
            "def echo(messages, tools):\n"
            "    return {'role': 'assistant', 'content': messages[-1]['content'].upper()}\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        return "python:toymodel:echo"


class TestOpenai(BackendContract):
    options = BackendOptions(batch_size=3)

    @pytest.fixture
    def reference(self) -> Iterator[str]:
        with fault_server() as server:
            yield f"openai:cand@{server.url}"


class TestCompletions(BackendContract):
    @pytest.fixture(autouse=True)
    def with_tokenizer(self, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        options = BackendOptions(batch_size=3, tokenizer=str(tiny_model))
        monkeypatch.setattr(type(self), "options", options)

    @pytest.fixture
    def reference(self) -> Iterator[str]:
        with fault_server() as server:
            yield f"completions:cand@{server.url}"


def test_every_backend_is_held_to_the_contract():
    tested = {"hf", "continuous", "vllm", "replay", "python", "openai", "completions"}
    tested.add("llamacpp")  # tests/engines: it needs a real file
    targets = dict(SCHEMES.built_in)

    assert set(targets.values()) == {targets[scheme] for scheme in tested}, "add a class above"


def test_an_unknown_folder_is_an_error_of_the_checkpoint():
    with pytest.raises(CheckpointError, match="no such folder"):
        open_backend("no/such/folder", BackendOptions(device="cpu"))


def test_an_installed_backend_serves_its_scheme(installed: Callable[..., None]):
    installed("harness.backends", toy="builtins:repr")

    with pytest.raises(BackendError, match="toy:x cannot be opened"):
        open_backend("toy:x", BackendOptions())


def test_a_backend_that_cannot_be_imported_is_named(installed: Callable[..., None]):
    installed("harness.backends", toy="no_such_module:open")

    with pytest.raises(BackendError, match=r"backend 'toy' \(no_such_module:open"):
        open_backend("toy:x", BackendOptions())
