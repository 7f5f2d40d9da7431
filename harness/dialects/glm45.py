"""
GLM-4.5 to 4.7: ``<tool_call>NAME``, pairs of ``<arg_key>`` and ``<arg_value>``, ``</tool_call>``.

Source: the chat templates of GLM-4.5, 4.6 and 4.7 and threads about their parsers. Line breaks
between the tags are optional (4.7 writes none). White space around the name is stripped, a value is
kept as it is. Values are text, typed by the tool's schema (`harness.dialects.readers.untyped`).

A key without a value is a problem, never an empty object (vLLM issue 49248), and so is a stray tag:
``</arg_key>`` never becomes part of a key. A value ends at the first ``</arg_value>`` that is
followed by the next key or the end of the call; ``<arg_key>`` inside a value is a problem, since
the value may simply not have been closed.
"""

import re
from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import past, rendered_value
from harness.dialects.readers.json_text import JsonReader
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.tags import Tags, Written, read_tagged
from harness.dialects.readers.untyped import typed
from harness.messages import Tool, ToolCall

_STOPS = ("<|observation|>", "<|user|>", "<|endoftext|>")
_TAGS = Tags(
    opener="<tool_call>",
    closer="</tool_call>",
    ends=_STOPS,
    spaced=True,
    removed=("<|assistant|>",),
    reasoning=("<think>", "</think>"),
    traces=Traces(
        problem=missing("<tool_call>"),
        inner=("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
        closers=("</tool_call>",),
    ),
)
_NAME = re.compile(r"[^\s<>{}\"]*")
_KEY = re.compile(r"[^<>]*")
_ENDING = re.compile(r"</arg_value>(?=\s*(?:<arg_key>|</tool_call>))")


class Glm45:
    """
    The dialect described above.
    """

    name = "glm-4.5"
    version = 2
    stops = _STOPS

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the tag of a key.
        """
        return "<arg_key>" in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, partial(_call, tools=tools), names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as `read` does: what breaks these tags cannot be repaired without guessing.
        """
        return self.read(output, tools)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the template of 4.5 does.

        Raises:
            ValueError: for a name, key or value that the tags cannot contain.
        """
        return "\n".join(map(_rendered, calls)) + ("<|observation|>" if calls else "<|user|>")


def _call(text: str, at: int, tools: Sequence[Tool]) -> tuple[Written, ...]:
    reader = JsonReader(text)
    at = reader.sure = reader.skip(at)
    match = _NAME.match(text, at)
    end = match.end() if match else at
    if end == at:
        reader.fail("expected a name", at)
    name = text[at:end]
    # A name at the end of the answer may be the beginning of a longer one.
    reader.name = (name, end) if end < len(text) else None
    texts: dict[str, str] = {}
    while True:
        at = reader.sure = reader.skip(end)
        if text.startswith(_TAGS.closer, at):
            arguments = typed(tools, name, texts)
            return (Written(name=name, arguments=arguments, end=at, by_schema=tuple(texts)),)
        early = reader.begins("<arg_key>", at) or reader.begins(_TAGS.closer, at)
        if not text.startswith("<arg_key>", at):
            reader.fail(f"expected <arg_key> or {_TAGS.closer}", at, early=early)
        key_at = at + len("<arg_key>")
        match = _KEY.match(text, key_at)
        key_end = match.end() if match else key_at
        begin = reader.skip(past(reader, "</arg_key>", key_end))
        begin = past(reader, "<arg_value>", begin)
        key = text[key_at:key_end].strip()
        if not key:
            reader.fail("expected a key", key_at)
        if key in texts:
            reader.fail(f"the key {key!r} appears twice", key_at)
        inner = text.find("<arg_key>", begin)
        limit = len(text) if inner < 0 else inner + len("<arg_key>")
        closing = _ENDING.search(text, begin, limit)
        if closing is None:
            reader.fail("<arg_key> inside a value, which is not closed", limit, early=inner < 0)
        texts[key] = text[begin : closing.start()]
        end = closing.end()


def _rendered(call: ToolCall) -> str:
    if not call.name or not _NAME.fullmatch(call.name):
        raise ValueError(f"the tool name {call.name!r} cannot follow the tag")
    lines = [f"{_TAGS.opener}{call.name}"]
    for key, value in call.arguments.items():
        if not key.strip() or key != key.strip() or not _KEY.fullmatch(key):
            raise ValueError(f"the argument name {key!r} cannot appear in a tag")
        text = value if isinstance(value, str) else rendered_value(value)
        closing = _ENDING.search(f"{text}</arg_value>{_TAGS.closer}")
        if "<arg_key>" in text or closing is None or closing.start() != len(text):
            raise ValueError(f"the value of {key!r} contains a tag that would end it")
        lines.append(f"<arg_key>{key}</arg_key>\n<arg_value>{text}</arg_value>")
    return "\n".join([*lines, _TAGS.closer])


GLM_45 = Glm45()

DIALECTS = (GLM_45,)
