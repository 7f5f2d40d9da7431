"""
The loop of an executed case: an answer is read, its calls are run, their results are told.

Every answer's calls are run, those of the last one too: that is what a runtime would have done.
What cannot be run is told in fixed words, in place of a result: a tool that nobody declared,
arguments that do not fit, a call that cannot be read. Of what a tool returns the model is shown the
first `CUT` characters. The conversation that follows is the one that a chat template renders: the
assistant's text and calls, then one message of role tool for each call.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from harness.constraints.keywords import json_equal
from harness.dialects.base import Attempt, Reading
from harness.environments.base import Environment, Returned, Tables
from harness.errors import TranscriptError
from harness.messages import Message, Tool, ToolCall
from harness.suites.suite import Case
from harness.transcript import Key, ToolResult, Transcript

CUT = 2000
"""How many characters of a result the model is shown."""

Stop = Literal["answered", "step_limit", "repeated_step", "error"]
"""
Why a case ended: an answer without calls; as many answers as it may take; a step that makes the
calls of the step before it; an answer that could not be made.
"""

UNREADABLE = "Error: the call could not be read."

Read = Callable[[Transcript, Sequence[Tool]], Reading]
"""Reads an answer strictly."""

Misfit = Callable[[Tool, Mapping[str, Any]], Sequence[str]]
"""Returns in fixed words how arguments depart from what a tool declares; empty if they fit."""


class Playing:
    """
    One case while it is executed: fed its answers one by one.
    """

    def __init__(
        self,
        case: Case,
        environment: Environment,
        *,
        read: Read,
        misfit: Misfit,
        max_steps: int,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """
        *case* is as the model sees it; *names* maps the names of its tools to the real ones, where
        they differ.
        """
        self.case = case
        self.messages: tuple[Message, ...] = case.turns[0].messages
        """What the model is shown next."""
        self.given = self.messages
        """What the case brought along."""
        self.answers: list[Transcript] = []
        """The answers so far, each with its results."""
        self.readings: list[Reading] = []
        self.stop: Stop | None = None
        """Why the case has ended; None while it has not."""
        self._episode = environment.begin(case)
        self.before: Tables | None = self._episode.state()
        """The state at the beginning."""
        self._read, self._misfit, self._max_steps = read, misfit, max_steps
        self._names = names or {}
        self._declared = {tool.name: tool for tool in case.tools}

    @property
    def state(self) -> Tables | None:
        """
        The state as it is now.
        """
        return self._episode.state()

    def key(self, repeat: int) -> Key:
        """
        Return the key of the answer that comes next.
        """
        return Key(self.case.id, repeat, 0, len(self.answers))

    def take(self, answer: Transcript) -> Transcript:
        """
        Take the next answer, run its calls, and return it with their results.

        Raises:
            TranscriptError: if it holds results already, and other ones.
        """
        if answer.error is not None:
            self.answers.append(answer)
            self.stop = "error"
            return answer
        reading = self._read(answer, self.case.tools)
        results = tuple(map(self._run, reading.attempts))
        if answer.results is not None and answer.results != results:
            raise TranscriptError(_differs(answer, results))
        done = replace(answer, results=results) if results else answer
        repeats = bool(self.readings) and _same_calls(self.readings[-1], reading)
        self.answers.append(done)
        self.readings.append(reading)
        self.messages += told(reading, results, len(self.answers) - 1)
        if not reading.attempts:
            self.stop = "answered"
        elif repeats:
            self.stop = "repeated_step"
        elif len(self.answers) >= self._max_steps:
            self.stop = "step_limit"
        return done

    def _run(self, attempt: Attempt) -> ToolResult:
        returned = self._called(attempt)
        length = len(returned.text)
        return ToolResult(
            text=returned.text[:CUT],
            length=length if length > CUT else None,
            documents=returned.documents,
        )

    def _called(self, attempt: Attempt) -> Returned:
        if not attempt.readable or attempt.name is None:
            return Returned(text=UNREADABLE)
        tool = self._declared.get(attempt.name)
        if tool is None:
            known = ", ".join(self._declared) or "none"
            return Returned(text=f"Error: there is no tool {attempt.name!r}; there are: {known}.")
        arguments = attempt.arguments or {}
        if wrong := self._misfit(tool, arguments):
            said = "; ".join(wrong)
            return Returned(text=f"Error: the arguments do not fit the tool {tool.name}: {said}.")
        return self._episode.call(self._names.get(tool.name, tool.name), arguments)


def told(reading: Reading, results: Sequence[ToolResult], step: int) -> tuple[Message, ...]:
    """
    Return the answer of a step and what its calls returned, as the conversation goes on.

    A call that cannot be read has no form in a conversation: it is shown by its name alone.
    """
    calls = tuple(
        ToolCall(
            name=attempt.name or "unreadable",
            arguments=(attempt.arguments or {}) if attempt.readable else {},
            id=_identity(step, position),
        )
        for position, attempt in enumerate(reading.attempts)
    )
    answer = Message(role="assistant", content=reading.text or None, tool_calls=calls)
    if not calls:
        return (replace(answer, content=reading.text),)
    return (
        answer,
        *(
            Message(role="tool", content=result.text, name=call.name, tool_call_id=call.id)
            for call, result in zip(calls, results, strict=True)
        ),
    )


def _identity(step: int, position: int) -> str:
    # Nine letters and digits: some templates accept nothing else.
    return f"call{step:02}{position:03}"


def _same_calls(one: Reading, two: Reading) -> bool:
    return len(one.attempts) == len(two.attempts) and all(
        _same_call(before, after) for before, after in zip(one.attempts, two.attempts, strict=True)
    )


def _same_call(one: Attempt, two: Attempt) -> bool:
    if not (one.readable and two.readable):
        return one.readable == two.readable and one.raw == two.raw
    return one.name == two.name and json_equal(one.arguments, two.arguments)


def _differs(answer: Transcript, results: Sequence[ToolResult]) -> str:
    stored = answer.results or ()
    position = next(
        (
            place
            for place, (was, now) in enumerate(zip(stored, results, strict=False))
            if was != now
        ),
        min(len(stored), len(results)),
    )
    key = answer.key
    repeat = f", repeat {key.repeat}" if key.repeat else ""
    return (
        f"case {key.case!r}{repeat}, step {key.step}: call {position + 1} no longer returns what "
        "is stored; run the checkpoint again, or restore the environment it was run in"
    )
