"""
GLM-4: the name on a line of its own, and one JSON object on the next: ``NAME``, new line, ``{..}``.

Source: the model card of GLM-4-9b-chat and its outputs on a public leaderboard. There is no tag, so
one word of prose before an object would look the same. A call is therefore read only at the very
start of the answer, where a line contains a name and nothing else (letters, digits, ``_ . -``) and
the next begins with ``{``. An answer contains one call; whatever follows it is text.

GLM-4.5 and later have tags: `harness.dialects.glm45`.
"""

import re
from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import read_arguments, rendered_value
from harness.dialects.readers.lost import MISSING, Traces, declared
from harness.dialects.readers.tags import Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_STOPS = ("<|observation|>", "<|user|>", "<|endoftext|>")
_NAME = re.compile(r"[^\W\d][\w.-]*")
_START = re.compile(r"\s*()([^\W\d][\w.-]*)\n(?=\{)")
_TAGS = Tags(
    opener="",
    closer="",
    ends=_STOPS,
    spaced=False,
    start=_START,
    removed=("<|assistant|>",),
    traces=Traces(
        problem=f"{MISSING}: the answer does not begin with the name",
        notation=(r"^NAME[ \t]*\n?\s*\{(?=\s*[\"'}])",),
    ),
)


class Glm4:
    """
    The dialect described above.
    """

    name = "glm-4"
    version = 2
    stops = _STOPS

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* has the family's roles, and no tags around calls.
        """
        return (
            "<|observation|>" in template
            and "<|assistant|>" in template
            and "<tool_call>" not in template
        )

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, _call, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: single quotes, a trailing comma, arguments encoded twice.
        """
        return read_tagged(output, _TAGS, partial(_call, loose=True), names=declared(tools))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write the one call that an answer can contain.

        Raises:
            ValueError: for more than one call, a value that JSON cannot represent, or a bad name.
        """
        if not calls:
            return "<|user|>"
        if len(calls) > 1:
            raise ValueError("GLM-4 writes one call per answer")
        (call,) = calls
        if _NAME.fullmatch(call.name) is None:
            raise ValueError(f"GLM-4 cannot write the tool name {call.name!r}")
        return f"{call.name}\n{rendered_value(dict(call.arguments))}<|observation|>"


def _call(text: str, at: int, *, loose: bool = False) -> tuple[Written, ...]:
    begun = _START.match(text)
    name = begun.group(2) if begun is not None and begun.end() == at else None
    return read_arguments(text, at, name, loose=loose)


GLM_4 = Glm4()

DIALECTS = (GLM_4,)
