"""
Anthropic messages: ``content`` is a list of blocks, and ``tool_use`` blocks are calls.

``{"type": "tool_use", "id": .., "name": .., "input": {..}}`` next to ``text`` and ``thinking``
blocks. Source: Anthropic's Messages API. ``input`` is an object, ``{}`` for a tool without
arguments; a string is a problem, which a lenient reading may decode. A message that stopped at
``max_tokens`` with a ``tool_use`` block last has an unfinished call: the API returns what there was
by then.

An answer stored as text is the JSON of such a message; a call of a declared tool in any other
text, in any family's notation, is an attempt that cannot be read. Streams of ``input_json_delta``
are assembled by the client and not read here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.dialects.base import Attempt, Reading
from harness.dialects.readers.json_calls import decoded, rendered_value
from harness.dialects.readers.json_text import JsonReader, Trouble, unsound
from harness.dialects.readers.lost import declared, text_reading
from harness.messages import Tool, ToolCall

_CUT = ("max_tokens", "length")


class Anthropic:
    """
    The dialect described above.
    """

    name = "anthropic"
    version = 2
    stops: tuple[str, ...] = ()

    def recognises(self, template: str) -> bool:
        """
        Return False: a message shows by itself what it is.
        """
        return False

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read an answer that begins with the JSON text of a message; any other text is an answer
        without calls.
        """
        return _from_text(output, declared(tools), loose=False)

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with one repair: an ``input`` that is the JSON text of an object.
        """
        return _from_text(output, declared(tools), loose=True)

    def read_message(self, message: Mapping[str, Any], finish_reason: str | None) -> Reading:
        """
        Read a message as a correct client would.
        """
        return _reading(message, finish_reason, loose=False)

    def read_message_leniently(
        self, message: Mapping[str, Any], finish_reason: str | None
    ) -> Reading:
        """
        Read *message* with the repair of `read_leniently`.
        """
        return _reading(message, finish_reason, loose=True)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write the JSON text of the message with *calls*.

        Raises:
            ValueError: for a value that JSON cannot represent.
        """
        blocks = [
            {
                "type": "tool_use",
                "id": call.id or f"toolu_{number}",
                "name": call.name,
                "input": dict(call.arguments),
            }
            for number, call in enumerate(calls)
        ]
        return rendered_value({"role": "assistant", "content": blocks})


def holds_calls(message: Mapping[str, Any]) -> bool:
    """
    Return whether *message* comes from this API and contains a call.
    """
    content = message.get("content")
    return isinstance(content, list) and any(map(_is_call, content))


def _is_call(block: Any) -> bool:
    return isinstance(block, Mapping) and block.get("type") == "tool_use"


def _from_text(output: str, names: tuple[str, ...], *, loose: bool) -> Reading:
    if not output.lstrip().startswith("{"):
        return text_reading(output, names)
    reader = JsonReader(output)
    try:
        message, end = reader.value(0)
    except Trouble as trouble:
        if '"tool_use"' not in output[: trouble.position] or "content" not in (
            *reader.outer,
            reader.key,
        ):
            return text_reading(output, names)
        problem = "the message ends before its calls do" if trouble.early else trouble.reason
        attempt = Attempt(
            name=None,
            arguments=None,
            raw=output,
            start=0,
            problem=f"{problem} (character {trouble.position})",
            unfinished=trouble.early,
        )
        return Reading(attempts=(attempt,))
    if not isinstance(message.get("content"), list):
        return text_reading(output, names)
    reading = _reading(message, None, loose=loose)
    return replace(reading, text=f"{reading.text}{output[end:]}".strip())


def _reading(message: Mapping[str, Any], finish_reason: str | None, *, loose: bool) -> Reading:
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    cut = finish_reason in _CUT or message.get("stop_reason") in _CUT
    attempts: list[Attempt] = []
    repairs: list[str] = []
    text = [content] if isinstance(content, str) else []
    start = 0
    for number, block in enumerate(blocks, start=1):
        if _is_call(block):
            attempt = _attempt(block, start, repairs, loose, cut and number == len(blocks))
            attempts.append(attempt)
            start = attempt.end
        elif isinstance(block, Mapping) and block.get("type") == "text":
            text.append(str(block.get("text") or ""))
    return Reading(
        attempts=tuple(attempts),
        text="".join(text).strip(),
        repairs=tuple(dict.fromkeys(repairs)),
    )


def _attempt(
    block: Mapping[str, Any], start: int, repairs: list[str], loose: bool, cut: bool
) -> Attempt:
    written = block.get("name")
    name = written if isinstance(written, str) and written else None
    value: Any = block.get("input")
    raw = f"{name or ''} {_shown(value)}".strip()
    repaired: list[str] = []
    if loose and isinstance(value, str) and (inner := decoded(value)) is not None:
        value, repaired = inner, ["input encoded twice"]
    problem = None
    if cut:
        problem = "the answer ends inside the call"
    elif name is None:
        problem = '"name" must be a non-empty string'
    elif not isinstance(value, Mapping):
        problem = '"input" must be an object'
    else:
        problem = unsound(value)
    if problem is None:
        repairs.extend(repaired)
    return Attempt(
        name=name,
        arguments=None if problem else dict(value),
        raw=raw,
        start=start,
        problem=problem,
        unfinished=cut,
    )


def _shown(value: Any) -> str:
    return "" if value is None or unsound(value) is not None else rendered_value(value)


ANTHROPIC = Anthropic()

DIALECTS = (ANTHROPIC,)
