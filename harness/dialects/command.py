"""
Command: a JSON list of calls with ``tool_name`` and ``parameters``.

Sources: Cohere's chat templates. R7B and A write (dialect ``command-a``)
``<|START_THINKING|>..<|END_THINKING|><|START_ACTION|>[{"tool_call_id": "0", "tool_name": ..,
"parameters": {..}}, ..]<|END_ACTION|>``. R and R+ write (dialect ``command-r``) ``Action:`` and the
list in a code fence; a call of ``directly_answer`` in it means no call. ``command-r`` is
experimental: its format is written from memory. Anything between the thinking tags is neither call
nor text.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from harness.dialects.base import Attempt, Reading
from harness.dialects.readers.json_calls import (
    BARE,
    Keys,
    read_bare_calls,
    read_list,
    rendered_value,
)
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.tags import Bare, Tags, read_tagged
from harness.messages import Tool, ToolCall

_KEYS = Keys(name="tool_name", arguments=("parameters",), lenient=("arguments",))
_BARE = Bare(begin=BARE, body=partial(read_bare_calls, keys=_KEYS))
_STRICTLY = partial(read_list, keys=_KEYS)
_LENIENTLY = partial(read_list, keys=_KEYS, loose=True)
_END = "<|END_OF_TURN_TOKEN|>"
_NO_CALL = "directly_answer"
_SHOWN = ("tool_name", "parameters", "arguments")

_ACTION = Tags(
    opener="<|START_ACTION|>",
    closer="",
    ends=(_END,),
    spaced=False,
    removed=(
        "<|END_ACTION|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"
    ),
    reasoning=("<|START_THINKING|>", "<|END_THINKING|>"),
    traces=Traces(problem=missing("<|START_ACTION|>"), closers=("<|END_ACTION|>",), keys=_SHOWN),
)  # fmt: skip
_FENCED = Tags(
    opener="Action: ```json",
    also=("Action:```json", "Action:\n```json"),
    closer="```",
    ends=(_END,),
    spaced=True,
    traces=Traces(problem=missing("Action: ```json"), keys=_SHOWN),
)


class CommandA:
    """
    The dialect of Command R7B and A.
    """

    name = "command-a"
    version = 2
    stops = (_END,)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the action tag.
        """
        return _ACTION.opener in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _ACTION, _STRICTLY, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: single quotes, a trailing comma, a code fence, arguments
        encoded twice, ``arguments`` for ``parameters``, ``\\_`` in a name, a single call
        without a list; and calls without tags at the start of a line.
        """
        return read_tagged(output, _ACTION, _LENIENTLY, _BARE, declared(tools))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as one list, numbered.

        Raises:
            ValueError: for a value that JSON cannot represent.
        """
        listed = [
            {
                "tool_call_id": str(number),
                "tool_name": call.name,
                "parameters": dict(call.arguments),
            }
            for number, call in enumerate(calls)
        ]
        if not calls:
            return _END
        return f"{_ACTION.opener}{rendered_value(listed)}<|END_ACTION|>{_END}"


class CommandR:
    """
    The dialect of Command R and R+.
    """

    name = "command-r"
    version = 2
    stops = (_END,)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* names the tool that stands for no call.
        """
        return _NO_CALL in template and _ACTION.opener not in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return _called(read_tagged(output, _FENCED, _STRICTLY, names=declared(tools)))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with the repairs of `CommandA`, except the fence, which is part of the format.
        """
        return _called(read_tagged(output, _FENCED, _LENIENTLY, _BARE, declared(tools)))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as one list; without calls, ``directly_answer``.

        Raises:
            ValueError: for a value that JSON cannot represent, or a call that means no call.
        """
        if any(call.name == _NO_CALL for call in calls):
            raise ValueError(f"a call of {_NO_CALL!r} means no call")
        written = calls or [ToolCall(name=_NO_CALL, arguments={})]
        listed = [{"tool_name": call.name, "parameters": dict(call.arguments)} for call in written]
        return f"{_FENCED.opener}\n{rendered_value(listed)}\n```{_END}"


def _called(reading: Reading) -> Reading:
    attempts = tuple(attempt for attempt in reading.attempts if not _is_no_call(attempt))
    return replace(reading, attempts=attempts)


def _is_no_call(attempt: Attempt) -> bool:
    return attempt.readable and attempt.name == _NO_CALL


COMMAND_A = CommandA()
COMMAND_R = CommandR()

DIALECTS = (COMMAND_A, COMMAND_R)
