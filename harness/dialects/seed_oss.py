"""
Seed-OSS: calls as markup, one tag for each argument.

``<seed:tool_call>``, ``<function=f>``, ``<parameter=k>v</parameter>``, and all closed. Values are
text, typed by the tool's schema (`harness.dialects.readers.untyped`); a line break at each end
belongs to the tags, as public runtimes take it. What stands in ``<seed:think>...</seed:think>`` is
neither call nor text. As in Qwen3-Coder, ``<function=`` begins a call also without the tag around
it, which a public runtime executes.

Sources: tests of public runtimes and threads about calls that leaked as text. No real output was at
hand: experimental.
"""

from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.markup import Markup, several
from harness.dialects.readers.tags import Tags, read_tagged
from harness.messages import Tool, ToolCall

_TAGS = Tags(
    opener="<seed:tool_call>",
    closer="</seed:tool_call>",
    ends=("<seed:eos>",),
    spaced=True,
    removed=("<seed:bos>",),
    own=("<function=",),
    reasoning=("<seed:think>", "</seed:think>"),
    traces=Traces(
        problem=missing("<seed:tool_call> or <function=NAME>"),
        begins=("<function=",),
        inner=("</function>", "<parameter=", "</parameter>"),
        closers=("</seed:tool_call>",),
    ),
)
_MARKUP = Markup(
    call=("<function=", ">"),
    argument=("<parameter=", ">"),
    argument_end="</parameter>",
    call_end="</function>",
    lines=True,
)


class SeedOss:
    """
    The dialect described above.
    """

    name = "seed-oss"
    version = 1
    stops = ("<seed:eos>",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the tag around calls.
        """
        return _TAGS.opener in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        body = partial(several, partial(_MARKUP.read, tools=tools), _MARKUP.call[0])
        return read_tagged(output, _TAGS, body, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as `read` does: what breaks this markup cannot be mended without a guess.
        """
        return self.read(output, tools)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls*, each between tags of its own.

        Raises:
            ValueError: for a name, key or value that the tags cannot hold.
        """
        blocks = [
            f"{_TAGS.opener}\n{_MARKUP.render(call, chr(10), chr(10))}\n{_TAGS.closer}"
            for call in calls
        ]
        return "\n".join(blocks) + "<seed:eos>"


SEED_OSS = SeedOss()

DIALECTS = (SEED_OSS,)
