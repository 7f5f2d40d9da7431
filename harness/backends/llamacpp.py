"""
llama.cpp: ``llamacpp:FILE.gguf``, with the extra ``llamacpp``. The file runs as it ships.

Prompts are rendered by the chat template in the file, or a ``chat_template.jinja`` beside it, and
answers are read here, as for every other checkpoint. ``gguf:`` runs the same file dequantised. One
prompt is answered at a time, and what it shares with the one before stays in the cache.

With llama.cpp a token that is computed alone may have other logits than the same token in a batch:
in quantised files they differ by up to 1. So an answer's tokens are always computed one at a time,
drafts are ignored, and the end of a prompt is never taken from the cache. That keeps answers the
same in any order.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.encoding import PromptEncoding
from harness.backends.engine.decoding import Answer, Prompt, RowSampler, Stops
from harness.checkpoints.chat_template import chat_template, preflight
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.digests import digests
from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import Reference
from harness.dialects.registry import chosen, own_template
from harness.errors import BackendError, MissingDependencyError, UsageError, boundary
from harness.transcript import Timing, Transcript

CONTEXT = 8192
"""The most tokens of a prompt and its answer: a cache for more would take gigabytes."""

BATCH = 512
"""Tokens of a prompt that are computed together."""

END = 32
"""Tokens at the end of a prompt that are computed anew, together."""


class LlamaCppBackend:
    """
    One GGUF file in this process.
    """

    def __init__(
        self, *, checkpoint: Checkpoint, model: "Model", encoding: PromptEncoding, stops: Stops
    ) -> None:
        self._checkpoint = checkpoint
        self._model = model
        self._encoding = encoding
        self._stops = stops

    @classmethod
    def open(cls, reference: Reference, options: BackendOptions) -> Self:
        """
        Load the file behind ``llamacpp:``.

        Raises:
            MissingDependencyError: where llama-cpp-python is not installed.
            CheckpointError: if the file cannot be found or read, or its template drops tools.
            DialectError: if the dialect is not given and cannot be found from the chat template.
            UsageError: for a dtype, device or batch size that it does not have.
            BackendError: if llama.cpp cannot load the file.
        """
        library = _library()
        if options.batch_size not in (None, 1):
            raise UsageError(f"{reference} is answered one prompt at a time; drop --batch-size")
        located = locate(reference, progress=options.progress, notify=options.notify)
        assert located.gguf is not None
        tokenizer = load_tokenizer(located)
        spoken = chosen(options.dialect, chat_template(tokenizer), tokenizer)
        preflight(tokenizer, tools=options.declares_tools)
        options.notify(f"loading {reference}")
        device = _device(library, options.device)
        with boundary(BackendError, f"llama.cpp cannot load {reference}"):
            model = Model(library, located.gguf, device)
        # A stored run is run again with what it says of itself.
        if options.dtype not in (None, model.dtype):
            model.close()
            raise UsageError(f"{reference} is {model.dtype}, as it is stored; drop --dtype")
        encoding = PromptEncoding(tokenizer, spoken, model.context)
        return cls(
            checkpoint=Checkpoint(
                reference=str(reference),
                **dict[str, Any](digests(located, tokenizer)),
                dialect=spoken.name,
                dialect_version=spoken.version,
                response_template=own_template(spoken),
            ),
            model=model,
            encoding=encoding,
            stops=encoding.stops(SimpleNamespace(eos_token_id=list(model.ends))),
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
        The file's tokenizer, as transformers reads it.
        """
        return self._encoding.tokenizer

    def describe(self) -> Mapping[str, Any]:
        """
        Return the ``backend`` block of run.json; ``dtype`` is the file's quantisation.
        """
        return {
            "name": "llama.cpp",
            "dtype": self._model.dtype,
            "device": self._model.device,
            "batch": 1,
            "attention": "llama.cpp",
            "threads": self._model.threads,
            "context": self._model.context,
        }

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer *requests* one at a time, those with a common prefix after each other.

        Raises:
            TemplateError: if the template drops something the requests hold.
            BackendError: if llama.cpp fails.
        """
        self._encoding.preflight(requests)
        prompts, failed = self._encoding.prompts(requests, generation)
        if failed:
            yield failed
        prompts.sort(key=lambda prompt: (prompt.ids, prompt.key))
        for prompt in prompts:
            answer, _ = self._answered(prompt, generation)
            yield [self._encoding.transcript(prompt, answer)]

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Answer *requests* one at a time and time them, after one answer that is not counted. Nothing
        is taken from the cache.

        Raises:
            TemplateError: if the template drops something the requests hold.
            BackendError: if llama.cpp fails.
        """
        self._encoding.preflight(requests)
        prompts, failed = self._encoding.prompts(requests, generation)
        yield from failed
        for index, prompt in enumerate(prompts):
            if index == 0:
                self._answered(prompt, generation)
            self._model.keep(0)
            answer, timing = self._answered(prompt, generation)
            yield self._encoding.transcript(prompt, answer, timing)

    def logits(
        self, request: Request, begun: Sequence[int], tokens: Sequence[int]
    ) -> Sequence[float]:
        """
        Return the logits of *tokens* after the prompt and *begun*, computed as an answer's are.

        Raises:
            TemplateError: if the request cannot be rendered.
            BackendError: if llama.cpp fails.
        """
        prompt = self._encoding.begun(request, ())
        with boundary(BackendError, f"case {request.key.case}: no logits"):
            found = self._model.prompt(prompt)
            for id_ in begun:
                found = self._model.read([id_])
        return [float(found[token]) for token in tokens]

    def close(self) -> None:
        """
        Free the model. The backend must not be used afterwards.
        """
        self._model.close()

    def _answered(self, prompt: Prompt, generation: Generation) -> tuple[Answer, Timing]:
        choose = _chooser(prompt, generation)
        watched = list(prompt.watched)
        ids: list[int] = []
        seen: list[Any] = []
        first = None
        began = time.perf_counter()
        with boundary(BackendError, f"llama.cpp failed on case {prompt.key.case}"):
            logits = self._model.prompt(prompt.ids)
            while True:
                ids.append(choose(logits))
                first = first or time.perf_counter()
                if watched:
                    seen.append(logits[watched])
                if ids[-1] in self._stops.ids or len(ids) >= generation.max_new_tokens:
                    break
                logits = self._model.read(ids[-1:])
        ended = time.perf_counter()
        answer = Answer(ids=ids, stopped=ids[-1] in self._stops.ids, watched=seen)
        timing = Timing(latency_ms=(ended - began) * 1000, ttft_ms=(first - began) * 1000)
        return answer, timing


