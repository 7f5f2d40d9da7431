"""
Continuous batching gives the answers of the plain way.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.backends import continuous
from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.engine.decoding import OutOfMemory
from harness.backends.registry import open_backend
from harness.errors import BackendError, UsageError
from harness.messages import Message, Tool
from harness.transcript import Key, Transcript

TOOL = Tool.from_schema({"name": "search", "description": "Search."})
EIGHT = Generation(max_new_tokens=8)
ASKED = [
    Request(
        key=Key(f"case-{index}"),
        messages=(Message(role="user", content=f"question {index} " + "again " * (index % 4)),),
        tools=(TOOL,),
    )
    for index in range(9)
]


def answers(reference: str, generation: Generation, **options: int) -> dict[Key, Transcript]:
    backend = open_backend(reference, BackendOptions(device="cpu", **options))
    try:
        return {t.key: t for group in backend.answer(ASKED, generation) for t in group}
    finally:
        backend.close()


def told(found: dict[Key, Transcript]) -> dict[Key, tuple[str | None, str | None, int | None]]:
    return {key: (t.output, t.finish_reason, t.output_tokens) for key, t in found.items()}


@pytest.mark.parametrize("batch_size", [2, None])
def test_its_answers_are_those_one_at_a_time(
    tiny_model: Path, batch_size: int | None, monkeypatch: pytest.MonkeyPatch
):
    # Several groups.
    monkeypatch.setattr(continuous, "GROUP", 4)
    asked = {} if batch_size is None else {"batch_size": batch_size}

    found = answers(f"continuous:{tiny_model}", EIGHT, **asked)

    assert told(found) == told(answers(str(tiny_model), EIGHT, batch_size=1))
    assert {None} == {t.margin for t in found.values()}


def test_samples_are_drawn_as_without_it(tiny_model: Path):
    sampled = Generation(max_new_tokens=4, do_sample=True, temperature=1.5, seed=3)

    assert told(answers(str(tiny_model), sampled)) == told(
        answers(f"continuous:{tiny_model}", sampled)
    )


def test_it_is_the_same_checkpoint_run_in_another_way(tiny_model: Path):
    one = open_backend(f"continuous:{tiny_model}", BackendOptions(device="cpu"))
    other = open_backend(str(tiny_model), BackendOptions(device="cpu"))

    assert replace(one.checkpoint, reference="") == replace(other.checkpoint, reference="")
    assert f"continuous:{tiny_model}" == one.checkpoint.reference
    assert "transformers-continuous" == one.describe()["name"]
    one.close()
    other.close()


def test_where_memory_runs_out_half_as_many_are_tried(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    tried = []
    real = continuous.answer_together

    def scarce(model, prompts, generation, stops, rows):
        tried.append(rows)
        if rows > 2:
            raise OutOfMemory
        return real(model, prompts, generation, stops, rows)

    monkeypatch.setattr(continuous, "answer_together", scarce)
    found = answers(f"continuous:{tiny_model}", EIGHT, batch_size=8)

    assert [8, 4, 2] == tried
    assert len(ASKED) == len(found)


def test_an_answer_that_is_missing_is_an_error(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    backend = open_backend(f"continuous:{tiny_model}", BackendOptions(device="cpu"))
    monkeypatch.setattr(backend._model, "generate_batch", lambda **_: {})  # type: ignore[attr-defined]

    with pytest.raises(BackendError, match=r"0 answers to 9 prompts; drop continuous:"):
        list(backend.answer(ASKED, EIGHT))


def test_what_has_no_weights_is_refused():
    with pytest.raises(UsageError, match="has no weights to load"):
        open_backend("continuous:replay:answers.jsonl", BackendOptions(device="cpu"))
