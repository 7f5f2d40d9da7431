"""
Granite 20B function calling: ``<function_call>`` and one JSON object, any number of times.

There is no closing tag: a call ends with its object, and anything up to the next tag is text.
The object is read as `harness.dialects.hermes` reads it. To a question that no tool answers
the model writes a call of ``no_function`` with empty arguments, which means no call.

Source: IBM's model granite-20b-functioncalling and its outputs on a public leaderboard.
"""

from collections.abc import Sequence
from dataclasses import replace

from harness.dialects.base import Attempt, Reading
from harness.dialects.readers.json_calls import read_call, read_call_leniently, rendered_call
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.tags import Tags, read_tagged
from harness.messages import Tool, ToolCall

_TAGS = Tags(
    opener="<function_call>",
    closer="",
    ends=("<|endoftext|>",),
    spaced=False,
    traces=Traces(problem=missing("<function_call>"), keys=("name", "arguments", "parameters")),
)
_NO_CALL = "no_function"
_SIBLINGS = ("</function_call>", "<tool_call>", "<|tool_call|>", "<start_function_call>")


class Granite20B:
    """
    The dialect described above.
    """

    name = "granite-20b"
    version = 2
    stops = ("<|endoftext|>",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* contains the opening tag and no tag of another format.
        """
        return _TAGS.opener in template and not any(tag in template for tag in _SIBLINGS)

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return _called(read_tagged(output, _TAGS, read_call, names=declared(tools)))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with the repairs that the Hermes dialect makes inside a call.
        """
        return _called(read_tagged(output, _TAGS, read_call_leniently, names=declared(tools)))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the model does; without calls, ``no_function``.

        Raises:
            ValueError: for a value that JSON cannot represent, or a call that means no call.
        """
        if any(call.name == _NO_CALL and not call.arguments for call in calls):
            raise ValueError(f"a call of {_NO_CALL!r} without arguments means no call")
        written = calls or [ToolCall(name=_NO_CALL, arguments={})]
        blocks = [f"{_TAGS.opener} {rendered_call(call)}" for call in written]
        return " ".join(blocks) + "<|endoftext|>"


def _called(reading: Reading) -> Reading:
    attempts = tuple(attempt for attempt in reading.attempts if not _is_no_call(attempt))
    return replace(reading, attempts=attempts)


def _is_no_call(attempt: Attempt) -> bool:
    return attempt.readable and attempt.name == _NO_CALL and not attempt.arguments


GRANITE_20B = Granite20B()

DIALECTS = (GRANITE_20B,)