class Model:
    """
    A loaded file and one sequence of tokens in its cache.
    """

    def __init__(self, library: Any, file: Path, device: str) -> None:
        import gguf
        import torch

        # What the environment allows this process.
        self.threads = torch.get_num_threads()
        self.device = device
        self._library = library
        with contextlib.ExitStack() as stack:
            model: Any = library.Llama(
                str(file),
                n_ctx=CONTEXT,
                n_batch=BATCH,
                n_threads=self.threads,
                n_threads_batch=self.threads,
                n_gpu_layers=-1 if device == "gpu" else 0,
                # Otherwise a sliding window cannot be wound back to the end of a prefix.
                swa_full=True,
                verbose=False,
            )
            stack.callback(model.close)
            vocabulary = library.llama_model_get_vocab(model.model)
            self._batch = library.llama_batch_init(BATCH, 0, 1)
            stack.callback(library.llama_batch_free, self._batch)
            self._stack = stack.pop_all()
        self._context = model.ctx
        self._size: int = model.n_vocab()
        self._held: list[int] = []
        self.tokenize = model.tokenize
        trained = library.llama_model_n_ctx_train(model.model)
        self.context = min(CONTEXT, trained)
        self.dtype = _file_type(gguf, model.metadata)
        self.ends = tuple(
            id_ for id_ in range(self._size) if library.llama_vocab_is_eog(vocabulary, id_)
        )
        """The tokens at which llama.cpp itself ends an answer."""

    def prompt(self, ids: Sequence[int]) -> Any:
        """
        Read a whole prompt and return the logits after it.
        """
        shared = 0
        for one, other in zip(self._held, ids[:-END], strict=False):
            if one != other:
                break
            shared += 1
        self.keep(shared)
        return self.read(ids[len(self._held) :])

    def keep(self, count: int) -> None:
        """
        Drop all but the first *count* tokens, or all where the cache cannot be cut.
        """
        memory = self._library.llama_get_memory(self._context)
        if count == 0 or not self._library.llama_memory_seq_rm(memory, 0, count, -1):
            self._library.llama_memory_clear(memory, True)
            count = 0
        del self._held[count:]

    def read(self, ids: Sequence[int]) -> Any:
        """
        Read *ids* behind what is held and return the logits after the last.

        Raises:
            RuntimeError: if llama.cpp cannot.
        """
        import numpy as np

        for begin in range(0, len(ids), BATCH):
            part = ids[begin : begin + BATCH]
            self._batch.n_tokens = len(part)
            for place, id_ in enumerate(part):
                self._batch.token[place] = id_
                self._batch.pos[place] = len(self._held) + place
                self._batch.seq_id[place][0] = 0
                self._batch.n_seq_id[place] = 1
                self._batch.logits[place] = place == len(part) - 1
            code = self._library.llama_decode(self._context, self._batch)
            if code:
                self.keep(0)
                raise RuntimeError(f"llama_decode returned {code}")
            self._held.extend(part)
        found = self._library.llama_get_logits_ith(self._context, -1)
        # The memory is llama.cpp's and used again for the next token.
        return np.ctypeslib.as_array(found, shape=(self._size,)).copy()

    def close(self) -> None:
        """
        Free the model.
        """
        self._stack.close()


def _chooser(prompt: Prompt, generation: Generation) -> Any:
    if not generation.do_sample:
        return lambda logits: int(logits.argmax())
    import torch

    sampler = RowSampler([prompt.key], generation)
    return lambda logits: int(sampler(None, torch.from_numpy(logits)[None]).argmax())


def _file_type(gguf: Any, metadata: Mapping[str, str]) -> str:
    """
    Return the quantisation that the file says most of its weights have, such as Q4_1.
    """
    try:
        name = gguf.LlamaFileType(int(metadata["general.file_type"])).name
    except (KeyError, ValueError):
        return "unknown"
    return str(name).removeprefix("ALL_").removeprefix("MOSTLY_")


def _device(library: Any, asked: str | None) -> str:
    can = bool(library.llama_supports_gpu_offload())
    if asked is None:
        return "gpu" if can else "cpu"
    if asked == "cpu" or (asked == "gpu" and can):
        return asked
    there = "cpu, gpu" if can else "cpu"
    raise UsageError(f"device {asked!r} is not available with this llama.cpp; available: {there}")


def _library() -> Any:
    try:
        import llama_cpp
    except ImportError:
        raise MissingDependencyError(
            "llamacpp: needs llama.cpp; pip install 'toolcall-harness[llamacpp]'"
        ) from None
    return llama_cpp
