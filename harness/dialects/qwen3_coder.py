"""
Qwen3-Coder: ``<tool_call>``, ``<function=NAME>``, ``<parameter=KEY>``, a value, and all closed.

Source: the chat template of Qwen3-Coder and the parser that Qwen ships beside it. Every tag stands
on a line of its own, and the line breaks at both ends of a value belong to the tags: indentation
and blank lines inside survive. Values are text, typed by the tool's schema
(`harness.dialects.readers.untyped`). Two calls of one tool are two calls.

``<function=`` begins a call also where ``<tool_call>`` does not stand before it, and
``</tool_call>`` may then be missing as well: public runtimes execute such a call.
"""

from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.markup import Markup, several
from harness.dialects.readers.tags import Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_TAGS = Tags(
    opener="<tool_call>",
    closer="</tool_call>",
    ends=("<|im_end|>", "<|endoftext|>"),
    spaced=True,
    removed=("<|im_start|>",),
    own=("<function=",),
    reasoning=("<think>", "</think>"),
    traces=Traces(
        problem=missing("<tool_call> or <function=NAME>"),
        begins=("<function=",),
        inner=("</function>", "<parameter=", "</parameter>"),
        closers=("</tool_call>",),
    ),
)
_MARKUP = Markup(
    call=("<function=", ">"),
    argument=("<parameter=", ">"),
    argument_end="</parameter>",
    call_end="</function>",
    lines=True,
)


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
        body = partial(_calls, tools=tools)
        return read_tagged(output, _TAGS, body, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as `read` does: what breaks this markup cannot be mended without a guess.
        """
        return self.read(output, tools)

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


QWEN3_CODER = Qwen3Coder()

DIALECTS = (QWEN3_CODER,)
