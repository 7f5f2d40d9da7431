"""
A backend whose answers depend on what should not matter, as its file says: ``noisy:FILE``.

The file is JSON: ``weights`` names the checkpoint; ``wrong`` are the cases answered wrongly in any
way, ``wrong_batched`` those wrong in any batch of two or more, ``right_batched`` those of *wrong*
that such a batch gets right, ``wrong_beside`` maps a case to the one in whose batch it is wrong,
``wrong_again`` are those wrong when the opened backend was asked before, ``wrong_seeds`` maps seeds
to cases, and ``broken_alone`` are those that break at batch size 1.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.backends.base import BackendOptions, Generation, Request
from harness.canonical import digest
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.reference import SCHEMES, Reference
from harness.errors import BackendError
from harness.transcript import Transcript

ROWS = 8

asked: list[tuple[str, list[str]]] = []
"""Every batch any such backend was asked: its file's name and the cases."""

opened: list[str] = []
"""The names of the files that are open now."""

opened_together: list[list[str]] = []
"""Which were open after each opening."""


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let checkpoints be named ``noisy:FILE`` in a test.
    """
    monkeypatch.setitem(SCHEMES.built_in, "noisy", f"{__name__}:NoisyBackend")
    for seen in (asked, opened, opened_together):
        seen.clear()


class NoisyBackend:
    """
    One file.
    """

    def __init__(self, reference: Reference, options: BackendOptions) -> None:
        path = Path(reference.target)
        if not path.is_file():
            raise BackendError(f"{path} is not there")
        self._given: dict[str, Any] = json.loads(path.read_text())
        self._name = path.stem
        self._batch_size = options.batch_size
        self._asked_before = False
        opened.append(self._name)
        opened_together.append([*opened])
        self.checkpoint = Checkpoint(
            reference=str(reference),
            weights=digest(self._given["weights"]),
            dialect="hermes",
            dialect_version=1,
        )

    def describe(self) -> Mapping[str, Any]:
        return {
            "name": "noisy",
            "dtype": self._given.get("dtype", "float32"),
            "device": "cpu",
            "batch": self._batch_size or "auto",
            "attention": None,
        }

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        size = self._batch_size or ROWS
        for start in range(0, len(requests), size):
            batch = requests[start : start + size]
            names = [request.key.case for request in batch]
            asked.append((self._name, names))
            yield [
                self._transcript(request, self._is_wrong(request.key.case, names, generation))
                for request in batch
            ]
        self._asked_before = True

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        raise NotImplementedError

    def close(self) -> None:
        opened.remove(self._name)

    def _is_wrong(self, case: str, batch: list[str], generation: Generation) -> bool:
        given, wrong = self._given, case in self._given.get("wrong", ())
        if len(batch) > 1:
            wrong = wrong and case not in given.get("right_batched", ())
            wrong = wrong or case in given.get("wrong_batched", ())
            wrong = wrong or given.get("wrong_beside", {}).get(case) in batch
        wrong = wrong or (self._asked_before and case in given.get("wrong_again", ()))
        return wrong or case in given.get("wrong_seeds", {}).get(str(generation.seed), ())

    def _transcript(self, request: Request, wrong: bool) -> Transcript:
        if request.key.case in self._given.get("broken_alone", ()) and self._batch_size == 1:
            return Transcript(key=request.key, error="no memory")
        tool = "outside" if wrong else "inside"
        call = json.dumps({"name": tool, "arguments": {"q": request.key.case}})
        return Transcript(
            key=request.key,
            output=f"<tool_call>\n{call}\n</tool_call><|im_end|>",
            output_tokens=12,
            finish_reason="stop",
        )
