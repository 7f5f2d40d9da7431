"""
A stand-in for vLLM that takes what vLLM 0.33 takes and answers by `generate` of transformers.
"""

import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


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
        logprob_token_ids: list[int] | None = None,
    ) -> None:
        self.logprob_token_ids = logprob_token_ids
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
    stopped: list[str]
    adapters: list[Any]

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
        LLM.sampled, LLM.stopped, LLM.adapters = [], [], []
        self.model = AutoModelForCausalLM.from_pretrained(model)
        self.model_config = SimpleNamespace(max_model_len=512)
        layer = SimpleNamespace(attn_backend=SimpleNamespace(get_name=lambda: "CPU_ATTN"))
        layers = SimpleNamespace(static_forward_context={"layers.0.attn": layer})
        self.llm_engine = SimpleNamespace(
            model_config=self.model_config,
            vllm_config=SimpleNamespace(
                device_config=SimpleNamespace(device_type="cpu"), compilation_config=layers
            ),
            engine_core=SimpleNamespace(shutdown=lambda: LLM.stopped.append(model)),
        )

    def reset_prefix_cache(self) -> bool:
        return True

    def generate(
        self,
        prompts: list[dict[str, Any]],
        params: list[SamplingParams],
        *,
        use_tqdm: bool,
        lora_request: Any = None,
    ) -> list[SimpleNamespace]:
        import torch
        from transformers import GenerationConfig

        assert not use_tqdm
        LLM.adapters.append(lora_request)
        outputs = []
        for prompt, each in zip(prompts, params, strict=True):
            LLM.sampled.append(each)
            ids = torch.tensor([prompt["prompt_token_ids"]])
            if each.logprob_token_ids is not None:
                # As with logprobs_mode="raw_logits", which the backend asks for.
                assert "raw_logits" == LLM.opened["logprobs_mode"]
                last = self.model(input_ids=ids).logits[0, -1].detach()
                found = {
                    token: SimpleNamespace(logprob=float(last[token]))
                    for token in each.logprob_token_ids
                }
                outputs.append(SimpleNamespace(outputs=[SimpleNamespace(logprobs=[found])]))
                continue
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


@dataclass
class LoRARequest:
    name: str
    number: int
    path: str


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let ``import vllm`` give the stand-in.
    """
    for name in ("VLLM_LOGGING_LEVEL", "VLLM_ENABLE_V1_MULTIPROCESSING"):
        # What the backend sets is put back after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    parts: dict[str, dict[str, Any]] = {
        "vllm": {"LLM": LLM, "SamplingParams": SamplingParams},
        "vllm.platforms": {"current_platform": SimpleNamespace(device_type="cpu")},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": LoRARequest},
    }
    modules = {name: ModuleType(name) for name in parts}
    for name, module in modules.items():
        vars(module).update(parts[name])
        monkeypatch.setitem(sys.modules, name, module)
    vars(modules["vllm"])["platforms"] = modules["vllm.platforms"]
