"""
Transcript -> reading: a stored answer read by a dialect, strictly and leniently.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.dialects.anthropic import ANTHROPIC, holds_calls
from harness.dialects.base import Attempt, Dialect, Reading
from harness.dialects.native import NATIVE
from harness.dialects.readers.lost import UNCLOSED, declared, text_reading
from harness.dialects.registry import dialect as by_name
from harness.dialects.registry import names
from harness.messages import REASONING_KEYS, Tool
from harness.transcript import Transcript


def read(
    dialect: Dialect, transcript: Transcript, tools: Sequence[Tool] = (), *, lenient: bool = False
) -> Reading:
    """
    Read the answer a transcript holds.

    Raw output is read by *dialect*. A message with calls is read as `native` or `anthropic`,
    depending on its shape and whatever the dialect, since its server has read them; a message of
    text alone is read by *dialect*, since servers leave calls in the content when they have no
    parser for them; if the family's format is not known either, a call in it cannot be read. Calls
    that a server left in the content come before those that it read.

    A call is unfinished only if the answer was cut off: if the model ended the answer itself, as
    `Transcript.finish_reason` or a stop token in the text shows, the call is malformed. A message
    that was cut off (finish reason ``length``) and holds nothing but thinking is an unfinished
    attempt.

    Raises:
        ValueError: for a transcript of an error: it has no answer that could be judged.
    """
    if transcript.error is not None:
        raise ValueError(f"case {transcript.key.case!r} has no answer to read: {transcript.error}")
    if transcript.message is not None:
        return _of_message(dialect, transcript.message, transcript, tools, lenient=lenient)
    if transcript.output is None:
        raise ValueError(f"case {transcript.key.case!r} has neither output nor message")
    return _of_text(dialect, transcript.output, transcript, tools, lenient=lenient)


def _of_message(
    dialect: Dialect,
    message: Mapping[str, Any],
    transcript: Transcript,
    tools: Sequence[Tool],
    *,
    lenient: bool,
) -> Reading:
    content = _content(message)
    called = bool(holds_calls(message) or message.get("tool_calls") or message.get("function_call"))
    if not called and not content and (cut := _cut_thinking(message, transcript.finish_reason)):
        return Reading(attempts=(cut,))
    if not called and content is not None and dialect.name not in _OF_SERVERS:
        return _of_text(dialect, content, transcript, tools, lenient=lenient)
    server = ANTHROPIC if holds_calls(message) or dialect.name == ANTHROPIC.name else NATIVE
    reader = server.read_message_leniently if lenient else server.read_message
    reading = reader(message, transcript.finish_reason)
    if transcript.finish_reason in ENDED:
        reading = _ended(reading)
    if content is None:
        return reading
    if not called:
        told = text_reading(content, declared(tools))
        return replace(reading, attempts=told.attempts, text=told.text)
    left = _left_in_content(dialect, content, tools, transcript.opened, lenient=lenient)
    return reading if left is None else _joined(left, reading)


def _cut_thinking(message: Mapping[str, Any], finish_reason: str | None) -> Attempt | None:
    """
    Return what is left of an answer that ends inside its thinking: nobody knows whether a call was
    to follow.
    """
    if finish_reason != "length":
        return None
    thought = next((message[key] for key in REASONING_KEYS if message.get(key)), None)
    if not isinstance(thought, str):
        return None
    return Attempt(
        name=None,
        arguments=None,
        raw=thought,
        start=0,
        problem="the answer ends inside its thinking",
        unfinished=True,
    )


def _of_text(
    dialect: Dialect,
    output: str,
    transcript: Transcript,
    tools: Sequence[Tool],
    *,
    lenient: bool,
) -> Reading:
    reading = read_text(dialect, output, tools, opened=transcript.opened, lenient=lenient)
    if transcript.finish_reason == "length":
        # What was cut off while the model was thinking might have been closed.
        return replace(reading, attempts=tuple(map(_cut_off, reading.attempts)))
    if not any(attempt.unfinished for attempt in reading.attempts):
        return reading
    ended = transcript.finish_reason in ENDED or any(
        stop in output[reading.attempts[-1].start :] for stop in dialect.stops
    )
    if not ended:
        return reading
    # Servers strip the token that stopped the model, which in some formats closes the call.
    for stop in dialect.stops:
        whole = read_text(dialect, output + stop, tools, opened=transcript.opened, lenient=lenient)
        last = whole.attempts[-1] if whole.attempts else None
        if last is not None and last.readable:
            kept = replace(last, raw=output[last.start : last.end])
            return replace(whole, attempts=(*whole.attempts[:-1], kept))
    return _ended(reading)


def _content(message: Mapping[str, Any]) -> str | None:
    """
    Return the text of a message, or None where it has none.
    """
    content = message.get("content")
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    texts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "".join(text for text in texts if isinstance(text, str)) or None


def _ended(reading: Reading) -> Reading:
    """
    Return *reading* for an answer that the model ended itself: nothing in it was cut off.
    """
    attempts = tuple(replace(attempt, unfinished=False) for attempt in reading.attempts)
    return replace(reading, attempts=attempts)


def _cut_off(attempt: Attempt) -> Attempt:
    return replace(attempt, unfinished=True) if attempt.problem == UNCLOSED else attempt


_OF_SERVERS = (NATIVE.name, ANTHROPIC.name)
"""The dialects of messages: they do not say in which format a model writes its calls."""

ENDED = ("stop", "tool_calls", "function_call", "end_turn", "tool_use", "stop_sequence", "eos")
"""The values of `Transcript.finish_reason` that mean the model ended the answer itself."""


def _left_in_content(
    dialect: Dialect,
    content: str,
    tools: Sequence[Tool],
    opened: str | None,
    *,
    lenient: bool,
) -> Reading | None:
    """
    Read the calls that a server left in the content, by *dialect* or, where a server reads the
    calls and their format is unknown, by the dialect that reads every format; None if there are
    none.
    """
    if dialect.name not in _OF_SERVERS:
        reading = read_text(dialect, content, tools, opened=opened, lenient=lenient)
        return reading if reading.attempts else None
    offered = {tool.name for tool in tools}
    attempted: Reading | None = None
    for member in map(by_name, names()):
        reading = read_text(member, content, tools, opened=opened, lenient=lenient)
        attempts = [each for each in reading.attempts if each.name in offered or marked(each)]
        if not attempts:
            continue
        if all(each.readable and each.name in offered for each in attempts):
            return replace(reading, attempts=tuple(attempts))
        attempted = attempted or replace(reading, attempts=tuple(attempts[:1]))
    return attempted


def marked(attempt: Attempt) -> bool:
    """
    Return whether more than a name shows that *attempt* is a call: a tag, for example.

    Formats without tags take ``print(x)`` for a call, which prose and code contain too.
    """
    bare = attempt.raw.lstrip("[( \n")
    return not bare.startswith((f"{attempt.name}(", "{"))


def _joined(left: Reading, native: Reading) -> Reading:
    return Reading(
        attempts=(*left.attempts, *native.attempts),
        text=left.text,
        repairs=tuple(dict.fromkeys((*left.repairs, *native.repairs))),
    )


REASONING = {
    "<think>": "</think>",
    "[THINK]": "[/THINK]",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<seed:think>": "</seed:think>",
}
"""The tags around thinking in the formats of all families."""

_OPENED = re.compile(rf"(?:{'|'.join(map(re.escape, REASONING))})\s*\Z")


def opened_by(prompt: str) -> str | None:
    """
    Return the text with which a rendered prompt has begun the answer: thinking that is still open
    at the end of the prompt. None if there is none.
    """
    found = _OPENED.search(prompt)
    return found.group() if found else None


def read_text(
    dialect: Dialect,
    output: str,
    tools: Sequence[Tool] = (),
    *,
    opened: str | None = None,
    lenient: bool = False,
) -> Reading:
    """
    Read an answer's text by *dialect*, after the text that the prompt had *opened*.

    Thinking that the prompt opened and the answer closes is not part of the answer, whatever the
    dialect knows about thinking. If it is never closed, the dialect reads both as one text. The
    positions of calls are those in *output*.
    """
    reader = dialect.read_leniently if lenient else dialect.read
    before, text = "", output
    opener = _OPENED.search(opened) if opened else None
    if opener is not None:
        closer = REASONING[opener.group().rstrip()]
        thought, tag, rest = output.partition(closer)
        # How far before the output's start (or after it, if negative) the text that is read begins.
        if tag:
            before, text, shift = "", rest, -len(thought) - len(tag)
        else:
            before, text, shift = opener.group(), output, len(opener.group())
    elif opened:
        before, shift = opened, len(opened)
    else:
        return reader(output, tools)
    reading = reader(before + text, tools)
    attempts = tuple(
        replace(each, start=max(each.start - shift, 0), raw=each.raw[max(shift - each.start, 0) :])
        for each in reading.attempts
    )
    return replace(reading, attempts=attempts)
