"""
DeepSeek V3.2 and V4: calls as markup; an argument may say whether it is text.

``<｜DSML｜function_calls>`` in V3.2 and ``<｜DSML｜tool_calls>`` in V4, in it
``<｜DSML｜invoke name="f">``, ``<｜DSML｜parameter name="k" string="true">v</｜DSML｜parameter>``,
and all closed. With ``string="true"`` a value is literal text, with ``string="false"`` it is
JSON; without either, the tool's schema decides (`harness.dialects.readers.untyped`).

The format of V4 is that of the encoding published with it. V3.2 is experimental: the tag is from
public threads, its contents are from memory. Servers do not notice a template of V3.1 in front of
such a model (SGLang issue 17141); here nothing is read then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.markup import Markup, several
from harness.dialects.readers.tags import Tags, read_tagged
from harness.messages import Tool, ToolCall

_STOP = "<｜end▁of▁sentence｜>"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepSeekMarkup:
    """
    One of the dialects described above.
    """

    name: str
    version: int
    around: str
    """The word in the tag around all calls."""
    tags: Tags
    stops: tuple[str, ...] = (_STOP,)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes this tag around all calls.

        A template may keep the mark in a variable, so only the end of the tag is searched for.
        """
        return "DSML" in template and f"{self.around}>" in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        body = partial(several, partial(_MARKUP.read, tools=tools), _MARKUP.call[0])
        return read_tagged(output, self.tags, body, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as `read` does: what breaks this markup cannot be repaired without guessing.
        """
        return self.read(output, tools)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* between one pair of tags.

        Raises:
            ValueError: for a name, key or value that the tags cannot contain.
        """
        blocks = [_MARKUP.render(call, "\n", "\n") for call in calls]
        inside = "\n".join(blocks)
        return (f"{self.tags.opener}\n{inside}\n{self.tags.closer}" if blocks else "") + _STOP


def _dialect(name: str, version: int, around: str) -> DeepSeekMarkup:
    opener, closer = f"<｜DSML｜{around}>", f"</｜DSML｜{around}>"
    tags = Tags(
        opener=opener,
        closer=closer,
        ends=(_STOP,),
        spaced=True,
        reasoning=("<think>", "</think>"),
        traces=Traces(
            problem=missing(opener),
            begins=(_MARKUP.call[0],),
            inner=(_MARKUP.call_end, _MARKUP.argument[0], _MARKUP.argument_end),
            closers=(closer,),
        ),
    )
    return DeepSeekMarkup(name=name, version=version, around=around, tags=tags)


DEEPSEEK_V32 = _dialect("deepseek-v3.2", version=2, around="function_calls")
DEEPSEEK_V4 = _dialect("deepseek-v4", version=1, around="tool_calls")

DIALECTS = (DEEPSEEK_V32, DEEPSEEK_V4)
