"""
The turns of a case: the conversation before each answer, and what the answer must be.

A case has one turn (``expect``) or several (``turns``). The history of each is the beginning of the
case and the ``then`` of the turns before it, whatever a model answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.diagnostics import Flaw, Steps
from harness.documents import TOO_DEEP, unstorable_parts
from harness.messages import Message, Tool
from harness.suites.expectations import NOT_OFFERED, expectation, expectation_flaws
from harness.suites.suite import Turn
from harness.wording import suggest


def turn_flaws(row: Mapping[str, Any], steps: Steps, tools: Mapping[str, Tool]) -> Iterator[Flaw]:
    """
    Yield the flaws of the turns of a case that offers *tools*.
    """
    if "prompt" in row and "turns" not in row:
        # Nothing can be wrong with one message of the user.
        if "expect" in row:
            yield from expectation_flaws(row["expect"], (*steps, "expect"), tools)
        return
    at = (*steps, "prompt" if "prompt" in row else "messages")
    history = list(_sound(_opening(row)))
    if "messages" in row:
        yield from _message_flaws(row["messages"], at, tools)
    yield from _history_flaws(history, at)
    if "expect" in row:
        yield from expectation_flaws(row["expect"], (*steps, "expect"), tools)
    if "turns" not in row:
        return
    last = len(row["turns"]) - 1
    for index, entry in enumerate(row["turns"]):
        here = (*steps, "turns", index)
        yield from expectation_flaws(entry["expect"], (*here, "expect"), tools)
        at = (*here, "then")
        if index == last:
            if "then" in entry:
                yield at, "is not followed by another turn; remove it"
        elif "then" not in entry:
            yield here, 'needs "then": the reference answer and what leads to the next turn'
        else:
            yield from _message_flaws(entry["then"], at, tools)
            then = list(_sound(entry["then"]))
            if then and then[0].role != "assistant":
                yield at, "must begin with the assistant's reference answer"
            history += then
            yield from _history_flaws(history, at)


def turns(row: Mapping[str, Any], *, system: Message | None) -> Iterator[tuple[Turn, Any]]:
    """
    Yield the turns of a valid case, each with its ``expect`` as written (None if it has none).

    *system* precedes a conversation without a system message of its own.
    """
    if "prompt" in row:
        history = [Message(role="user", content=row["prompt"])]
    else:
        history = [Message.from_chat(entry) for entry in row["messages"]]
    if system is not None and history[0].role not in ("system", "developer"):
        history = [system, *history]
    for entry in row.get("turns", [row]):
        expect = entry.get("expect")
        yield Turn(messages=tuple(history), expectation=expectation(expect)), expect
        history += [Message.from_chat(message) for message in entry.get("then", ())]


def _opening(row: Mapping[str, Any]) -> Sequence[Any]:
    return [{"role": "user", "content": row["prompt"]}] if "prompt" in row else row["messages"]


def _sound(entries: Sequence[Any]) -> Iterator[Message]:
    for entry in entries:
        try:
            yield _message(entry)
        except ValueError:
            continue  # `_message_flaws` says so


def _message_flaws(
    entries: Sequence[Any], steps: Steps, tools: Mapping[str, Tool]
) -> Iterator[Flaw]:
    for index, entry in enumerate(entries):
        at = (*steps, index)
        try:
            message = _message(entry)
        except ValueError as exc:
            yield at, f"is not a message: {exc}"
            continue
        for call in message.tool_calls:
            if call.name not in tools:
                yield at, f"calls {call.name!r}, {NOT_OFFERED}{suggest(call.name, tools)}"


def _history_flaws(history: Sequence[Message], steps: Steps) -> Iterator[Flaw]:
    if history and history[-1].role == "assistant":
        yield steps, "ends with an assistant message, so nothing is left to answer"
    if any(
        message.role == "tool" and not _answers(history[:index])
        for index, message in enumerate(history)
    ):
        yield steps, "has a tool message that answers no tool call"


def _answers(history: Sequence[Message]) -> bool:
    """
    Return whether a tool message may come next: after a call, or after another call's result.
    """
    before = next((message for message in reversed(history) if message.role != "tool"), None)
    return before is not None and bool(before.tool_calls)


def _message(entry: Any) -> Message:
    try:
        message = Message.from_chat(entry)
    except RecursionError as exc:
        raise ValueError(f"it is {TOO_DEEP}") from exc
    for call in message.tool_calls:
        # Arguments may be JSON text, which was plain text until here.
        for _, reason in unstorable_parts(call.arguments):
            raise ValueError(f"arguments of {call.name!r}: {reason}")
    return message
