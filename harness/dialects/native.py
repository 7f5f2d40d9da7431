"""
Native: the assistant message of an OpenAI-compatible server, which has read the calls itself.

``tool_calls`` holds ``{"function": {"name": ..., "arguments": <JSON text or an object>}}``; the
older ``function_call`` is read as one call. Servers pass on whatever the model wrote as arguments,
so these may be broken or cut off. They stop early where the answer did, which can only be in the
last call; an earlier call that stops early is malformed.

Empty arguments are malformed: the protocol writes ``{}`` for a tool without parameters (vLLM issue
28806). The message's content is text; a call of a declared tool in it, in any family's notation, is
an attempt that cannot be read. This dialect is chosen, never detected.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.dialects.base import Attempt, Reading
from harness.dialects.readers.json_text import JsonReader, Trouble, unsound
from harness.dialects.readers.lost import declared, text_reading
from harness.messages import Tool, ToolCall

_CALL_KEYS = ("tool_calls", "function_call")


class Native:
    """
    The dialect described above.
    """

    name = "native"
    version = 3
    stops: tuple[str, ...] = ()

    def recognises(self, template: str) -> bool:
        """
        Return False: a message shows by itself what it is.
        """
        return False

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read an answer that begins with the JSON text of an assistant message; any other text is
        an answer without calls.
        """
        return _from_text(output, declared(tools), loose=False)

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with the repairs of `read_message_leniently`.
        """
        return _from_text(output, declared(tools), loose=True)

    def read_message(self, message: Mapping[str, Any], finish_reason: str | None) -> Reading:
        """
        Read an assistant message as a correct client would.
        """
        return _reading(message, finish_reason, loose=False)

    def read_message_leniently(
        self, message: Mapping[str, Any], finish_reason: str | None
    ) -> Reading:
        """
        Read *message* with these repairs: empty arguments, arguments encoded twice, single quotes,
        a trailing comma.
        """
        return _reading(message, finish_reason, loose=True)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write the JSON text of the assistant message with *calls*.

        Raises:
            ValueError: for a value that JSON cannot represent.
        """
        message: dict[str, Any] = {"role": "assistant", "content": None}
        if calls:
            message["tool_calls"] = [
                {
                    "id": call.id or f"call_{number}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": _dumped(dict(call.arguments))},
                }
                for number, call in enumerate(calls)
            ]
        return _dumped(message)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _from_text(output: str, names: tuple[str, ...], *, loose: bool) -> Reading:
    if not output.lstrip().startswith("{"):
        return text_reading(output, names)
    reader = JsonReader(output)
    try:
        message, end = reader.value(0)
    except Trouble as trouble:
        if not any(key in reader.outer or key == reader.key for key in _CALL_KEYS):
            return text_reading(output, names)
        problem = "the message ends before its calls do" if trouble.early else trouble.reason
        attempt = _malformed(
            None, output, 0, f"{problem} (character {trouble.position})", trouble.early
        )
        return Reading(attempts=(attempt,))
    if not any(key in message for key in _CALL_KEYS) and not {"role", "content"} <= message.keys():
        return text_reading(output, names)
    reading = _reading(message, None, loose=loose)
    return replace(reading, text=f"{reading.text}{output[end:]}".strip())


def _reading(message: Mapping[str, Any], finish_reason: str | None, *, loose: bool) -> Reading:
    calls = message.get("tool_calls")
    if calls is None:
        calls = []
    elif not isinstance(calls, list | tuple):
        calls = [calls]
    legacy = message.get("function_call")
    calls = [*calls, *([] if legacy is None else [legacy])]
    attempts: list[Attempt] = []
    repairs: list[str] = []
    start = 0
    for number, call in enumerate(calls, start=1):
        cut = number == len(calls) and finish_reason == "length"
        attempt = _attempt(call, start, repairs, last=number == len(calls), cut=cut, loose=loose)
        attempts.append(attempt)
        start = attempt.end
    return Reading(
        attempts=tuple(attempts),
        text=_content(message.get("content")).strip(),
        repairs=tuple(dict.fromkeys(repairs)),
    )


def _attempt(
    call: Any, start: int, repairs: list[str], *, last: bool, cut: bool, loose: bool
) -> Attempt:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return _malformed(None, _shown(call), start, 'a call needs {"function": {...}}')
    name = function.get("name")
    name = name if isinstance(name, str) and name else None
    arguments = function.get("arguments")
    shown = arguments if isinstance(arguments, str) else _shown(arguments)
    raw = shown if name is None else f"{name} {shown}"
    if name is None:
        return _malformed(None, raw, start, '"name" must be a non-empty string')
    repaired: list[str] = []
    value: Any = arguments
    if arguments is None or arguments == "":
        if cut:
            return _malformed(name, raw, start, "the answer ends before its arguments", True)
        if not loose:
            return _malformed(
                name, raw, start, "the arguments are empty; a call without arguments has {}"
            )
        value, repaired = {}, ["empty arguments"]
    elif isinstance(arguments, str):
        try:
            value, repaired = _decoded(arguments, loose=loose)
        except Trouble as trouble:
            if trouble.early and last:
                return _malformed(name, raw, start, "the answer ends inside its arguments", True)
            reason = f"{trouble.reason} (character {trouble.position} of the arguments)"
            return _malformed(name, raw, start, reason)
    if not isinstance(value, Mapping):
        return _malformed(name, raw, start, "the arguments must be an object")
    problem = unsound(value)
    if problem is not None:
        return _malformed(name, raw, start, problem)
    repairs.extend(repaired)
    return Attempt(name=name, arguments=dict(value), raw=raw, start=start)


def _malformed(
    name: str | None, raw: str, start: int, problem: str, unfinished: bool = False
) -> Attempt:
    return Attempt(
        name=name, arguments=None, raw=raw, start=start, problem=problem, unfinished=unfinished
    )


def _decoded(text: str, *, loose: bool) -> tuple[Any, list[str]]:
    try:
        value, repaired = _whole(JsonReader(text))
    except Trouble as trouble:
        if not loose:
            raise
        try:
            value, repaired = _whole(JsonReader(text, loose=True))
        except Trouble as second:
            raise (second if second.early else trouble) from None
    if loose and isinstance(value, str):
        try:
            inner, _ = _whole(JsonReader(value))
        except Trouble:
            return value, repaired
        return inner, [*repaired, "arguments encoded twice"]
    return value, repaired


def _whole(reader: JsonReader) -> tuple[Any, list[str]]:
    value, end = reader.value(0)
    end = reader.skip(end)
    if end < len(reader.text):
        reader.fail("text follows the arguments", end)
    return value, reader.repairs


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if unsound(value) is not None:
        return f"<{type(value).__name__} that is not JSON>"
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "".join(text for text in texts if isinstance(text, str))
    return ""


NATIVE = Native()

DIALECTS = (NATIVE,)
