"""
Transcript -> reading: a stored answer read by a dialect, strictly and leniently.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from harness.dialects.anthropic import ANTHROPIC, holds_calls
from harness.dialects.base import Dialect, Reading
from harness.dialects.native import NATIVE
from harness.messages import Tool
from harness.transcript import Transcript


def read(
    dialect: Dialect, transcript: Transcript, tools: Sequence[Tool] = (), *, lenient: bool = False
) -> Reading:
    """
    Read the answer a transcript holds.

    Raw output is read by *dialect*. A message that holds calls is read as `native` or `anthropic`,
    as it is shaped, whatever the dialect, since its server has read them; a message of text alone
    is read by *dialect*, since servers leave calls in the content when they know no parser for
    them.

    Raises:
        ValueError: for a transcript of an error: there is no answer, and none may be judged.
    """
    if transcript.error is not None:
        raise ValueError(f"case {transcript.key.case!r} has no answer to read: {transcript.error}")
    output = transcript.output
    if transcript.message is not None:
        message = transcript.message
        if holds_calls(message) or dialect.name == ANTHROPIC.name:
            reader = ANTHROPIC.read_message_leniently if lenient else ANTHROPIC.read_message
            return reader(message, transcript.finish_reason)
        content = message.get("content")
        called = message.get("tool_calls") or message.get("function_call")
        if called or not isinstance(content, str) or dialect.name == NATIVE.name:
            reader = NATIVE.read_message_leniently if lenient else NATIVE.read_message
            return reader(message, transcript.finish_reason)
        output = content
    if output is None:
        raise ValueError(f"case {transcript.key.case!r} has neither output nor message")
    return read_text(dialect, output, tools, opened=transcript.opened, lenient=lenient)


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
    where the prompt ends. None where there is none.
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
    Read an answer's text by *dialect*, behind the text that the prompt had *opened*.

    Thinking that the prompt opened and the answer closes is no part of the answer, whatever the
    dialect knows of thinking. Where it is never closed, the dialect reads both as one text. The
    places of calls are those in *output*.
    """
    reader = dialect.read_leniently if lenient else dialect.read
    before, text = "", output
    opener = _OPENED.search(opened) if opened else None
    if opener is not None:
        closer = REASONING[opener.group().rstrip()]
        thought, tag, rest = output.partition(closer)
        # How far the text that is read begins before (or, negative, behind) the output's start.
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
