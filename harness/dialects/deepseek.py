"""
DeepSeek: a name and JSON arguments between tags with full-width bars.

Sources: DeepSeek's chat templates and the parsers of public servers. V3 and R1-0528 (dialect
``deepseek-v3``) write ``<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME``, and in a code fence
on lines of its own the object, ``<｜tool▁call▁end｜>``; the fence is part of the format, and the
object may span several lines (one public parser reads only one). V3.1 (dialect ``deepseek-v3.1``,
experimental: from memory) writes ``NAME<｜tool▁sep｜>{..}`` without a fence.
All calls are enclosed in ``<｜tool▁calls▁begin｜>`` and ``<｜tool▁calls▁end｜>``. Alone, these are
not a call: an empty list of calls is never reported (vLLM issue 48367). A call before the first
of them is not executed: its opening tag is missing.

No server reports that a model and its template are of different versions (SGLang issue 17141);
here a call in the format of the other version is malformed, and a lenient reading reads it.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import past, read_arguments, rendered_value
from harness.dialects.readers.json_text import JsonReader, Trouble
from harness.dialects.readers.lost import Traces, declared, in_section, missing
from harness.dialects.readers.tags import Body, Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_SEP = "<｜tool▁sep｜>"
_BEGIN = "<｜tool▁calls▁begin｜>"
_END = "<｜tool▁calls▁end｜>"
_STOP = "<｜end▁of▁sentence｜>"
_TAGS = Tags(
    opener="<｜tool▁call▁begin｜>",
    closer="<｜tool▁call▁end｜>",
    ends=(_STOP,),
    spaced=True,
    removed=(_BEGIN, _END),
    reasoning=("<think>", "</think>"),
    traces=Traces(
        problem=missing("<｜tool▁call▁begin｜>"),
        inner=("<｜tool▁sep｜>",),
        closers=("<｜tool▁call▁end｜>",),
        notation=(
            r"(?<![\w.-])(?:function)?NAME\s*```json\s*(?=\{)",
            r"(?<![\w.-])NAME(?=\{\s*[\"'}])",
        ),
    ),
)
_NAME = re.compile(r"[^\s<｜`{}]*")


class DeepSeekV3:
    """
    The dialect of V3 and R1-0528.
    """

    name = "deepseek-v3"
    version = 2
    stops = (_STOP,)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the tags and a fence.
        """
        return _TAGS.opener in template and "```json" in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return _read(output, _fenced, tools)

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: single quotes, a trailing comma, arguments encoded twice,
        ``\\_`` in a name, and the format of V3.1.
        """
        return _read(output, partial(_repaired, first=_fenced, second=_plain), tools, repair=True)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the template does.

        Raises:
            ValueError: for a value that JSON cannot represent, or a name with a space or a tag.
        """
        return _rendered(calls, "function{sep}{name}\n```json\n{arguments}\n```", "\n")


class DeepSeekV31:
    """
    The dialect of V3.1.
    """

    name = "deepseek-v3.1"
    version = 2
    stops = (_STOP,)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the tags and no fence.
        """
        return _TAGS.opener in template and "```json" not in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return _read(output, _plain, tools)

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with the repairs of `DeepSeekV3`, with the format of V3 in place of V3.1.
        """
        return _read(output, partial(_repaired, first=_plain, second=_fenced), tools, repair=True)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the template does.

        Raises:
            ValueError: for a value that JSON cannot represent, or a name with a space or a tag.
        """
        return _rendered(calls, "{name}{sep}{arguments}", "")


def _read(output: str, body: Body, tools: Sequence[Tool], *, repair: bool = False) -> Reading:
    reading = read_tagged(output, _TAGS, body, names=declared(tools))
    return in_section(reading, output, (_BEGIN,), repair=repair)


class _Form(Protocol):
    def __call__(self, text: str, at: int, *, loose: bool = False) -> tuple[Written, ...]: ...


def _fenced(text: str, at: int, *, loose: bool = False) -> tuple[Written, ...]:
    reader = JsonReader(text)
    reader.sure = at
    begin = past(reader, _SEP, past(reader, "function", at))
    name, at = _name(reader, begin)
    at = past(reader, "\n```json\n", at)
    (call,) = read_arguments(text, at, name, loose=loose)
    reader.sure = call.end
    end = past(reader, "```", reader.skip(call.end))
    return (replace(call, end=end),)


def _plain(text: str, at: int, *, loose: bool = False) -> tuple[Written, ...]:
    reader = JsonReader(text)
    reader.sure = at
    name, at = _name(reader, at)
    return read_arguments(text, past(reader, _SEP, at), name, loose=loose)


def _name(reader: JsonReader, at: int) -> tuple[str, int]:
    match = _NAME.match(reader.text, at)
    end = match.end() if match else at
    if end == at:
        reader.fail("expected a name", at)
    name = reader.text[at:end]
    # A name at the end of the answer may be the beginning of a longer one.
    reader.name = (name, end) if end < len(reader.text) else None
    return name, end


def _repaired(text: str, at: int, first: _Form, second: _Form) -> tuple[Written, ...]:
    try:
        return first(text, at, loose=True)
    except Trouble as trouble:
        if trouble.early:
            raise
        try:
            (call,) = second(text, at, loose=True)
        except Trouble:
            raise trouble from None
        return (replace(call, repairs=(*call.repairs, "the format of another version")),)


def _rendered(calls: Sequence[ToolCall], form: str, between: str) -> str:
    if not calls:
        return _STOP
    blocks = []
    for call in calls:
        if not call.name or not _NAME.fullmatch(call.name):
            raise ValueError(f"the tool name {call.name!r} cannot appear between these tags")
        arguments = rendered_value(dict(call.arguments))
        body = form.format(sep=_SEP, name=call.name, arguments=arguments)
        blocks.append(f"{_TAGS.opener}{body}{_TAGS.closer}")
    return f"{_BEGIN}{between.join(blocks)}{_END}{_STOP}"


DEEPSEEK_V3 = DeepSeekV3()
DEEPSEEK_V31 = DeepSeekV31()

DIALECTS = (DEEPSEEK_V3, DEEPSEEK_V31)
