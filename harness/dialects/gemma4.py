"""
Gemma 4: ``<|tool_call>call:NAME{key:<|"|>text<|"|>,n:3}<tool_call|>``.

Source: Google's chat template for Gemma 4 and threads about its parsers. The notation is that of
FunctionGemma with another quote token (`harness.dialects.readers.braces`): a bare ``42`` or
``true`` is a number or a boolean, and anything in the quotes is text (vLLM issues 47906 and
51284). Inside containers the model also writes plain JSON or Python strings, and ``=`` for the
colon: both are read leniently.
"""

import re
from collections.abc import Sequence

from harness.dialects.base import Reading
from harness.dialects.readers.braces import Braces
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.tags import Bare, Tags, read_tagged
from harness.messages import Tool, ToolCall

_QUOTE = '<|"|>'
_TAGS = Tags(
    opener="<|tool_call>",
    closer="<tool_call|>",
    ends=("<|tool_response>", "<turn|>", "<eos>"),
    spaced=False,
    removed=("<tool_call|>", "<|turn>", _QUOTE, "<bos>", "<pad>"),
    reasoning=("<|channel>", "<channel|>"),
    traces=Traces(
        problem=missing("<|tool_call>"),
        closers=("<tool_call|>",),
        notation=(r"\bcall:NAME(?=\s*\{)",),
    ),
)
_BRACES = Braces(family="Gemma 4", quote=_QUOTE, single_quotes=True, equals=True)


class Gemma4:
    """
    The dialect described above.
    """

    name = "gemma-4"
    version = 2
    stops = ("<|tool_response>", "<turn|>")

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes this family's tag.
        """
        return _TAGS.opener in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, _BRACES.read, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: strings in quotes, quoted keys, a trailing comma, ``=``
        for the colon; and ``call:NAME{...}`` without control tokens at the start of a line.
        """
        return read_tagged(output, _TAGS, _BRACES.read_leniently, _BARE, declared(tools))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the template does.

        Raises:
            ValueError: for a name, key or value this format cannot represent.
        """
        if not calls:
            return "<turn|>"
        blocks = [f"{_TAGS.opener}{_BRACES.render(call)}{_TAGS.closer}" for call in calls]
        return "".join(blocks) + "<|tool_response>"


_BARE = Bare(begin=re.compile(r"^(?=call:[^\s{}<>]+\{)", re.MULTILINE), body=_BRACES.read_leniently)

GEMMA_4 = Gemma4()

DIALECTS = (GEMMA_4,)
