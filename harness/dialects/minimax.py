"""
MiniMax: calls as markup between ``<minimax:tool_call>``, or JSON between ``<tool_calls>``.

Source: MiniMax's guides to tool calling. M2 (dialect ``minimax-m2``) writes ``<invoke name="f">``,
``<parameter name="k">v</parameter>`` and ``</invoke>``; values are text, typed by the tool's schema
(`harness.dialects.readers.untyped`): for an argument that may be a string, ``null`` and ``007`` are
strings. M1 (dialect ``minimax-m1``, experimental: from memory) writes one JSON object per line.
"""

from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import read_call, read_call_leniently, rendered_call
from harness.dialects.readers.json_text import JsonReader, Trouble
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.markup import Markup, several
from harness.dialects.readers.tags import Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_THINKING = ("<think>", "</think>")
_M2 = Tags(
    opener="<minimax:tool_call>",
    closer="</minimax:tool_call>",
    ends=("[e~[",),
    spaced=True,
    reasoning=_THINKING,
    traces=Traces(
        problem=missing("<minimax:tool_call>"),
        begins=('<invoke name="',),
        inner=("</invoke>", '<parameter name="', "</parameter>"),
        closers=("</minimax:tool_call>",),
    ),
)
_M1 = Tags(
    opener="<tool_calls>",
    closer="</tool_calls>",
    ends=("<end_of_sentence>",),
    spaced=True,
    reasoning=_THINKING,
    traces=Traces(
        problem=missing("<tool_calls>"),
        closers=("</tool_calls>",),
        keys=("name", "arguments", "parameters"),
    ),
)
_MARKUP = Markup(
    call=('<invoke name="', '">'),
    argument=('<parameter name="', '">'),
    argument_end="</parameter>",
    call_end="</invoke>",
    lines=False,
)


class MiniMaxM2:
    """
    The dialect of M2.
    """

    name = "minimax-m2"
    version = 2
    stops = ("[e~[",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the family's tag.
        """
        return _M2.opener in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        body = partial(several, partial(_MARKUP.read, tools=tools), _MARKUP.call[0])
        return read_tagged(output, _M2, body, names=declared(tools))

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
        return (f"{_M2.opener}\n{inside}\n{_M2.closer}" if blocks else "") + "[e~["


class MiniMaxM1:
    """
    The dialect of M1.
    """

    name = "minimax-m1"
    version = 2
    stops = ("<end_of_sentence>",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the tag around JSON.
        """
        return _M1.opener in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _M1, _lines, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with the repairs that the Hermes dialect makes inside a call.
        """
        return read_tagged(output, _M1, partial(_lines, loose=True), names=declared(tools))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls*, one per line, between one pair of tags.

        Raises:
            ValueError: for a value that JSON cannot represent.
        """
        lines = "\n".join(map(rendered_call, calls))
        return (f"{_M1.opener}\n{lines}\n{_M1.closer}" if calls else "") + "<end_of_sentence>"


def _lines(text: str, at: int, *, loose: bool = False) -> tuple[Written, ...]:
    done: list[Written] = []
    reader = JsonReader(text)
    while True:
        try:
            done += (read_call_leniently if loose else read_call)(text, at)
        except Trouble as trouble:
            trouble.done = tuple(done)
            raise
        at = reader.skip(done[-1].end)
        if text[at : at + 1] != "{":
            return tuple(done)


MINIMAX_M2 = MiniMaxM2()
MINIMAX_M1 = MiniMaxM1()

DIALECTS = (MINIMAX_M1, MINIMAX_M2)
