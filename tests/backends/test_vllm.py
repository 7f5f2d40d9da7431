"""
The vLLM backend, with a stand-in for vLLM.

It holds what this project hands over and reads back. tests/engines runs vLLM itself.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.registry import open_backend
from harness.backends.transformers import TransformersBackend
from harness.errors import BackendError, MissingDependencyError, UsageError
from harness.messages import Message, Tool
from harness.transcript import Key

from ..stand_in_vllm import LLM, install

TOOL = Tool.from_schema({"name": "search", "description": "Search."})
SIX = Generation(max_new_tokens=6)


def asked(count: int) -> list[Request]:
    return [
        Request(
            key=Key(f"case-{index}"),
            messages=(Message(role="user", content=f"question {index}"),),
            tools=(TOOL,),
        )
        for index in range(count)
    ]


@pytest.fixture(autouse=True)
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def test_its_answers_are_those_of_the_same_checkpoint_without_it(tiny_model: Path):
    served = open_backend(f"vllm:{tiny_model}", BackendOptions(dtype="float32"))
    plain = open_backend(str(tiny_model), BackendOptions(device="cpu", batch_size=1))
    try:
        told = {t.key: t for group in served.answer(asked(5), SIX) for t in group}
        known = {t.key: t for group in plain.answer(asked(5), SIX) for t in group}
    finally:
        served.close()
        plain.close()

    assert isinstance(plain, TransformersBackend)
    assert {key: (t.output, t.finish_reason) for key, t in known.items()} == {
        key: (t.output, t.finish_reason) for key, t in told.items()
    }
    assert plain.checkpoint.weights == served.checkpoint.weights
    assert f"vllm:{tiny_model}" == served.checkpoint.reference
    assert "vllm" == served.describe()["name"]


def test_the_prefix_is_cached_and_nothing_of_the_checkpoint_samples(tiny_model: Path):
    served = open_backend(f"vllm:{tiny_model}", BackendOptions(batch_size=8))
    list(served.answer(asked(2), SIX))
    served.close()

    assert {
        "distributed_executor_backend": "uni",
        "dtype": "float32",
        "enable_prefix_caching": True,
        "enforce_eager": True,
        "generation_config": "vllm",
        "logprobs_mode": "raw_logits",
        "max_num_seqs": 8,
        "tensor_parallel_size": 1,
        "trust_remote_code": False,
        "use_tqdm_on_load": False,
    } == LLM.opened
    assert [0.0, 0.0] == [each.temperature for each in LLM.sampled]
    assert [None, None] == [each.seed for each in LLM.sampled]
    assert not any(each.detokenize for each in LLM.sampled)


def test_a_sample_has_noise_of_its_own(tiny_model: Path):
    served = open_backend(f"vllm:{tiny_model}", BackendOptions())
    list(served.answer(asked(2), Generation(max_new_tokens=2, do_sample=True, top_k=5, seed=3)))
    served.close()

    first, second = LLM.sampled
    assert (1.0, 1.0, 5) == (first.temperature, first.top_p, first.top_k)
    assert first.seed is not None
    assert first.seed != second.seed


def test_time_is_that_of_one_answer_after_one_that_is_not_counted(tiny_model: Path):
    served = open_backend(f"vllm:{tiny_model}", BackendOptions())
    timed = list(served.answer_alone(asked(2), SIX))
    served.close()

    assert 3 == len(LLM.sampled)
    assert all(t.timing is not None and t.timing.latency_ms > 0 for t in timed)
    assert all(t.timing is not None and t.timing.ttft_ms is None for t in timed)


def test_what_breaks_in_it_is_an_error_that_names_a_case(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the engine core died")

    monkeypatch.setattr(LLM, "generate", broken)
    served = open_backend(f"vllm:{tiny_model}", BackendOptions())

    with pytest.raises(BackendError, match=r"vLLM failed on a group with case case-0.*died"):
        list(served.answer(asked(2), SIX))
    served.close()


def test_it_says_what_batch_was_asked_for_so_that_a_run_is_repeated_as_it_was(tiny_model: Path):
    for size, said in ((None, "auto"), (1, 1)):
        served = open_backend(f"vllm:{tiny_model}", BackendOptions(batch_size=size, device="cpu"))
        assert said == served.describe()["batch"]
        served.close()


def test_a_gguf_file_is_refused(tmp_path: Path):
    (tmp_path / "model.gguf").touch()

    with pytest.raises(UsageError, match="drop vllm:"):
        open_backend(f"vllm:gguf:{tmp_path / 'model.gguf'}", BackendOptions())


def test_another_device_than_that_of_its_build_is_refused(tiny_model: Path):
    with pytest.raises(UsageError, match="this build of vLLM runs on cpu; drop --device"):
        open_backend(f"vllm:{tiny_model}", BackendOptions(device="cuda"))


def test_it_says_the_device_and_the_attention_that_vllm_uses(tiny_model: Path):
    served = open_backend(f"vllm:{tiny_model}", BackendOptions())
    said = served.describe()
    served.close()

    assert ("cpu", "CPU_ATTN", "float32") == (said["device"], said["attention"], said["dtype"])
    assert "tensor_parallel" not in said


def test_weights_are_split_over_the_devices_that_are_asked_for(tiny_model: Path):
    served = open_backend(f"vllm:{tiny_model}", BackendOptions(tensor_parallel=2))
    said = served.describe()
    served.close()

    assert 2 == LLM.opened["tensor_parallel_size"]
    assert "mp" == LLM.opened["distributed_executor_backend"]
    assert 2 == said["tensor_parallel"]


def test_other_checkpoints_are_split_over_no_devices(tiny_model: Path):
    with pytest.raises(UsageError, match="--tensor-parallel is for vllm:"):
        open_backend(str(tiny_model), BackendOptions(tensor_parallel=2))


def test_closing_it_ends_its_engine(tiny_model: Path):
    open_backend(f"vllm:{tiny_model}", BackendOptions()).close()

    assert [str(tiny_model)] == LLM.stopped


def test_an_engine_ends_with_the_last_of_its_process(tiny_model: Path):
    """
    vLLM ends what the engines of a process share with the first of them.
    """
    first, second = (open_backend(f"vllm:{tiny_model}", BackendOptions()) for _ in range(2))

    second.close()
    assert [] == LLM.stopped
    assert 2 == sum(len(group) for group in first.answer(asked(2), SIX))

    first.close()
    assert [str(tiny_model)] * 2 == LLM.stopped


def test_it_logs_errors_only_unless_it_is_asked_to(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    for asked_for, level in ((None, "ERROR"), ("DEBUG", "DEBUG")):
        if asked_for:
            monkeypatch.setenv("VLLM_LOGGING_LEVEL", asked_for)
        open_backend(f"vllm:{tiny_model}", BackendOptions()).close()
        assert level == os.environ["VLLM_LOGGING_LEVEL"]


def test_an_adapter_is_put_on_its_base_by_vllm(tiny_model: Path, tmp_path: Path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    config = {"base_model_name_or_path": str(tiny_model), "r": 12}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    (adapter / "adapter_model.safetensors").touch()

    served = open_backend(f"vllm:{adapter}", BackendOptions())
    list(served.answer(asked(1), SIX))
    served.close()

    assert [str(tiny_model)] == LLM.stopped, "the base is what is loaded"
    assert (True, 16) == (LLM.opened["enable_lora"], LLM.opened["max_lora_rank"])
    assert [str(adapter)] == [each.path for each in LLM.adapters]
    assert served.checkpoint.adapter is not None


def test_without_it_the_extra_is_named(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "vllm", None)

    with pytest.raises(MissingDependencyError, match=r"toolcall-harness\[vllm\]"):
        open_backend(f"vllm:{tiny_model}", BackendOptions())
