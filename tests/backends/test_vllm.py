"""
The vLLM backend, with a stand-in for vLLM that takes what vLLM 0.33 takes and runs the tiny model.

It holds what this project hands over and reads back. vLLM itself needs a GPU and is not run here.
"""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.registry import open_backend
from harness.backends.transformers import TransformersBackend
from harness.errors import BackendError, MissingDependencyError, UsageError
from harness.messages import Message, Tool
from harness.transcript import Key

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


class SamplingParams:
    def __init__(
        self,
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int | None = None,
        stop_token_ids: list[int] | None = None,
        max_tokens: int | None = 16,
        detokenize: bool = True,
    ) -> None:
        self.temperature, self.top_p, self.top_k, self.seed = temperature, top_p, top_k, seed
        self.stop_token_ids, self.max_tokens, self.detokenize = (
            stop_token_ids,
            max_tokens,
            detokenize,
        )


class LLM:
    """
    Answers as vLLM does, by the tiny model and `generate`.
    """

    opened: dict[str, Any]
    sampled: list[SamplingParams]

    def __init__(
        self,
        model: str,
        *,
        dtype: str = "auto",
        seed: int = 0,
        trust_remote_code: bool = False,
        **engine: Any,
    ) -> None:
        from transformers import AutoModelForCausalLM

        LLM.opened = {"dtype": dtype, "trust_remote_code": trust_remote_code, **engine}
        LLM.sampled = []
        self.model = AutoModelForCausalLM.from_pretrained(model)
        self.model_config = SimpleNamespace(max_model_len=512)
        self.llm_engine = SimpleNamespace(model_config=self.model_config)

    def reset_prefix_cache(self) -> bool:
        return True

    def generate(
        self, prompts: list[dict[str, Any]], params: list[SamplingParams], *, use_tqdm: bool
    ) -> list[SimpleNamespace]:
        import torch
        from transformers import GenerationConfig

        assert not use_tqdm
        outputs = []
        for prompt, each in zip(prompts, params, strict=True):
            LLM.sampled.append(each)
            ids = torch.tensor([prompt["prompt_token_ids"]])
            row = self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=GenerationConfig(
                    do_sample=False,
                    max_new_tokens=each.max_tokens,
                    eos_token_id=each.stop_token_ids,
                    pad_token_id=0,
                ),
            )[0, ids.shape[1] :].tolist()
            stopped = row[-1] in (each.stop_token_ids or ())
            only = SimpleNamespace(
                token_ids=tuple(row), finish_reason="stop" if stopped else "length"
            )
            outputs.append(SimpleNamespace(outputs=[only]))
        return outputs


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, SamplingParams  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    return module


def test_its_answers_are_those_of_the_same_checkpoint_without_it(vllm, tiny_model: Path):
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


def test_the_prefix_is_cached_and_nothing_of_the_checkpoint_samples(vllm, tiny_model: Path):
    served = open_backend(f"vllm:{tiny_model}", BackendOptions(batch_size=8))
    list(served.answer(asked(2), SIX))
    served.close()

    assert {
        "dtype": "bfloat16",
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "max_num_seqs": 8,
        "trust_remote_code": False,
    } == LLM.opened
    assert [0.0, 0.0] == [each.temperature for each in LLM.sampled]
    assert [None, None] == [each.seed for each in LLM.sampled]
    assert not any(each.detokenize for each in LLM.sampled)


def test_a_sample_has_noise_of_its_own(vllm, tiny_model: Path):
    served = open_backend(f"vllm:{tiny_model}", BackendOptions())
    list(served.answer(asked(2), Generation(max_new_tokens=2, do_sample=True, top_k=5, seed=3)))
    served.close()

    first, second = LLM.sampled
    assert (1.0, 1.0, 5) == (first.temperature, first.top_p, first.top_k)
    assert first.seed is not None
    assert first.seed != second.seed


def test_time_is_that_of_one_answer_after_one_that_is_not_counted(vllm, tiny_model: Path):
    served = open_backend(f"vllm:{tiny_model}", BackendOptions())
    timed = list(served.answer_alone(asked(2), SIX))
    served.close()

    assert 3 == len(LLM.sampled)
    assert all(t.timing is not None and t.timing.latency_ms > 0 for t in timed)
    assert all(t.timing is not None and t.timing.ttft_ms is None for t in timed)


def test_what_breaks_in_it_is_an_error_that_names_a_case(
    vllm, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the engine core died")

    monkeypatch.setattr(LLM, "generate", broken)
    served = open_backend(f"vllm:{tiny_model}", BackendOptions())

    with pytest.raises(BackendError, match=r"vLLM broke on a group with case case-0.*died"):
        list(served.answer(asked(2), SIX))


def test_a_device_and_an_adapter_are_refused(vllm, tiny_model: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="chooses its device by itself"):
        open_backend(f"vllm:{tiny_model}", BackendOptions(device="cpu"))

    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{tiny_model}"}}')
    (adapter / "adapter_model.safetensors").touch()
    with pytest.raises(UsageError, match="merge it into its base"):
        open_backend(f"vllm:{adapter}", BackendOptions())


def test_without_it_the_extra_is_named(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "vllm", None)

    with pytest.raises(MissingDependencyError, match=r"toolcall-harness\[vllm\]"):
        open_backend(f"vllm:{tiny_model}", BackendOptions())
