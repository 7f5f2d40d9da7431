"""
DeepSeek V3.2: calls as markup, each argument with or without the note that it is text.

``<｜DSML｜function_calls>``, ``<｜DSML｜invoke name="f">``,
``<｜DSML｜parameter name="k" string="true">v</｜DSML｜parameter>``, and all closed. With
``string="true"`` a value is text as it stands, with ``string="false"`` it is JSON; without either
the tool's schema decides (`harness.dialects.readers.untyped`).

Experimental: the tag is from public threads, what stands inside is from memory. A template of V3.1
in front of such a model goes unnoticed by servers (SGLang issue 17141); here nothing is read then.
"""

from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.markup import Markup, several
from harness.dialects.readers.tags import Tags, read_tagged
from harness.messages import Tool, ToolCall

_STOP = "<｜end▁of▁sentence｜>"
_TAGS = Tags(
    opener="<｜DSML｜function_calls>",
    closer="</｜DSML｜function_calls>",
    ends=(_STOP,),
    spaced=True,
    reasoning=("<think>", "</think>"),
)
_MARKUP = Markup(
    call=('<｜DSML｜invoke name="', '">'),
    argument=('<｜DSML｜parameter name="', ">"),
    argument_end="</｜DSML｜parameter>",
    call_end="</｜DSML｜invoke>",
    lines=False,
    text='" string="true"',
    other='" string="false"',
    silent='"',
)


class DeepSeekV32:
    """
    The dialect described above.
    """

    name = "deepseek-v3.2"
    version = 2
    stops = (_STOP,)

    def recognises(self, template: str) -> bool:
        """
        Whether *template* writes the tag around all calls.
        """
        return "DSML" in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        one = partial(_MARKUP.read, tools=tools)
        return read_tagged(output, _TAGS, partial(several, one, _MARKUP.call[0]))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as `read` does: what breaks this markup cannot be mended without a guess.
        """
        return self.read(output, tools)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* between one pair of tags.

        Raises:
            ValueError: for a name, key or value that the tags cannot hold.
        """
        blocks = [_MARKUP.render(call, "\n", "\n") for call in calls]
        inside = "\n".join(blocks)
        return (f"{_TAGS.opener}\n{inside}\n{_TAGS.closer}" if blocks else "") + _STOP


DEEPSEEK_V32 = DeepSeekV32()

DIALECTS = (DEEPSEEK_V32,)
