"""
Kimi K2: ``<|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{..}<|tool_call_end|>``.

Source: Moonshot's guide to tool calling with Kimi-K2 and the chat template. The ID before the
arguments contains the name: ``functions.``, the name, a colon and the number of the call. An ID
without a name (``call_xxx``, which a server makes up) is a problem, never a guess; the next turn of
such a conversation breaks for that reason (vLLM issue 50768). All calls are enclosed in a section;
a variant with the singular ``tool_call_section`` occurs. Neither begins a call by itself, but a
call before any section is not executed: its opening tag is missing.
"""

import re
from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import past, read_arguments, rendered_value
from harness.dialects.readers.json_text import JsonReader
from harness.dialects.readers.lost import Traces, declared, in_section, missing
from harness.dialects.readers.tags import Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_BEGIN = "<|tool_calls_section_begin|>"
_END = "<|tool_calls_section_end|>"
_SECTIONS = (_BEGIN, "<|tool_call_section_begin|>")
_ARGUMENTS = "<|tool_call_argument_begin|>"
_STOP = "<|im_end|>"
_TAGS = Tags(
    opener="<|tool_call_begin|>",
    closer="<|tool_call_end|>",
    ends=(_STOP,),
    spaced=True,
    removed=(*_SECTIONS, _END, "<|tool_call_section_end|>"),
    reasoning=("<think>", "</think>"),
    traces=Traces(
        problem=missing("<|tool_call_begin|>"),
        inner=("<|tool_call_argument_begin|>",),
        closers=("<|tool_call_end|>",),
        notation=(r"\bfunctions\.NAME:\d+",),
    ),
)
_IDENTITY = re.compile(r"\s*([^\s<|]*)\s*")
_NAMED = re.compile(r"functions\.(.+):\d+")


class KimiK2:
    """
    The dialect described above.
    """

    name = "kimi-k2"
    version = 2
    stops = (_STOP,)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the tag before the arguments.
        """
        return _ARGUMENTS in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        reading = read_tagged(output, _TAGS, _call, names=declared(tools))
        return in_section(reading, output, _SECTIONS, repair=False)

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: single quotes, a trailing comma, a code fence around the
        arguments, arguments encoded twice, ``\\_`` in a name, calls outside a section.
        """
        body = partial(_call, loose=True)
        reading = read_tagged(output, _TAGS, body, names=declared(tools))
        return in_section(reading, output, _SECTIONS, repair=True)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* in one section.

        Raises:
            ValueError: for a value that JSON cannot represent, or a name with a space or a tag.
        """
        if not calls:
            return _STOP
        blocks = []
        for number, call in enumerate(calls):
            identity = f"functions.{call.name}:{number}"
            if not call.name or _IDENTITY.fullmatch(identity) is None:
                raise ValueError(f"the tool name {call.name!r} cannot appear in the ID of a call")
            arguments = rendered_value(dict(call.arguments))
            blocks.append(f"{_TAGS.opener}{identity}{_ARGUMENTS}{arguments}{_TAGS.closer}")
        return f"{_BEGIN}{''.join(blocks)}{_END}{_STOP}"


def _call(text: str, at: int, *, loose: bool = False) -> tuple[Written, ...]:
    reader = JsonReader(text)
    reader.sure = at
    match = _IDENTITY.match(text, at)
    if match is None or match.end(1) == match.start(1):
        reader.fail("expected functions.NAME:NUMBER", match.end() if match else at)
    identity = match.group(1)
    # An ID at the end of the answer may be the beginning of a longer one.
    if (named := _NAMED.fullmatch(identity)) is not None and match.end() < len(text):
        reader.name = (named.group(1), match.end())
    begin = past(reader, _ARGUMENTS, match.end())
    (call,) = read_arguments(text, begin, named.group(1) if named else None, loose=loose)
    if named is None:
        problem = f"no name in {identity!r}; expected functions.NAME:NUMBER"
        return (Written(name=None, arguments=None, end=call.end, problem=problem),)
    return (call,)


KIMI_K2 = KimiK2()

DIALECTS = (KIMI_K2,)
