"""
``toy:NAME``: a model that calls the first tool it is shown with what the user said.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.backends.base import BackendOptions, Generation, Request
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.reference import Reference
from harness.dialects.registry import dialect
from harness.messages import ToolCall
from harness.transcript import Timing, Transcript


class ToyBackend:
    """
    One toy model.
    """

    def __init__(self, reference: Reference, options: BackendOptions) -> None:
        self._dialect = dialect(options.dialect or "toy")
        self.checkpoint = Checkpoint(
            reference=str(reference),
            dialect=self._dialect.name,
            dialect_version=self._dialect.version,
        )

    def describe(self) -> Mapping[str, Any]:
        """
        Return the ``backend`` block of run.json.
        """
        return {"name": "toy", "dtype": None, "device": None, "batch": None, "attention": None}

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer *requests* all at once.
        """
        yield [self._transcript(request) for request in requests]

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Answer *requests* one at a time by the clock.
        """
        for request in requests:
            began = time.perf_counter()
            self._transcript(request)
            took = (time.perf_counter() - began) * 1000
            yield self._transcript(request, Timing(latency_ms=took, ttft_ms=None))

    def close(self) -> None:
        """
        Do nothing: there is nothing to free.
        """

    def _transcript(self, request: Request, timing: Timing | None = None) -> Transcript:
        said = request.messages[-1].content or ""
        calls = [ToolCall(name=tool.name, arguments={"query": said}) for tool in request.tools[:1]]
        return Transcript(key=request.key, output=self._dialect.render(calls), timing=timing)
