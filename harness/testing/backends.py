"""
What every backend promises (`harness.backends.base.Backend`), as tests.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from harness.backends.base import Backend, BackendOptions, Generation, Request, WithLogits
from harness.backends.registry import open_backend
from harness.dialects.registry import dialect
from harness.errors import UsageError
from harness.messages import Message, Tool, ToolCall
from harness.transcript import Key, Transcript

GENERATION = Generation(max_new_tokens=4)
KEYS = (Key("a"), Key("b", 0, 1), Key("b", 1, 0), Key("c"), Key("d"), Key("e"), Key("f"))
"""The requested answers: a backend that replays needs one for each."""
REQUESTS = tuple(
    Request(
        key=key,
        messages=(
            Message(role="developer", content="S"),
            Message(role="user", content=f"question {index} " + "again " * (index * 3 % 5)),
        ),
        tools=(Tool.from_schema({"name": "search", "description": "Search."}),),
    )
    for index, key in enumerate(KEYS)
)


class BackendContract:
    """
    Held by every backend. A subclass overrides the fixture ``reference``, which returns what
    ``--checkpoint`` would be, such as ``"toy:model"``.
    """

    options: ClassVar[BackendOptions] = BackendOptions(device="cpu", batch_size=3)
    """The options it is opened with."""
    timed: ClassVar[bool] = True
    """Whether it can measure the time of an answer."""

    @pytest.fixture
    def reference(self) -> str:
        """
        Return the reference to open.
        """
        raise UsageError(f"{type(self).__name__} needs a fixture `reference`: what to open")

    @pytest.fixture
    def backend(self, reference: str) -> Iterator[Backend]:
        """
        Open the backend, and close it after the test.
        """
        opened = open_backend(reference, self.options)
        yield opened
        opened.close()

    def test_each_request_has_exactly_one_transcript(self, backend: Backend) -> None:
        assert set(KEYS) == set(answers(backend, REQUESTS))
        assert {} == answers(backend, [])

    def test_answers_do_not_depend_on_grouping_or_order(self, backend: Backend) -> None:
        together = answers(backend, REQUESTS)

        assert together == answers(backend, REQUESTS[::-1])
        assert together == {
            key: transcript
            for request in REQUESTS
            for key, transcript in answers(backend, [request]).items()
        }

    def test_a_conversation_with_a_call_and_its_result_is_answered(self, backend: Backend) -> None:
        # The next step of an executed case.
        call = ToolCall(name="search", arguments={"query": "q"})
        further = [
            replace(
                request,
                messages=(
                    *request.messages,
                    Message(role="assistant", content="", tool_calls=(call,)),
                    Message(role="tool", name="search", content="[doc] The answer is 3."),
                ),
            )
            for request in REQUESTS[:2]
        ]
        found = answers(backend, further)

        assert {request.key for request in further} == set(found)
        assert [None, None] == [each.error for each in found.values()]

    def test_a_transcript_survives_being_stored(self, backend: Backend) -> None:
        for transcript in answers(backend, REQUESTS).values():
            assert transcript == Transcript.from_json(json.dumps(transcript.to_json()))

    def test_it_describes_itself_in_json(self, backend: Backend) -> None:
        described = dict(backend.describe())

        assert {"name", "dtype", "device", "batch", "attention"} <= set(described)
        assert described == json.loads(json.dumps(described))

    def test_the_checkpoint_can_be_opened_again_from_what_a_run_stores(
        self, backend: Backend
    ) -> None:
        checkpoint = backend.checkpoint
        assert dialect(checkpoint.dialect).version == checkpoint.dialect_version
        assert checkpoint.to_json() == json.loads(json.dumps(checkpoint.to_json()))

        again = open_backend(checkpoint.reference, self.options)

        assert checkpoint == again.checkpoint
        assert dict(backend.describe()) == dict(again.describe())
        again.close()

    def test_answers_alone_are_timed_or_refused(self, backend: Backend) -> None:
        if not self.timed:
            with pytest.raises(UsageError):
                list(backend.answer_alone(REQUESTS, GENERATION))
            return
        alone = list(backend.answer_alone(REQUESTS[:2], GENERATION))

        assert [request.key for request in REQUESTS[:2]] == [each.key for each in alone]
        plain = answers(backend, REQUESTS[:2])
        for transcript in alone:
            assert transcript.timing is not None
            assert transcript.timing.latency_ms > 0
            assert plain[transcript.key].output == transcript.output
            assert plain[transcript.key].message == transcript.message

    def test_the_tokens_of_an_answer_have_the_largest_logits_where_it_tells_logits(
        self, backend: Backend
    ) -> None:
        if not isinstance(backend, WithLogits):
            return
        for key, transcript in answers(backend, REQUESTS).items():
            [request] = [each for each in REQUESTS if each.key == key]
            # Of bytes that are no text the tokens cannot be told.
            text = str(transcript.output).partition("\ufffd")[0]
            tokens = backend.tokenizer.encode(text, add_special_tokens=False)
            for place, token in enumerate(tokens):
                others = sorted({0, 1, *tokens} - {token})
                best, *rest = backend.logits(request, tokens[:place], [token, *others])

                assert best > max(rest)


def answers(backend: Backend, requests: Sequence[Request]) -> dict[Key, Transcript]:
    """
    Return the answers to requests; assert that there are no duplicates.
    """
    found: dict[Key, Transcript] = {}
    for group in backend.answer(requests, GENERATION):
        for transcript in group:
            assert transcript.key not in found
            found[transcript.key] = transcript
    return found
