"""
xLAM: nothing but a JSON list of calls, or, from the first models, ``{"tool_calls": [..]}``.

Source: Salesforce's model cards of xLAM-1 and xLAM-2 and their outputs on a public leaderboard.
The list or the object is at the start of the answer, or after ``</think>``. An empty list means
that no tool is called. Served models also put the list after ``[TOOL_CALLS]``, into
``<tool_call>`` or into a code fence: those are read leniently. An expression as a value, such as
``1.0 / 6.0``, is not JSON and never evaluated.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import BARE, read_bare_calls, read_list, rendered_value
from harness.dialects.readers.lost import MISSING, Traces, declared
from harness.dialects.readers.tags import Bare, Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_ENDS = ("<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>", "<|EOT|>", "</s>")
_OBJECT = r"\{\s*\"tool_calls\"\s*:\s*"
_START = re.compile(
    rf"\s*(?:<think>(?:[^<]|<(?!/think>))*+</think>\s*)?()(?:{_OBJECT})?(?=\[\s*\{{)"
)
_CLOSING = re.compile(r"\s*\}")
_EMPTY = re.compile(rf"\[\s*\]|{_OBJECT}\[\s*\]\s*\}}")
_THINKING = ("<think>", "</think>")
_TRACES = Traces(
    problem=f"{MISSING}: the answer does not begin with the list of calls",
    keys=("name", "arguments", "parameters"),
)
_TAGS = Tags(
    opener="",
    closer="",
    ends=_ENDS,
    spaced=False,
    start=_START,
    reasoning=_THINKING,
    traces=_TRACES,
)
_SERVED = Tags(
    opener="[TOOL_CALLS]",
    also=("<tool_call>",),
    closer="",
    ends=_ENDS,
    spaced=False,
    start=_START,
    removed=("</tool_call>",),
    reasoning=_THINKING,
    traces=_TRACES,
)


class Xlam:
    """
    The dialect described above.
    """

    name = "xlam"
    version = 2
    stops = ("<|im_end|>", "<|eot_id|>", "<|EOT|>")

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* has one of the two instructions these models are prompted with.
        """
        return '"tool_call_name"' in template or '{"tool_calls": [' in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return _plain(read_tagged(output, _TAGS, _calls, names=declared(tools)))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: single quotes, a trailing comma, a code fence, arguments
        encoded twice, ``parameters`` for ``arguments``, ``\\_`` in a name; the list after
        ``[TOOL_CALLS]`` or in ``<tool_call>``; and calls at the start of any line.
        """
        body = partial(_calls, loose=True)
        repaired = _plain(read_tagged(output, _SERVED, body, _BARE, declared(tools)))
        # A tag of another family that begins nothing readable is text, as in a strict reading.
        return repaired if repaired.repairs else self.read(output, tools)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as one list.

        Raises:
            ValueError: for a value that JSON cannot represent.
        """
        listed = [{"name": call.name, "arguments": dict(call.arguments)} for call in calls]
        return rendered_value(listed) + "<|im_end|>"


def _calls(text: str, at: int, *, loose: bool = False) -> tuple[Written, ...]:
    """
    Read the list that begins at *at*; an object around it belongs to its last call.
    """
    found = read_list(text, at, loose=loose)
    if text[max(0, at - 40) : at].rstrip().endswith(":"):
        closing = _CLOSING.match(text, found[-1].end)
        end = closing.end() if closing else found[-1].end
        return (*found[:-1], replace(found[-1], end=end))
    served = next((tag for tag in _SERVED.openers if tag and text.endswith(tag, 0, at)), None)
    if served is None:
        return found
    return tuple(replace(call, repairs=(*call.repairs, f"{served} before it")) for call in found)


def _plain(reading: Reading) -> Reading:
    return replace(reading, text="") if _EMPTY.fullmatch(reading.text) else reading


_BARE = Bare(begin=BARE, body=read_bare_calls)

XLAM = Xlam()

DIALECTS = (XLAM,)
