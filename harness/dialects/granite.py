"""
Granite 3: ``<|tool_call|>`` and one JSON list of calls; 3.1 and later also write ``<tool_call>``.

Source: IBM's chat templates of Granite 3.0 to 3.3. There is no closing tag: a list ends with its
bracket, and text may follow. A list of calls at the very start of an answer needs no tag: public
runtimes strip the tag if there is one, and read the list. Granite 4 writes one object between
tags, which is Hermes (`harness.dialects.hermes`), and granite-20b-functioncalling another format
(`granite20b`).
"""

import re
from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import BARE, read_bare_calls, read_list, rendered_value
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.tags import Bare, Tags, read_tagged
from harness.messages import Tool, ToolCall

_TAGS = Tags(
    opener="<|tool_call|>",
    also=("<tool_call>",),
    closer="",
    ends=("<|end_of_text|>", "<|start_of_role|>"),
    spaced=False,
    start=re.compile(r"\s*()(?=\[\s*\{\s*\"(?:name|arguments)\"\s*:)"),
    removed=("</tool_call>", "<|end_of_role|>"),
    reasoning=("<think>", "</think>"),
    traces=Traces(
        problem=missing("<|tool_call|>"),
        closers=("</tool_call>",),
        keys=("name", "arguments", "parameters"),
    ),
)
_LISTED = re.compile(r"<tool_call>\s*\[")


class Granite:
    """
    The dialect described above.
    """

    name = "granite"
    version = 2
    stops = ("<|end_of_text|>",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* has this family's roles and writes a list after one of the tags.
        """
        return "<|start_of_role|>" in template and (
            _TAGS.opener in template or _LISTED.search(template) is not None
        )

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, read_list, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: single quotes, a trailing comma, a code fence, arguments
        encoded twice, ``parameters`` for ``arguments``, ``\\_`` in a name, a single call
        without a list; and calls without a tag at the start of a line.
        """
        body = partial(read_list, loose=True)
        return read_tagged(output, _TAGS, body, _BARE, declared(tools))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as one list.

        Raises:
            ValueError: for a value that JSON cannot represent.
        """
        listed = [{"name": call.name, "arguments": dict(call.arguments)} for call in calls]
        return (f"{_TAGS.opener}{rendered_value(listed)}" if calls else "") + "<|end_of_text|>"


_BARE = Bare(begin=BARE, body=read_bare_calls)

GRANITE = Granite()

DIALECTS = (GRANITE,)
