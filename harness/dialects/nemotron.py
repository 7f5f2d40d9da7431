"""
Nemotron: a JSON list of calls between two tags, ``<TOOLCALL>[{"name": .., ..}]</TOOLCALL>``.

Written by NVIDIA's Llama-3.3-Nemotron-Super and Nemotron Nano 2. (Nemotron 3 writes the markup of
Qwen3-Coder, and its template is recognized as such.) Text may surround the list; anything in
``<think>...</think>`` is neither call nor text.

Experimental: written from memory of the models' public guides, without real output.
"""

from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import read_list, rendered_value
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.tags import Tags, read_tagged
from harness.messages import Tool, ToolCall

_TAGS = Tags(
    opener="<TOOLCALL>",
    closer="</TOOLCALL>",
    ends=("<SPECIAL_12>", "<|eot_id|>", "<|im_end|>"),
    spaced=True,
    reasoning=("<think>", "</think>"),
    traces=Traces(
        problem=missing("<TOOLCALL>"),
        closers=("</TOOLCALL>",),
        keys=("name", "arguments", "parameters"),
    ),
)


class Nemotron:
    """
    The dialect described above.
    """

    name = "nemotron"
    version = 1
    stops = ("<SPECIAL_12>",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the opening tag.
        """
        return _TAGS.opener in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, read_list, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs between the tags: single quotes, a trailing comma, a code
        fence, arguments encoded twice, ``parameters`` for ``arguments``, a single call without a
        list.
        """
        body = partial(read_list, loose=True)
        return read_tagged(output, _TAGS, body, names=declared(tools))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as one list.

        Raises:
            ValueError: for a value that JSON cannot represent.
        """
        listed = [{"name": call.name, "arguments": dict(call.arguments)} for call in calls]
        inside = f"{_TAGS.opener}{rendered_value(listed)}{_TAGS.closer}" if calls else ""
        return f"{inside}<SPECIAL_12>"


NEMOTRON = Nemotron()

DIALECTS = (NEMOTRON,)
