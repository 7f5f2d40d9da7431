"""
Phi-4-mini: ``functools[{"name": .., "arguments": {..}}, ..]``.

Source: Microsoft's examples for Phi-4-mini-instruct and the template they serve it with. Calls are
one JSON list, and its strings and arrays may contain any bracket. The key ``parameters`` occurs.
The model's own template names ``<|tool_call|>[..]<|/tool_call|>``, which is read as well; that form
is experimental, as no output in it has been seen.
"""

from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import (
    BARE,
    Keys,
    read_bare_calls,
    read_list,
    rendered_value,
)
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.tags import Bare, Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_KEYS = Keys(arguments=("arguments", "parameters"), lenient=())
_TAGS = Tags(
    opener="functools[",
    also=("<|tool_call|>",),
    closer="",
    ends=("<|end|>", "<|endoftext|>"),
    spaced=False,
    removed=("<|/tool_call|>", "<|assistant|>"),
    reasoning=("<think>", "</think>"),
    traces=Traces(
        problem=missing("functools["),
        closers=("<|/tool_call|>",),
        keys=("name", "arguments", "parameters"),
    ),
)


class Phi4Mini:
    """
    The dialect described above.
    """

    name = "phi-4-mini"
    version = 2
    stops = ("<|end|>",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the word, or declares tools between this family's tags.
        """
        return _TAGS.opener in template or "<|/tool|>" in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, _calls, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: single quotes, a trailing comma, arguments encoded twice,
        ``\\_`` in a name; after the tag also a code fence and a single call without a list; and
        calls without the word at the start of a line.
        """
        body = partial(_calls, loose=True)
        return read_tagged(output, _TAGS, body, _BARE, declared(tools))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as one list after ``functools``.

        Raises:
            ValueError: for a value that JSON cannot represent.
        """
        listed = [{"name": call.name, "arguments": dict(call.arguments)} for call in calls]
        return (f"functools{rendered_value(listed)}" if calls else "") + "<|end|>"


def _calls(text: str, at: int, *, loose: bool = False) -> tuple[Written, ...]:
    # The bracket is part of the tag: without it the word is a Python module.
    return read_list(text, at - 1 if text[at - 1] == "[" else at, _KEYS, loose=loose)


_BARE = Bare(begin=BARE, body=partial(read_bare_calls, keys=_KEYS))

PHI4_MINI = Phi4Mini()

DIALECTS = (PHI4_MINI,)
