"""
vLLM: ``vllm:`` before a hub id or a folder, with the extra ``vllm``.

Prompts are rendered and tokenized, and answers read, here, as for every other checkpoint; vLLM gets
token ids, so its own chat templates and tool parsers play no part in what is measured. Prefix
caching is on, so the tools of a suite are computed once. In half precision a greedy answer may
depend on what else is in its batch; `harness aa` shows how often it does.

Its builds for GPUs and for CPUs do. On one device it runs in this process, without processes of its
own to wait for or to kill; its log shows errors only, unless VLLM_LOGGING_LEVEL says otherwise.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.encoding import PromptEncoding
from harness.backends.engine.decoding import Answer, Prompt, Stops, free_memory, row_seed
from harness.checkpoints.chat_template import chat_template, preflight
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.digests import digests
from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import ADAPTER_CONFIG, locate
from harness.checkpoints.reference import Reference
from harness.dialects.registry import chosen, own_template
from harness.errors import BackendError, MissingDependencyError, UsageError, boundary
from harness.transcript import Timing, Transcript

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks of adapters that vLLM makes room for."""

GROUP = 1024
"""Prompts handed over at once: a killed run loses at most this many answers."""

_open: list[Any] = []
_closed: list[Any] = []
# The engines of this process that are in use, and those that wait for them to end.


