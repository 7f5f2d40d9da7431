"""
Toy: ``<toy>``, the tool's name, its arguments as a JSON object, ``</toy>``.
"""

import re
from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import read_arguments, rendered_value
from harness.dialects.readers.json_text import JsonReader
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.tags import Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_TAGS = Tags(
    opener="<toy>",
    closer="</toy>",
    ends=("</s>",),
    spaced=True,
    traces=Traces(
        problem=missing("<toy>"),
        closers=("</toy>",),
        notation=(r"^NAME (?=\{)",),
    ),
)
_NAME = re.compile(r"([^\s<>{}\"]+) ")


class Toy:
    """
    The dialect described above.
    """

    name = "toy"
    version = 1
    stops = ("</s>",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the opening tag.
        """
        return _TAGS.opener in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, _call, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output*, repairing the JSON of arguments.
        """
        return read_tagged(output, _TAGS, partial(_call, loose=True), names=declared(tools))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* one after the other.

        Raises:
            ValueError: for a name or a value that cannot be written.
        """
        blocks = []
        for call in calls:
            if _NAME.fullmatch(f"{call.name} ") is None:
                raise ValueError(f"the tool name {call.name!r} cannot be written")
            arguments = rendered_value(dict(call.arguments))
            blocks.append(f"{_TAGS.opener}{call.name} {arguments}{_TAGS.closer}")
        return "".join(blocks) + "</s>"


def _call(text: str, at: int, *, loose: bool = False) -> tuple[Written, ...]:
    match = _NAME.match(text, at)
    if match is None:
        JsonReader(text).fail("expected a name and a space", at)
    return read_arguments(text, match.end(), match[1], loose=loose)


TOY = Toy()
