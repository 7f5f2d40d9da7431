"""
What every backend promises, held for all members.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.backends.base import Backend, BackendOptions, Generation, Request
from harness.backends.registry import open_backend
from harness.dialects.registry import dialect
from harness.errors import BackendError, CheckpointError, UsageError
from harness.messages import Message, Tool
from harness.transcript import Key, Transcript

TOOL = Tool.from_schema({"name": "search", "description": "Search."})
GENERATION = Generation(max_new_tokens=4)
KEYS = [Key("a"), Key("b", 0, 1), Key("b", 1, 0), Key("c"), Key("d"), Key("e"), Key("f")]
REQUESTS = [
    Request(
        key=key,
        messages=(
            Message(role="developer", content="S"),
            Message(role="user", content=f"question {index} " + "again " * (index * 3 % 5)),
        ),
        tools=(TOOL,),
    )
    for index, key in enumerate(KEYS)
]


@pytest.fixture(params=["transformers", "continuous", "replay", "python"])
def backend(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Backend]:
    options = BackendOptions(device="cpu", batch_size=3)
    if request.param == "transformers":
        reference = str(request.getfixturevalue("tiny_model"))
    elif request.param == "continuous":
        reference = f"continuous:{request.getfixturevalue('tiny_model')}"
    elif request.param == "replay":
        lines = [Transcript(key=key, message={"role": "assistant", "content": "x"}) for key in KEYS]
        path = tmp_path / "answers.jsonl"
        path.write_text("".join(json.dumps(line.to_json()) + "\n" for line in lines))
        reference = f"replay:{path}"
    else:
        (tmp_path / "toymodel.py").write_text(
            "def echo(messages, tools):\n"
            "    return {'role': 'assistant', 'content': messages[-1]['content'].upper()}\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        reference = "python:toymodel:echo"
    opened = open_backend(reference, options)
    yield opened
    opened.close()


def answers(backend: Backend, requests: list[Request]) -> dict[Key, Transcript]:
    found: dict[Key, Transcript] = {}
    for group in backend.answer(requests, GENERATION):
        for transcript in group:
            assert transcript.key not in found
            found[transcript.key] = transcript
    return found


def test_each_request_has_exactly_one_transcript(backend: Backend):
    assert set(KEYS) == set(answers(backend, REQUESTS))
    assert {} == answers(backend, [])


def test_answers_do_not_depend_on_grouping_or_order(backend: Backend):
    together = answers(backend, REQUESTS)

    assert together == answers(backend, REQUESTS[::-1])
    assert together == {
        key: transcript
        for request in REQUESTS
        for key, transcript in answers(backend, [request]).items()
    }


def test_a_transcript_survives_being_stored(backend: Backend):
    for transcript in answers(backend, REQUESTS).values():
        assert transcript == Transcript.from_json(json.dumps(transcript.to_json()))


def test_it_describes_itself_in_json(backend: Backend):
    described = dict(backend.describe())

    assert {"name", "dtype", "device", "batch", "attention"} == set(described)
    assert described == json.loads(json.dumps(described))
    checkpoint = backend.checkpoint
    assert dialect(checkpoint.dialect).version == checkpoint.dialect_version
    assert checkpoint.to_json() == json.loads(json.dumps(checkpoint.to_json()))


def test_answers_alone_are_timed_or_refused(backend: Backend):
    if backend.describe()["name"] == "replay":
        with pytest.raises(UsageError, match="a replay cannot be timed"):
            list(backend.answer_alone(REQUESTS, GENERATION))
        return
    alone = list(backend.answer_alone(REQUESTS[:2], GENERATION))

    assert [request.key for request in REQUESTS[:2]] == [transcript.key for transcript in alone]
    plain = answers(backend, REQUESTS[:2])
    for transcript in alone:
        assert transcript.timing is not None
        assert 0 < transcript.timing.latency_ms
        assert plain[transcript.key].output == transcript.output
        assert plain[transcript.key].message == transcript.message


# The registry.


def test_an_unknown_folder_is_an_error_of_the_checkpoint():
    with pytest.raises(CheckpointError, match="no such folder"):
        open_backend("no/such/folder", BackendOptions(device="cpu"))


def test_an_installed_backend_serves_its_scheme(installed: Callable[..., None]):
    installed("harness.backends", toy="builtins:repr")

    with pytest.raises(BackendError, match="toy:x cannot be opened"):
        open_backend("toy:x", BackendOptions())


def test_a_backend_that_cannot_be_imported_is_named(installed: Callable[..., None]):
    installed("harness.backends", toy="no_such_module:open")

    with pytest.raises(BackendError, match=r"backend 'toy' \(no_such_module:open"):
        open_backend("toy:x", BackendOptions())