class VllmBackend:
    """
    One checkpoint served by vLLM inside this process.
    """

    def __init__(
        self,
        *,
        checkpoint: Checkpoint,
        engine: Any,
        encoding: PromptEncoding,
        stops: Stops,
        dtype: str,
        batch_size: int | None,
        devices: int = 1,
        adapter: Any = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._engine = engine
        self._encoding = encoding
        self._stops = stops
        self._dtype = dtype
        self._batch_size = batch_size
        self._devices = devices
        self._adapter = adapter
        config = engine.llm_engine.vllm_config
        self._device = str(config.device_config.device_type)
        self._attention = _attention(config)
        _open.append(engine)

    @classmethod
    def open(cls, reference: Reference, options: BackendOptions) -> Self:
        """
        Load the checkpoint behind ``vllm:``.

        Raises:
            MissingDependencyError: where vLLM is not installed.
            CheckpointError: if it cannot be found, read or trusted, or its template drops tools.
            DialectError: if the dialect is not given and cannot be found from the chat template.
            UsageError: for a GGUF file, or a device that this build of vLLM does not use.
            BackendError: if vLLM cannot serve it.
        """
        vllm = _vllm()
        device = str(vllm.platforms.current_platform.device_type)
        # A stored run is run again with the device that it names.
        if options.device not in (None, device):
            raise UsageError(f"this build of vLLM runs on {device}; drop --device")
        located = locate(reference, progress=options.progress, notify=options.notify)
        if located.gguf is not None:
            raise UsageError(f"{reference}: vLLM cannot serve GGUF files; drop vllm:")
        tokenizer = load_tokenizer(located)
        spoken = chosen(options.dialect, chat_template(tokenizer), tokenizer)
        preflight(tokenizer, tools=options.declares_tools)
        dtype = options.dtype or ("float32" if device == "cpu" else "bfloat16")
        devices = options.tensor_parallel or 1
        options.notify(f"loading {reference} in {dtype} on {device} with vLLM")
        more: dict[str, Any] = {}
        if options.batch_size is not None:
            more["max_num_seqs"] = options.batch_size
        if located.adapter is not None:
            more |= {"enable_lora": True, "max_lora_rank": _rank(located.adapter)}
        with boundary(BackendError, f"vLLM cannot serve {reference}"):
            engine = vllm.LLM(
                model=str(located.folder),
                dtype=dtype,
                enable_prefix_caching=True,
                trust_remote_code=False,
                seed=0,
                # Otherwise the checkpoint's own sampling settings would be used.
                generation_config="vllm",
                # What it calls log probabilities are then logits, as those of the other engines.
                logprobs_mode="raw_logits",
                tensor_parallel_size=devices,
                distributed_executor_backend="uni" if devices == 1 else "mp",
                use_tqdm_on_load=False,
                # Compiling for a CPU takes longer than a suite.
                enforce_eager=device == "cpu",
                **more,
            )
            context = int(engine.llm_engine.model_config.max_model_len)
            adapter = None
            if located.adapter is not None:
                from vllm.lora.request import LoRARequest

                adapter = LoRARequest("adapter", 1, str(located.adapter))
        encoding = PromptEncoding(tokenizer, spoken, context)
        return cls(
            checkpoint=Checkpoint(
                reference=str(reference),
                **dict[str, Any](digests(located, tokenizer)),
                dialect=spoken.name,
                dialect_version=spoken.version,
                response_template=own_template(spoken),
            ),
            engine=engine,
            encoding=encoding,
            stops=encoding.stops(_settings(str(located.folder))),
            dtype=dtype,
            batch_size=options.batch_size,
            devices=devices,
            adapter=adapter,
        )

    @property
    def checkpoint(self) -> Checkpoint:
        """
        The checkpoint that is being run.
        """
        return self._checkpoint

    @property
    def tokenizer(self) -> Any:
        """
        The checkpoint's tokenizer.
        """
        return self._encoding.tokenizer

    def describe(self) -> Mapping[str, Any]:
        """
        Return the ``backend`` block of run.json; ``batch`` is the requested size, and ``attention``
        what vLLM chose.
        """
        return {
            "name": "vllm",
            "dtype": self._dtype,
            "device": self._device,
            "batch": self._batch_size or "auto",
            "attention": self._attention,
            **({} if self._devices == 1 else {"tensor_parallel": self._devices}),
        }

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer *requests*, those with a common prefix beside each other.

        Raises:
            TemplateError: if the template drops something the requests hold.
            BackendError: if vLLM fails.
        """
        self._encoding.preflight(requests)
        prompts, failed = self._encoding.prompts(requests, generation)
        if failed:
            yield failed
        prompts.sort(key=lambda prompt: (prompt.ids, prompt.key))
        for begin in range(0, len(prompts), GROUP):
            group = prompts[begin : begin + GROUP]
            answers = self._generate(group, generation)
            yield [self._encoding.transcript(p, a) for p, a in zip(group, answers, strict=True)]

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Answer *requests* one at a time and time them, after one answer that is not counted. The
        time to the first token is not measured.

        Raises:
            TemplateError: if the template drops something the requests hold.
            BackendError: if vLLM fails.
        """
        self._encoding.preflight(requests)
        prompts, failed = self._encoding.prompts(requests, generation)
        yield from failed
        for index, prompt in enumerate(prompts):
            if index == 0:
                self._generate([prompt], generation)
            # Otherwise the second answer to a prompt would be faster than the first.
            self._engine.reset_prefix_cache()
            began = time.perf_counter()
            [answer] = self._generate([prompt], generation)
            took = (time.perf_counter() - began) * 1000
            yield self._encoding.transcript(prompt, answer, Timing(latency_ms=took, ttft_ms=None))

    def logits(
        self, request: Request, begun: Sequence[int], tokens: Sequence[int]
    ) -> Sequence[float]:
        """
        Return the logits of *tokens* after the prompt and *begun*, as vLLM computes them.

        Raises:
            TemplateError: if the request cannot be rendered.
            BackendError: if vLLM fails.
        """
        ids = self._encoding.begun(request, begun)
        asked = _vllm().SamplingParams(
            max_tokens=1, temperature=0.0, detokenize=False, logprob_token_ids=list(tokens)
        )
        with boundary(BackendError, f"case {request.key.case}: no logits"):
            [output] = self._engine.generate(
                [{"prompt_token_ids": ids}], [asked], use_tqdm=False, lora_request=self._adapter
            )
            [found] = output.outputs[0].logprobs
            return [float(found[token].logprob) for token in tokens]

    def close(self) -> None:
        """
        Free the model and end vLLM's processes, once no other model of this process is open with
        vLLM. The backend must not be used afterwards.
        """
        _open.remove(self._engine)
        _closed.append(self._engine)
        del self._engine
        if not _open:
            # The first engine to end takes along what all of them in a process share.
            for engine in _closed:
                engine.llm_engine.engine_core.shutdown()
            _closed.clear()
        free_memory()

    def _generate(self, prompts: Sequence[Prompt], generation: Generation) -> list[Answer]:
        vllm = _vllm()
        settings: dict[str, Any] = {
            "max_tokens": generation.max_new_tokens,
            "stop_token_ids": list(self._stops.ids),
            # Stops are the dialect's; text is decoded here.
            "detokenize": False,
        }
        if generation.do_sample:
            # A key that is not set is off, as in `transformers`.
            for name, off in (("temperature", 1.0), ("top_p", 1.0), ("top_k", 0)):
                given = getattr(generation, name)
                settings[name] = off if given is None else given
        else:
            settings["temperature"] = 0.0
        with boundary(BackendError, f"vLLM failed on a group with case {prompts[0].key.case}"):
            outputs = self._engine.generate(
                [{"prompt_token_ids": list(prompt.ids)} for prompt in prompts],
                [
                    vllm.SamplingParams(**settings, seed=_seed(generation, prompt))
                    for prompt in prompts
                ],
                use_tqdm=False,
                lora_request=self._adapter,
            )
            return [
                Answer(ids=list(only.token_ids), stopped=only.finish_reason == "stop")
                for only in (output.outputs[0] for output in outputs)
            ]


def _vllm() -> Any:
    # Read when it is imported; what the environment says holds.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    try:
        import vllm
        import vllm.platforms
    except ImportError:
        raise MissingDependencyError(
            "vllm: needs vLLM; pip install 'toolcall-harness[vllm]'"
        ) from None
    return vllm


def _attention(config: Any) -> str:
    """
    Return the names of the attention that the layers use; ``vllm`` where other processes have them.
    """
    layers = config.compilation_config.static_forward_context.values()
    names = {layer.attn_backend.get_name() for layer in layers if hasattr(layer, "attn_backend")}
    return ", ".join(sorted(names)) or "vllm"


def _rank(adapter: Path) -> int:
    """
    Return the smallest of vLLM's ranks that has room for an adapter.
    """
    rank = int(json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))["r"])
    return next((size for size in _RANKS if size >= rank), rank)


def _seed(generation: Generation, prompt: Prompt) -> int | None:
    """
    Return a seed of the row's own, as the sampler of this package uses; None for greedy answers.
    """
    return row_seed(generation.seed, prompt.key) if generation.do_sample else None


def _settings(folder: str) -> Any:
    """
    Return the checkpoint's generation settings; None if it has none.
    """
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(folder, local_files_only=True)
    except OSError:
        return None
