"""
Any model behind a Python function: ``python:package.module:function``.

The function takes messages and tools in the chat format of OpenAI and Hugging Face and returns the
raw text a model wrote, or an assistant message. An exception it raises is an error of that one
case.
"""

import importlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

from harness.backends.base import BackendOptions, Generation, Request
from harness.canonical import canonical_json
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.reference import Reference
from harness.dialects.registry import dialect, names, own_template
from harness.errors import BackendError, DialectError, boundary
from harness.messages import to_chat
from harness.transcript import Timing, Transcript, is_answer

Function = Callable[[list[dict[str, Any]], list[dict[str, Any]]], str | Mapping[str, Any]]


class PythonBackend:
    """
    A Python function in the place of a model.
    """

    def __init__(self, *, checkpoint: Checkpoint, function: Function, reads_text: bool) -> None:
        self._checkpoint = checkpoint
        self._function = function
        self._reads_text = reads_text
        """Whether a dialect was named, by option or by the function, so that text can be read."""

    @classmethod
    def open(cls, reference: Reference, options: BackendOptions) -> Self:
        """
        Import the function; modules in the current folder are found too.

        The dialect is the one given, else the function's own attribute ``dialect``, else native.

        Raises:
            BackendError: if there is no such module or function, or it fails to import.
            DialectError: if it names an unknown dialect.
        """
        function = _function(reference)
        named = options.dialect or getattr(function, "dialect", None)
        spoken = dialect(named or "native")
        checkpoint = Checkpoint(
            reference=str(reference),
            dialect=spoken.name,
            dialect_version=spoken.version,
            response_template=own_template(spoken),
        )
        return cls(checkpoint=checkpoint, function=function, reads_text=named is not None)

    @property
    def checkpoint(self) -> Checkpoint:
        """
        The function that is being run: a reference without digests.
        """
        return self._checkpoint

    def describe(self) -> Mapping[str, Any]:
        """
        Return the ``backend`` block of run.json; what is unknown of a function is None.
        """
        unknown = dict.fromkeys(("dtype", "device", "batch", "attention"))
        return {"name": "python", **unknown}

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Call the function once for each request, in order. *generation* is not passed on.

        Raises:
            DialectError: if it returns text and no dialect is named.
        """
        for request in requests:
            yield [self._ask(request, timed=False)]

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Call the function for each request and time it, after one call that is not counted. The time
        to the first token is unknown.

        Raises:
            BackendError, DialectError: as `answer`.
        """
        for request in requests[:1]:
            self._ask(request, timed=False)
        for request in requests:
            yield self._ask(request, timed=True)

    def close(self) -> None:
        """
        Do nothing: there is nothing to free.
        """

    def _ask(self, request: Request, *, timed: bool) -> Transcript:
        # Copies: what a function does to them must not reach the next case.
        messages = deepcopy(to_chat(request.messages))
        tools = [deepcopy(dict(tool.schema)) for tool in request.tools]
        started = time.perf_counter()
        try:
            answered = self._function(messages, tools)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            # Its failure belongs to this case and is stored there, whatever its class: a cancelled
            # asyncio task raises no Exception, and a GeneratorExit from inside this call is the
            # function's own.
            said = " ".join(str(exc).split())
            return Transcript(key=request.key, error=f"{type(exc).__name__}: {said}".rstrip(": "))
        took = (time.perf_counter() - started) * 1000
        timing = Timing(latency_ms=took) if timed else None
        reference = self._checkpoint.reference
        if isinstance(answered, str):
            if not self._reads_text:
                raise DialectError(
                    f"{reference} returned text, which does not say how tool calls are written in "
                    f"it; choose one with --dialect: {', '.join(names())}"
                )
            return Transcript(key=request.key, output=answered, timing=timing)
        if not isinstance(answered, Mapping) or not is_answer(answered):
            said = type(answered).__name__
            if isinstance(answered, Mapping):
                said = f"a dictionary with {', '.join(map(str, answered)) or 'nothing in it'}"
            return Transcript(
                key=request.key, error=f"expected text or an assistant message, got {said}"
            )
        with boundary(
            BackendError, f"{reference} returned a value that is not JSON (case {request.key.case})"
        ):
            canonical_json(answered)
        return Transcript(key=request.key, message=dict(answered), timing=timing)


def _function(reference: Reference) -> Function:
    module, colon, name = reference.target.partition(":")
    if not colon or not module or not name:
        raise BackendError(f"{reference}: write python:package.module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        # A command does not have the current folder on its path, unlike ``python -m``.
        sys.path.insert(0, here)
    with boundary(BackendError, f"{reference}: module {module} cannot be imported"):
        try:
            loaded: Any = importlib.import_module(module)
        except (Exception, KeyboardInterrupt):
            raise
        except SystemExit as exc:
            raise BackendError(f"{reference}: module {module} exits when imported") from exc
        except BaseException as exc:
            kind = type(exc).__name__
            raise BackendError(f"{reference}: module {module} raises {kind} when imported") from exc
    for part in name.split("."):
        loaded = getattr(loaded, part, None)
    if not callable(loaded):
        raise BackendError(f"{reference}: module {module} has no function {name}")
    function: Function = loaded
    return function
