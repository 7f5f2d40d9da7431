"""
The loop that executes calls: what is told, when it ends.
"""

import json
from typing import Any

import pytest

from harness.environments.base import Returned
from harness.environments.loop import CUT, UNREADABLE, Playing
from harness.errors import TranscriptError
from harness.scoring.tool_schema import misfit
from harness.transcript import Key, ToolResult, Transcript
from tests import builders

SEARCH = builders.tool("search", query={"type": "string"})


class Echo:
    """
    An environment that returns what it was called with, *length* times.
    """

    def __init__(self, length: int = 1) -> None:
        self.length = length
        self.calls: list[tuple[str, Any]] = []

    def begin(self, case: Any) -> "Echo":
        return self

    def call(self, tool: str, arguments: Any) -> Returned:
        self.calls.append((tool, arguments))
        return Returned(text=json.dumps(arguments) * self.length, documents=("d",))

    def state(self) -> None:
        return None


def begin(environment: Echo, readings: dict[str, Any], **settings: Any) -> Playing:
    return Playing(
        builders.case(builders.abstain(), tools=[SEARCH]),
        environment,
        read=lambda transcript, _: readings[transcript.output or ""],
        misfit=misfit,
        max_steps=settings.pop("max_steps", 4),
        **settings,
    )


def step(number: int, output: str, **fields: Any) -> Transcript:
    return Transcript(key=Key("c1", 0, 0, number), output=output, **fields)


CALL = builders.answer(builders.attempt("search", query="x"), text="Let me see.")
OTHER = builders.answer(builders.attempt("search", query="y"))
TEXT = builders.answer(text="It is 3.")


def test_results_go_into_the_conversation_and_an_answer_without_calls_ends_it():
    playing = begin(Echo(), {"call": CALL, "text": TEXT})

    taken = playing.take(step(0, "call"))

    assert (ToolResult(text='{"query": "x"}', documents=("d",)),) == taken.results
    asked, called, told = playing.messages
    assert "user" == asked.role
    assert ("Let me see.", "search", {"query": "x"}) == (
        called.content,
        called.tool_calls[0].name,
        called.tool_calls[0].arguments,
    )
    assert ("tool", '{"query": "x"}', "search") == (told.role, told.content, told.name)
    assert told.tool_call_id == called.tool_calls[0].id
    assert playing.stop is None
    assert Key("c1", 2, 0, 1) == playing.key(2)

    assert playing.take(step(1, "text")).results is None
    assert "answered" == playing.stop


@pytest.mark.parametrize(
    ("attempt", "told"),
    [
        (builders.attempt("find", query="x"), "there is no tool 'find'; there are: search."),
        (builders.attempt("search", query=3), "search: query must be of type string."),
        (builders.malformed("search"), UNREADABLE),
        (builders.malformed(), UNREADABLE),
        (builders.unfinished("search"), UNREADABLE),
    ],
)
def test_what_cannot_be_run_is_told_and_nothing_is_run(attempt: Any, told: str):
    environment = Echo()
    playing = begin(environment, {"call": builders.answer(attempt)})

    playing.take(step(0, "call"))

    assert str(playing.messages[-1].content).endswith(told)
    assert [] == environment.calls
    assert playing.stop is None


def test_a_long_result_is_cut_and_that_is_recorded():
    playing = begin(Echo(1000), {"call": CALL})

    (result,) = playing.take(step(0, "call")).results or ()

    assert CUT == len(result.text) == len(str(playing.messages[-1].content))
    assert 14000 == result.length


def test_a_step_that_repeats_the_one_before_ends_the_case():
    playing = begin(Echo(), {"call": CALL, "other": OTHER, "again": CALL})
    playing.take(step(0, "other"))
    playing.take(step(1, "call"))
    playing.take(step(2, "again"))

    assert "repeated_step" == playing.stop


def test_the_last_step_is_run_and_ends_the_case():
    environment = Echo()
    playing = begin(environment, {"call": CALL, "other": OTHER}, max_steps=2)
    playing.take(step(0, "call"))
    playing.take(step(1, "other"))

    assert "step_limit" == playing.stop
    assert 2 == len(environment.calls)


def test_an_answer_that_could_not_be_made_ends_the_case():
    playing = begin(Echo(), {})
    playing.take(Transcript(key=Key("c1"), error="the server went away"))

    assert "error" == playing.stop


def test_a_result_that_differs_from_the_stored_one_is_refused():
    playing = begin(Echo(), {"call": CALL})

    with pytest.raises(TranscriptError, match=r"case 'c1', step 0: call 1 no longer returns"):
        playing.take(step(0, "call", results=(ToolResult(text="something else"),)))


def test_tools_are_run_under_their_real_names():
    environment = Echo()
    playing = begin(environment, {"call": CALL}, names={"search": "kb.search"})
    playing.take(step(0, "call"))

    assert [("kb.search", {"query": "x"})] == environment.calls
