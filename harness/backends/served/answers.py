"""
What chat and completions APIs answer with, whole or in pieces: one choice, checked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.backends.responses import failure, is_count, unanswered
from harness.messages import REASONING_KEYS

_OF_THE_MOMENT = ("id", "created", "object")
_ANSWER = ("message", "text", "prompt_token_ids")


def choice_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Return the one choice of a response.

    Raises:
        ValueError: with the reason, if there is not one.
    """
    if (failed := failure(body)) is not None:
        raise ValueError(f"the server answered with an error: {failed}")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError("the server answered without choices")
    if len(choices) > 1:
        raise ValueError(f"the server answered with {len(choices)} choices instead of one")
    if not isinstance(choices[0], Mapping):
        raise ValueError("the server answered with a choice that is not an object")
    return choices[0]


def check_answered(message: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
    """
    Check that *message*, of *choice*, is the model's: silence of a server is not the model's.

    Raises:
        ValueError: with the reason, if it is not.
    """
    missing = unanswered(message, choice.get("finish_reason"))
    if missing is not None:
        raise ValueError(f"the server answered without an answer: {missing}")


def finish_reason(choice: Mapping[str, Any]) -> str | None:
    """
    Return why the answer of *choice* ended, where it says so.
    """
    given = choice.get("finish_reason")
    return given if isinstance(given, str) else None


def usage(body: Mapping[str, Any], name: str) -> int | None:
    """
    Return one of the token counts of a response, such as ``prompt_tokens``.
    """
    counts = body.get("usage")
    value = counts.get(name) if isinstance(counts, Mapping) else None
    return value if isinstance(value, int) and is_count(value) else None


def around_answer(body: Mapping[str, Any], choice: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what a response holds beside its message or text, but for what is new each time, such
    as its id and its date, and the prompt that was sent.
    """
    around = {name: value for name, value in body.items() if name not in _OF_THE_MOMENT}
    around["choices"] = [{name: value for name, value in choice.items() if name not in _ANSWER}]
    return around


def starts_answer(event: Mapping[str, Any]) -> bool:
    """
    Return whether an event of a stream holds text, thinking or a call.
    """
    choices = event.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        return False
    delta = choices[0].get("delta")
    said = delta if isinstance(delta, Mapping) else choices[0]
    return any(
        said.get(name)
        for name in ("content", "text", "tool_calls", "function_call", *REASONING_KEYS)
    )


def whole(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """
    Put the events of a stream together as the response that it would have been in one piece.

    Raises:
        ValueError: if an event is an error, or the stream ends before the answer does.
    """
    body: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    message: dict[str, Any] = {}
    calls: dict[Any, dict[str, Any]] = {}
    for event in events:
        if (failed := failure(event)) is not None:
            raise ValueError(f"the server streamed an error: {failed}")
        body |= {name: value for name, value in event.items() if name != "choices"}
        pieces = event.get("choices")
        if not isinstance(pieces, list) or not pieces:
            continue  # the last event has the counts of tokens and no choice
        if not isinstance(pieces[0], Mapping):
            raise ValueError("the server streamed a choice that is not an object")
        for name, value in pieces[0].items():
            if name == "text" and isinstance(value, str):
                choice["text"] = choice.get("text", "") + value
            elif name == "token_ids" and isinstance(value, list):
                choice["token_ids"] = [*choice.get("token_ids", []), *value]
            elif name not in ("delta", "finish_reason") or (
                name == "finish_reason" and value is not None
            ):
                choice[name] = value
        delta = pieces[0].get("delta")
        if isinstance(delta, Mapping):
            _add(message, calls, delta)
    if finish_reason(choice) is None:
        raise ValueError("the server ended its stream before the answer had ended")
    if "text" not in choice:
        if calls:
            message["tool_calls"] = list(calls.values())
        message.setdefault("content", None)
        choice["message"] = message
    return {**body, "choices": [choice]}


def _add(
    message: dict[str, Any], calls: dict[Any, dict[str, Any]], delta: Mapping[str, Any]
) -> None:
    for name, value in delta.items():
        if name == "tool_calls" and isinstance(value, list):
            for number, piece in enumerate(value):
                if isinstance(piece, Mapping):
                    index = piece.get("index")
                    place = index if isinstance(index, int) else number
                    _add_call(calls.setdefault(place, {}), piece)
        elif isinstance(value, str) and name != "role" and isinstance(message.get(name), str):
            message[name] += value
        elif value is not None or name not in message:
            message[name] = value


def _add_call(call: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for name, value in piece.items():
        if name == "index" or value is None:
            continue
        if name == "function" and isinstance(value, Mapping):
            function = call.setdefault("function", {})
            for part, text in value.items():
                if text is None:
                    function.setdefault(part, None)
                elif part == "arguments" and isinstance(function.get(part), str):
                    function[part] += text if isinstance(text, str) else ""
                else:
                    function[part] = text
        else:
            call[name] = value
