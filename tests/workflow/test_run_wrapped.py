"""
Runs of checkpoints behind ``vllm:`` and ``continuous:`` are opened again from what they stored.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.registry import open_backend
from harness.reports.build import view
from harness.reports.explain import explain_case
from harness.runs.baselines import save_baseline
from harness.runs.store import StoredRun
from harness.suites.files import load_suite
from harness.transcript import Key
from harness.workflow import run as workflow
from harness.workflow.gate import gate
from harness.workflow.options import RunOptions
from harness.workflow.project import open_project

from ..stand_in_vllm import install

COUNT, CHANGED = 60, 5
FOUR = Generation(max_new_tokens=4)


@pytest.fixture(params=["continuous", "vllm"])
def scheme(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    install(monkeypatch)
    return str(request.param)


@pytest.fixture
def model(tmp_path: Path, tiny_model: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_suite({})
    return tmp_path


def write_suite(answers: dict[str, str]) -> None:
    """
    A suite that wants no calls, and of some cases this very answer.
    """
    folder = Path("suites/ask")
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(COUNT):
        identity = f"c{number}"
        text: dict[str, Any] = {"text": answers[identity]} if identity in answers else {}
        expect = {"abstain": True, **text}
        rows.append({"id": identity, "prompt": f"Question {number}?", "expect": expect})
    tools = [{"name": "look", "description": "Look.", "parameters": {"type": "object"}}]
    suite = {"format": 1, "name": "ask", "version": "1.0.0", "tools": tools, "cases": rows}
    (folder / "suite.yaml").write_text(json.dumps(suite))


def answers_of(reference: str, many: int) -> dict[str, str]:
    suite = load_suite(Path("suites/ask"))
    backend = open_backend(reference, BackendOptions(dtype="float32"))
    requests = [
        Request(key=Key(case.id), messages=case.turns[0].messages, tools=case.tools)
        for case in suite.cases[:many]
    ]
    try:
        found = {t.key.case: t for group in backend.answer(requests, FOUR) for t in group}
    finally:
        backend.close()
    return {case: str(answer.output) for case, answer in found.items()}


def run(reference: str, name: str) -> StoredRun:
    options = RunOptions(max_new_tokens=4, dtype="float32")
    return workflow.run("ask", reference, out=Path("runs") / name, options=options)


def test_the_prompt_is_explained_as_the_model_was_shown_it(scheme: str, model: Path):
    stored = run(f"{scheme}:{model}", "new")

    said = "\n".join(explain_case(stored, "c1"))

    assert f"{scheme}:{model}" == stored.record.checkpoint.reference
    assert "<|im_start|>user" in said
    assert '"name": "look"' in said


def test_the_report_shows_how_it_was_trained(scheme: str, model: Path):
    losses = [{"epoch": 1, "train": 2.0, "valid": 1.5}]
    training = {"digest": "sha256:0", "losses": losses, "kept_epoch": 1, "seconds": 3.0}
    (model / "training.json").write_text(json.dumps(training))

    shown = view(run(f"{scheme}:{model}", "new")).training

    assert shown is not None
    assert 1.5 == shown.losses[0].valid


def test_what_would_block_is_decided_again_as_it_was_run(scheme: str, model: Path):
    from transformers import AutoModelForCausalLM

    other = Path(shutil.copytree(model, "other"))
    changed = AutoModelForCausalLM.from_pretrained(other)
    changed.lm_head.weight.data = changed.lm_head.weight.data.flip(0).contiguous()
    changed.save_pretrained(other)
    write_suite({
        case: answer.removesuffix("<|im_end|>")
        for case, answer in answers_of(str(model), CHANGED).items()
    })  # fmt: skip
    old = run(f"{scheme}:{model}", "old")
    save_baseline(
        old,
        open_project().baselines,
        "shipped",
        saved="2026-11-30",
        reason=None,
        instead_of=None,
    )
    new = run(f"{scheme}:{other}", "new")

    found = gate("shipped", new, recheck=True)

    assert "regressed" == found.verdict.verdict
    assert "decided again at batch size 1: 5 flips" in found.verdict.notes[0]
