"""
vLLM on real weights: ``tox -e engines``, or wherever it is installed.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.backends.base import Backend, BackendOptions, Generation
from harness.backends.registry import open_backend
from harness.runs.runner import request
from harness.suites.files import load_suite
from harness.testing import BackendContract
from harness.transcript import Key, Transcript

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
]

TREE = Path(__file__).parent.parent.parent
OPTIONS = BackendOptions(dtype="float32")
GENERATION = Generation(max_new_tokens=32)


@pytest.fixture(scope="module")
def served(embedded_model: Path) -> Iterator[Backend]:
    opened = open_backend(f"vllm:{embedded_model}", OPTIONS)
    yield opened
    opened.close()


class TestVllm(BackendContract):
    options = OPTIONS

    @pytest.fixture
    def reference(self, embedded_model: Path) -> str:
        return f"vllm:{embedded_model}"

    @pytest.fixture
    def backend(self, served: Backend) -> Backend:
        """
        Return one for all tests: to open it takes a minute.
        """
        return served


@pytest.fixture(scope="module")
def served_candidate(candidate: Path) -> Iterator[Backend]:
    opened = open_backend(f"vllm:{candidate}", OPTIONS)
    yield opened
    opened.close()


class TestVllmOnTheCandidate(BackendContract):
    options = OPTIONS

    @pytest.fixture
    def reference(self, candidate: Path) -> str:
        return f"vllm:{candidate}"

    @pytest.fixture
    def backend(self, served_candidate: Backend) -> Backend:
        return served_candidate

    def test_its_answers_are_those_of_the_engine(self, backend: Backend, candidate: Path):
        known = outputs(str(candidate), BackendOptions(device="cpu"))

        assert known == {key: t.output for key, t in answers(backend).items()}
        assert any("<tool_call>" in str(output) for output in known.values())


def answers(backend: Backend) -> dict[Key, Transcript]:
    suite = load_suite(TREE / "suites" / "tool-routing")
    requests = [request(suite, case, Key(case.id)) for case in suite.cases[::60]]
    return {t.key: t for group in backend.answer(requests, GENERATION) for t in group}


def outputs(reference: str, options: BackendOptions) -> dict[Key, str | None]:
    backend = open_backend(reference, options)
    try:
        return {key: t.output for key, t in answers(backend).items()}
    finally:
        backend.close()


def test_its_answers_are_those_of_the_engine(served: Backend, embedded_model: Path):
    known = outputs(str(embedded_model), BackendOptions(device="cpu"))

    assert known == {key: t.output for key, t in answers(served).items()}


def test_it_says_its_device_and_attention(served: Backend):
    said = served.describe()

    assert "cuda" != said["device"] or _has_cuda()
    assert said["attention"] not in ("", "vllm")


def _has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def test_an_adapter_answers_as_if_it_were_merged(embedded_model: Path, tmp_path: Path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    adapter = tmp_path / "adapter"
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(embedded_model)
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    adapted.save_pretrained(adapter)
    config = adapter / "adapter_config.json"
    told = json.loads(config.read_text()) | {"base_model_name_or_path": str(embedded_model)}
    config.write_text(json.dumps(told))

    merged = outputs(str(adapter), BackendOptions(device="cpu"))

    assert merged == outputs(f"vllm:{adapter}", OPTIONS)
    assert merged != outputs(str(embedded_model), BackendOptions(device="cpu"))


def test_a_run_says_nothing_of_vllm_and_ends_cleanly(embedded_model: Path, tmp_path: Path):
    command = [sys.executable, "-m", "harness", "run", "tool-routing", "--limit", "2"]
    more = ["--checkpoint", f"vllm:{embedded_model}", "--max-new-tokens", "8"]
    done = subprocess.run(
        [*command, *more, "--out", tmp_path / "run", "--root", TREE],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    for line in ("INFO", "WARNING", "killing", "Traceback", "leaked"):
        assert line not in done.stderr
