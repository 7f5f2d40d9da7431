"""
Calls as markup with a tag for the function and one for each argument, in two families.

- ``qwen3-coder``: ``<tool_call>``, ``<function=NAME>``, ``<parameter=KEY>``, a value, and all
  closed. Source: the chat template of Qwen3-Coder and the parser that Qwen ships with it.
- ``seed-oss``: the same inside ``<seed:tool_call>``, with ``<seed:think>`` around thinking.
  Sources: tests of public runtimes and threads about calls that leaked as text. Experimental:
  written without real output.

Every tag is on a line of its own, and the line breaks at both ends of a value belong to the
tags: indentation and blank lines inside are kept. Values are text, typed by the tool's schema
(`harness.dialects.readers.untyped`). Two calls of the same tool are two calls.

``<function=`` begins a call even without the tag around it, and the closing tag may then be missing
as well: public runtimes execute such a call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.markup import Markup, several
from harness.dialects.readers.tags import Tags, read_tagged
from harness.messages import Tool, ToolCall

_MARKUP = Markup(
    call=("<function=", ">"),
    argument=("<parameter=", ">"),
    argument_end="</parameter>",
    call_end="</function>",
    lines=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionMarkup:
    """
    One of the dialects described above.
    """

    name: str
    version: int
    tags: Tags
    end: str
    """The token that ends a turn."""

    @property
    def stops(self) -> tuple[str, ...]:
        """
        The token that ends a turn.
        """
        return (self.end,)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the tag around calls, and the one that names the function.
        """
        return self.tags.opener in template and _MARKUP.call[0] in template

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
        Write *calls*, each between its own tags.

        Raises:
            ValueError: for a name, key or value that the tags cannot contain.
        """
        opener, closer = self.tags.opener, self.tags.closer
        blocks = [f"{opener}\n{_MARKUP.render(call, chr(10), chr(10))}\n{closer}" for call in calls]
        return "\n".join(blocks) + self.end


def _tags(around: str, think: str, ends: tuple[str, ...], begin: str) -> Tags:
    """
    Return the tags of a family: the words in the tags around calls and around thinking, what ends
    a turn, and what begins one.
    """
    opener, closer = f"<{around}>", f"</{around}>"
    return Tags(
        opener=opener,
        closer=closer,
        ends=ends,
        spaced=True,
        removed=(begin,),
        own=(_MARKUP.call[0],),
        reasoning=(f"<{think}>", f"</{think}>"),
        traces=Traces(
            problem=missing(f"{opener} or <function=NAME>"),
            begins=(_MARKUP.call[0],),
            inner=("</function>", "<parameter=", "</parameter>"),
            closers=(closer,),
        ),
    )


QWEN3_CODER = FunctionMarkup(
    name="qwen3-coder",
    version=2,
    tags=_tags("tool_call", "think", ("<|im_end|>", "<|endoftext|>"), "<|im_start|>"),
    end="<|im_end|>",
)
SEED_OSS = FunctionMarkup(
    name="seed-oss",
    version=1,
    tags=_tags("seed:tool_call", "seed:think", ("<seed:eos>",), "<seed:bos>"),
    end="<seed:eos>",
)

DIALECTS = (QWEN3_CODER, SEED_OSS)
