"""
Transcript -> reading: a stored answer read by a dialect, strictly and leniently.
"""

from collections.abc import Sequence

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
    return dialect.read_leniently(output, tools) if lenient else dialect.read(output, tools)
