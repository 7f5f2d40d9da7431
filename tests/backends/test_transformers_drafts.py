"""
A run with a draft is the run without it, sooner; and the margin says how sure a checkpoint was.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.engine.decoding import Answer, OutOfMemory
from harness.backends.engine.engine import Engine, Row
from harness.backends.margins import margin, watched_tokens
from harness.backends.transformers import TransformersBackend
from harness.checkpoints.reference import parse_reference
from harness.dialects.hermes import HERMES
from harness.messages import Message, Tool, ToolCall
from harness.transcript import Key, Transcript
from harness.workflow import run as workflow
from harness.workflow.compare import compare
from harness.workflow.options import RunOptions
from harness.workflow.project import Project, open_project

WORDS = "what is the policy on overtime pay for staff who travel by train at night".split()
TOOLS = tuple(Tool.from_schema({"name": name}) for name in ("search_web", "search_files", "ask"))
GENERATION = Generation(max_new_tokens=10)


def questions(count: int, drafts: dict[Key, str] | None = None) -> list[Request]:
    return [
        Request(
            key=Key(f"case-{n}"),
            messages=(Message(role="user", content=" ".join(WORDS[: 1 + n * 5 % 11])),),
            tools=TOOLS,
            draft=(drafts or {}).get(Key(f"case-{n}")),
        )
        for n in range(count)
    ]


@pytest.fixture
def opened(tiny_model: Path) -> Callable[..., TransformersBackend]:
    def open_(**options: Any) -> TransformersBackend:
        return TransformersBackend.open(
            parse_reference(str(tiny_model)), BackendOptions(device="cpu", **options)
        )

    return open_


def answers(backend: TransformersBackend, requests: list[Request]) -> dict[Key, Transcript]:
    return {each.key: each for group in backend.answer(requests, GENERATION) for each in group}


def plain_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """
    Record the sizes of the batches that are answered the plain way.
    """
    from harness.backends import transformers

    sizes: list[int] = []
    decode = transformers.decode

    def counted(model: Any, prompts: Any, *more: Any) -> Any:
        sizes.append(len(prompts))
        return decode(model, prompts, *more)

    monkeypatch.setattr(transformers, "decode", counted)
    return sizes


def test_drafts_change_no_answer(opened: Callable[..., TransformersBackend]):
    alone = answers(opened(batch_size=1), questions(12))
    said = {key: str(each.output) for key, each in alone.items()}
    wrong = {key: text[: n % 7] + "<tool_call>" for n, (key, text) in enumerate(said.items())}

    for drafts in (None, said, wrong):
        assert alone == answers(opened(), questions(12, drafts))


def test_a_draft_of_half_a_letter_is_not_a_draft(opened: Callable[..., TransformersBackend]):
    broken = {Key(f"case-{n}"): "caf\ud83d" for n in range(5)}

    assert answers(opened(), questions(5)) == answers(opened(), questions(5, broken))


def test_no_more_rows_are_tried_than_prompts_wait(
    opened: Callable[..., TransformersBackend], monkeypatch: pytest.MonkeyPatch
):
    tried = []

    def run(self: Engine, rows: int) -> Iterator[list[Row]]:
        tried.append(rows)
        raise OutOfMemory
        yield

    monkeypatch.setattr(Engine, "run", run)
    said: list[str] = []

    assert 6 == len(answers(opened(notify=said.append), questions(6)))
    assert [6, 3, 1] == tried
    assert "a batch of 6 does not fit in memory; continuing with 3" in said


def test_the_engine_answers_where_it_may(
    opened: Callable[..., TransformersBackend], monkeypatch: pytest.MonkeyPatch
):
    sizes = plain_calls(monkeypatch)

    answers(opened(), questions(5))
    assert [] == sizes
    answers(opened(batch_size=1), questions(3))
    assert [1, 1, 1] == sizes


def test_a_model_that_does_not_agree_is_answered_in_plain_batches(
    opened: Callable[..., TransformersBackend], monkeypatch: pytest.MonkeyPatch
):
    from harness.backends.engine import attention

    expected = answers(opened(), questions(5))
    sizes, said = plain_calls(monkeypatch), list[str]()
    monkeypatch.setattr(attention.Prefill, "positions", property(lambda self: self._slot))

    found = answers(opened(notify=said.append), questions(5))

    assert (expected, [5]) == (found, sizes)
    assert "left-padded batches: logits differ" in said[-1]


def test_ties_are_decided_one_at_a_time_and_counted(
    opened: Callable[..., TransformersBackend], monkeypatch: pytest.MonkeyPatch
):
    from harness.backends.engine import agreement

    expected = answers(opened(), questions(5))
    sizes, said = plain_calls(monkeypatch), list[str]()
    monkeypatch.setattr(agreement, "SAFETY", 1e9)

    assert expected == answers(opened(notify=said.append), questions(5))
    assert [1] * 5 == sizes
    assert "5 of 5 answers are decided one at a time" in said[-1]


def test_memory_that_runs_out_halves_the_batch_and_loses_nothing(
    opened: Callable[..., TransformersBackend], monkeypatch: pytest.MonkeyPatch
):
    expected = answers(opened(), questions(12))
    said: list[str] = []
    backend = opened(batch_size=8, notify=said.append)
    list(backend.answer(questions(2), GENERATION))  # what is checked first does not matter here

    def fails(model: Any, args: Any, kwargs: Any) -> None:
        if kwargs["logits_to_keep"].numel() > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    backend._model.register_forward_pre_hook(fails, with_kwargs=True)

    assert expected == answers(backend, questions(12))
    assert "a batch of 8 does not fit in memory; continuing with 4" in said
    assert 8 == backend.describe()["batch"]


# A run.


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "suites" / "toy"
    folder.mkdir(parents=True)
    (folder / "suite.yaml").write_text(
        "format: 1\nname: toy\nversion: 1.0.0\ntools: tools.json\ncases: cases.jsonl\n"
        "generation: {max_new_tokens: 10}\n"
    )
    (folder / "tools.json").write_text(json.dumps([dict(tool.schema) for tool in TOOLS]))
    lines = [
        {"id": f"c{n}", "prompt": " ".join(WORDS[: 1 + n]), "expect": {"abstain": True}}
        for n in range(6)
    ]
    (folder / "cases.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return open_project(tmp_path)


def test_a_run_with_a_draft_is_the_run_without(tiny_model: Path, project: Project):
    def run(name: str, **options: Any) -> Any:
        return workflow.run(
            "toy",
            str(tiny_model),
            project=project,
            out=project.root / name,
            options=RunOptions(device="cpu", **options),
        )

    first = run("first")
    second = run("second", draft=str(first.folder))
    repeated = run("repeated", draft=str(first.folder), repeats=2)

    kept = {each.key: each for each in first.transcripts()}
    assert kept == {each.key: each for each in second.transcripts()}
    assert 12 == len(list(repeated.transcripts()))
    assert first.record.backend == second.record.backend
    assert () == compare(first, second).comparison.differences


def test_a_draft_that_is_not_there_is_said_before_the_model_is_loaded(project: Project):
    from harness.errors import StoreError

    with pytest.raises(StoreError, match="neither a run folder nor a baseline"):
        workflow.run(
            "toy",
            "no/such/model",
            project=project,
            options=RunOptions(draft="shipped"),
        )


# Margins.


def scored(
    tokenizer: Any, text: str, likely: dict[str, float], tools: tuple[Tool, ...] = TOOLS
) -> float | None:
    """
    Return the margin of an answer where the logit of each character is *likely*, or 0.
    """
    tokens = watched_tokens(tokenizer, tools)
    ids = tokenizer.encode(text, add_special_tokens=False)
    logits = torch.tensor([likely.get(tokenizer.decode([id_]), 0.0) for id_ in tokens])
    answer = Answer(ids=ids, stopped=True, watched=[logits] * len(ids) if tokens else ())
    return margin(tokenizer, HERMES, tools, text, answer, tokens)


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def test_the_margin_is_that_against_the_runner_up(tokenizer: Any):
    """
    Tokens are bytes: search_web and search_files part at "w" and "f", both from ask at "s" and "a".
    """
    text = HERMES.render([ToolCall(name="search_web", arguments={"q": "x"})])

    assert 2.5 == scored(tokenizer, text, {"w": 5.0, "f": 2.5, "s": 4.0, "a": 1.0})
    assert -1.0 == scored(tokenizer, text, {"w": 5.0, "f": 2.5, "s": 0.0, "a": 1.0})


@pytest.mark.parametrize(
    ("text", "tools"),
    [
        ("No call at all.<|im_end|>", TOOLS),
        (HERMES.render([ToolCall(name="unknown", arguments={})]), TOOLS),
        (HERMES.render([ToolCall(name="ask", arguments={})]), TOOLS[2:]),
        (HERMES.render([ToolCall(name="ask", arguments={})]), TOOLS * 40),
    ],
    ids=["no call", "undeclared", "one tool", "too many tools"],
)
def test_where_there_is_no_runner_up_there_is_no_margin(
    tokenizer: Any, text: str, tools: tuple[Tool, ...]
):
    assert scored(tokenizer, text, {"a": 1.0}, tools) is None


def test_a_margin_is_stored_with_its_answer():
    transcript = Transcript(key=Key("a"), output="x", margin=-1.25)

    assert transcript == Transcript.from_json(json.dumps(transcript.to_json()))
    with pytest.raises(ValueError, match="'margin' must be a number"):
        Transcript.from_json('{"case": "a", "output": "x", "margin": "big"}')
    assert None is replace(transcript, margin=None).to_json().get("margin")
