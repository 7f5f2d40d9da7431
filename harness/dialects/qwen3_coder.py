"""
Qwen3-Coder: ``<tool_call>``, ``<function=NAME>``, ``<parameter=KEY>``, a value, and all closed.

Source: the chat template of Qwen3-Coder and the parser that Qwen ships beside it. Every tag stands
on a line of its own, and the line breaks at both ends of a value belong to the tags: indentation
and blank lines inside survive. Values are text, typed by the tool's schema
(`harness.dialects.readers.untyped`). Two calls of one tool are two calls. The opening
``<tool_call>`` is sometimes left out, as remembered; such a call is read leniently.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.markup import Markup, several
from harness.dialects.readers.tags import Bare, Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_TAGS = Tags(
    opener="<tool_call>",
    closer="</tool_call>",
    ends=("<|im_end|>", "<|endoftext|>"),
    spaced=True,
    removed=("<|im_start|>",),
    reasoning=("<think>", "</think>"),
)
_MARKUP = Markup(
    call=("<function=", ">"),
    argument=("<parameter=", ">"),
    argument_end="</parameter>",
    call_end="</function>",
    lines=True,
)
_UNOPENED = re.compile(r"^[ \t]*(?=<function=)", re.MULTILINE)
_CLOSING = re.compile(r"\s*</tool_call>")


class Qwen3Coder:
    """
    The dialect described above.
    """

    name = "qwen3-coder"
    version = 2
    stops = ("<|im_end|>",)

    def recognises(self, template: str) -> bool:
        """
        Whether *template* writes the tags that name function and parameter.
        """
        return _TAGS.opener in template and _MARKUP.call[0] in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, partial(_calls, tools=tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with one mend: calls whose ``<tool_call>`` is missing.
        """
        body = partial(_calls, tools=tools)
        bare = Bare(begin=_UNOPENED, body=partial(_unopened, tools=tools))
        return read_tagged(output, _TAGS, body, bare)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the template does.

        Raises:
            ValueError: for a name, key or value that the tags cannot hold.
        """
        blocks = [
            f"{_TAGS.opener}\n{_MARKUP.render(call, chr(10), chr(10))}\n{_TAGS.closer}"
            for call in calls
        ]
        return "\n".join(blocks) + "<|im_end|>"


def _calls(text: str, at: int, tools: Sequence[Tool]) -> tuple[Written, ...]:
    return several(partial(_MARKUP.read, tools=tools), _MARKUP.call[0], text, at)


def _unopened(text: str, at: int, tools: Sequence[Tool]) -> tuple[Written, ...]:
    call = _MARKUP.read(text, at, tools)
    closing = _CLOSING.match(text, call.end)
    return (replace(call, end=closing.end()) if closing else call,)


QWEN3_CODER = Qwen3Coder()

DIALECTS = (QWEN3_CODER,)
