"""
vLLM: ``vllm:`` before a hub id or a folder, with the extra ``vllm``.

Prompts are rendered and tokenized, and answers read, here, as for every other checkpoint; vLLM gets
token ids, so its own chat templates and tool parsers play no part in what is measured. Prefix
caching is on, so the tools of a suite are computed once. In half precision a greedy answer may
depend on what else is in its batch; `harness aa` shows how often it does.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.encoding import PromptEncoding
from harness.backends.engine.decoding import Answer, Prompt, Stops, free_memory, row_seed
from harness.checkpoints.chat_template import chat_template, preflight
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.digests import digests
from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import Reference
from harness.dialects.registry import chosen, own_template
from harness.errors import BackendError, MissingDependencyError, UsageError, boundary
from harness.transcript import Timing, Transcript

_DEVICE = "cuda"

GROUP = 1024
"""Prompts handed over at once: a killed run loses at most this many answers."""


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
    ) -> None:
        self._checkpoint = checkpoint
        self._engine = engine
        self._encoding = encoding
        self._stops = stops
        self._dtype = dtype
        self._batch_size = batch_size

    @classmethod
    def open(cls, reference: Reference, options: BackendOptions) -> Self:
        """
        Load the checkpoint behind ``vllm:``.

        Raises:
            MissingDependencyError: where vLLM is not installed.
            CheckpointError: if it cannot be found, read or trusted, or its template drops tools.
            DialectError: if the dialect is not given and cannot be found from the chat template.
            UsageError: for an adapter, which has to be merged first, a GGUF file, or a device other
                than cuda.
            BackendError: if vLLM cannot serve it.
        """
        llm = _vllm().LLM
        # "cuda" is the device in a stored run, which is run again with the same settings.
        if options.device not in (None, _DEVICE):
            raise UsageError("vLLM chooses its device by itself; drop --device")
        located = locate(reference, progress=options.progress, notify=options.notify)
        if located.gguf is not None:
            raise UsageError(f"{reference}: vLLM cannot serve GGUF files; drop vllm:")
        if located.adapter is not None:
            raise UsageError(
                f"{reference} is an adapter; merge it into its base (peft's merge_and_unload, then "
                "save_pretrained) and give that folder, or drop vllm:"
            )
        tokenizer = load_tokenizer(located)
        spoken = chosen(options.dialect, chat_template(tokenizer), tokenizer)
        preflight(tokenizer, tools=options.declares_tools)
        options.notify(f"loading {reference} with vLLM")
        dtype = options.dtype or "bfloat16"
        batch = {} if options.batch_size is None else {"max_num_seqs": options.batch_size}
        with boundary(BackendError, f"vLLM cannot serve {reference}"):
            engine = llm(
                model=str(located.folder),
                dtype=dtype,
                enable_prefix_caching=True,
                trust_remote_code=False,
                seed=0,
                # Otherwise the checkpoint's own sampling settings would be used.
                generation_config="vllm",
                **batch,
            )
            context = int(engine.llm_engine.model_config.max_model_len)
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
        Return the ``backend`` block of run.json; ``batch`` is the requested size, and vLLM chooses
        the attention itself.
        """
        return {
            "name": "vllm",
            "dtype": self._dtype,
            "device": _DEVICE,
            "batch": self._batch_size or "auto",
            "attention": "vllm",
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

    def close(self) -> None:
        """
        Free the model. The backend must not be used afterwards.
        """
        del self._engine
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
            )
            return [
                Answer(ids=list(only.token_ids), stopped=only.finish_reason == "stop")
                for only in (output.outputs[0] for output in outputs)
            ]


def _vllm() -> Any:
    try:
        import vllm
    except ImportError:
        raise MissingDependencyError(
            "vllm: needs vLLM; pip install 'toolcall-harness[vllm]'"
        ) from None
    return vllm


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
