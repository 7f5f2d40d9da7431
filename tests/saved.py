"""
Checkpoints of a training whose answers are known: what each of them says lies beside its weights.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from harness.backends.base import Backend, BackendOptions
from harness.backends.registry import open_backend

from .builders import question, write_suite

COUNT = 40


class Training:
    """
    A folder that a trainer saves to, and a record of what was asked of what it saved.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.opened: list[str] = []
        folder.mkdir()
        monkeypatch.setattr("harness.workflow.spread.open_backend", self._open)

    def _open(self, text: str, options: BackendOptions) -> Backend:
        self.opened.append(Path(text).name)
        return open_backend(f"replay:{text}/answers.jsonl", options)

    def save(
        self,
        step: int,
        *,
        wrong: Collection[int] = (),
        twice: Collection[int] = (),
        losses: Collection[tuple[int, float]] = (),
        last: int = 0,
    ) -> Path:
        """
        Save a checkpoint that is wrong in the cases numbered *wrong* and calls twice in *twice*.
        """
        from safetensors.numpy import save_file

        folder = self.folder / f"checkpoint-{step}"
        folder.mkdir()
        save_file({"step": weights(step)}, folder / "model.safetensors")
        (folder / "config.json").write_text("{}")
        said = "".join(json.dumps(_answer(n, wrong, twice)) + "\n" for n in range(COUNT))
        (folder / "answers.jsonl").write_text(said)
        history = [{"step": at, "eval_loss": loss} for at, loss in losses]
        state = {"global_step": step, "max_steps": last, "log_history": history}
        (folder / "trainer_state.json").write_text(json.dumps(state))
        return folder


def weights(step: int) -> Any:
    import numpy as np

    return np.array([step], dtype=np.float32)


def _answer(number: int, wrong: Collection[int], twice: Collection[int]) -> dict[str, Any]:
    names = ["outside" if number in wrong else "inside"] + ["outside"] * (number in twice)
    made = [
        {"type": "function", "function": {"name": name, "arguments": {"q": f"{number}"}}}
        for name in names
    ]
    tokens = 20 + number % 7 + 15 * (number in twice)
    return {
        "case": f"c{number}",
        "message": {"role": "assistant", "tool_calls": made},
        "output_tokens": tokens,
    }


def project(root: Path) -> None:
    """
    Write the suite that is asked, with `COUNT` cases.
    """
    cases = [question(f"c{number}", q=f"{number}") for number in range(COUNT)]
    write_suite(root, cases, name="routing")
