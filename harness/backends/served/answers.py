"""
What chat and completions APIs answer with, whole or in pieces: one choice, checked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.backends.served.client import reason
from harness.messages import REASONING_KEYS

_OF_THE_MOMENT = ("id", "created", "object")


def choice_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Return the one choice of a response.

    Raises:
        ValueError: with the reason, if there is not one.
    """
    if body.get("error"):
        raise ValueError(f"the server answered with an error: {reason(body['error'])}")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError("the server answered without choices")
    if len(choices) > 1:
        raise ValueError(f"the server answered with {len(choices)} choices instead of one")
    if not isinstance(choices[0], Mapping):
        raise ValueError("the server answered with a choice that is not an object")
    if choices[0].get("error"):
        raise ValueError(f"the server answered with an error: {reason(choices[0]['error'])}")
    return choices[0]


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
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else None


def around_message(body: Mapping[str, Any], choice: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what a response holds beside its message, but for what is new each time, such
    as its id and its date.
    """
    around = {name: value for name, value in body.items() if name not in _OF_THE_MOMENT}
    around["choices"] = [{name: value for name, value in choice.items() if name != "message"}]
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
        if event.get("error"):
            raise ValueError(f"the server streamed an error: {reason(event['error'])}")
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
                    _add_call(calls.setdefault(piece.get("index", number), {}), piece)
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
