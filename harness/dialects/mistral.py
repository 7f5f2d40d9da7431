"""
Mistral: ``[TOOL_CALLS]``, and then a list of calls or a name with its arguments.

Sources: Mistral's tokenizers and chat templates. Before version 11 there is one marker and a
JSON list, ``[TOOL_CALLS] [{"name": .., "arguments": {..}}, ..]``: dialect ``mistral``. From version
11 on there is a marker for each call, ``[TOOL_CALLS]NAME{..}``, later
``[TOOL_CALLS]NAME[ARGS]{..}``, and (from memory) ``[CALL_ID]`` and nine letters before ``[ARGS]``:
dialect ``mistral-v11``.

Both formats occur with either tokenizer. Newer runtimes also read the list; older ones did not know
a name before an object, so ``mistral`` reads that leniently. Text may appear before and after a
call. Objects end where their JSON ends, so consecutive calls and text after them are all kept
(mlx-lm issues 1374 and 1448); an apostrophe in a string is never taken for a quote. Anything in
``[THINK]...[/THINK]`` is neither call nor text.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import (
    BARE,
    past,
    read_arguments,
    read_bare_calls,
    read_list,
    rendered_value,
)
from harness.dialects.readers.json_text import JsonReader
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.tags import Bare, Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_TAGS = Tags(
    opener="[TOOL_CALLS]",
    closer="",
    ends=("</s>",),
    spaced=False,
    reasoning=("[THINK]", "[/THINK]"),
    traces=Traces(
        problem=missing("[TOOL_CALLS]"),
        inner=("[CALL_ID]", "[ARGS]"),
        keys=("name", "arguments", "parameters"),
        notation=(r"(?<![\w.-])NAME(?=\{\s*[\"'}])",),
    ),
)
_NAME = re.compile(r"[^\s\[\]{}\"']*")
_ID = re.compile(r"\[CALL_ID\][A-Za-z0-9]*")
_LISTED = re.compile(r"\[TOOL_CALLS\]\s*\[(?!ARGS|CALL_ID)")
_CALL_ID = "000000000"


class Mistral:
    """
    The dialect of tokenizers before version 11.
    """

    name = "mistral"
    version = 2
    stops = ("</s>",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes a list after the marker.
        """
        return _LISTED.search(template) is not None

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, read_list, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: single quotes, a trailing comma, a code fence, arguments
        encoded twice, ``parameters`` for ``arguments``, ``\\_`` in a name, a single call
        without a list, a name before its arguments; and calls without the marker at the start of
        a line.
        """
        body = partial(_either, loose=True, newer=False)
        return read_tagged(output, _TAGS, body, _BARE, declared(tools))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as one list.

        Raises:
            ValueError: for a value that JSON cannot represent.
        """
        listed = [
            {"name": call.name, "arguments": dict(call.arguments), "id": _CALL_ID} for call in calls
        ]
        return (f"{_TAGS.opener} {rendered_value(listed)}" if calls else "") + "</s>"


class MistralV11:
    """
    The dialect of tokenizers from version 11 on.
    """

    name = "mistral-v11"
    version = 2
    stops = ("</s>",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the marker, and no list after it.
        """
        return _TAGS.opener in template and _LISTED.search(template) is None

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, _either, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with the repairs of `Mistral`, except a name before its arguments, which is
        the format itself.
        """
        body = partial(_either, loose=True)
        return read_tagged(output, _TAGS, body, _BARE, declared(tools))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* with ``[ARGS]``, one marker each.

        Raises:
            ValueError: for a value that JSON cannot represent, or a name with a bracket or a space.
        """
        blocks = []
        for call in calls:
            if not call.name or not _NAME.fullmatch(call.name):
                raise ValueError(f"the tool name {call.name!r} cannot appear before [ARGS]")
            arguments = rendered_value(dict(call.arguments))
            blocks.append(f"{_TAGS.opener}{call.name}[ARGS]{arguments}")
        return "".join(blocks) + "</s>"


def _either(text: str, at: int, *, loose: bool = False, newer: bool = True) -> tuple[Written, ...]:
    reader = JsonReader(text)
    at = reader.sure = reader.skip(at)
    match = _NAME.match(text, at)
    end = match.end() if match else at
    if end == at:
        return read_list(text, at, loose=loose)
    name = text[at:end]
    # A name at the end of the answer may be the beginning of a longer one.
    reader.name = (name, end) if end < len(text) else None
    if (identity := _ID.match(text, end)) is not None:
        end = identity.end()
        if end == len(text):
            reader.fail("", end, early=True)
    end = past(reader, "[ARGS]", end) if text[end : end + 1] == "[" else end
    if text[end : end + 1] != "{" and not (loose and text[end : end + 1] == '"'):
        reader.fail("expected '{' after the name", end, early=reader.begins("[CALL_ID]", end))
    (call,) = read_arguments(text, end, name, loose=loose)
    return (call if newer else replace(call, repairs=(*call.repairs, "name before arguments")),)


_BARE = Bare(begin=BARE, body=read_bare_calls)

MISTRAL = Mistral()
MISTRAL_V11 = MistralV11()

DIALECTS = (MISTRAL, MISTRAL_V11)
