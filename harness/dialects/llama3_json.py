"""
Llama 3 JSON: ``{"name": "f", "parameters": {...}}``, several with ``; `` or a new line between.

Source: Meta's model card and prompt formats of Llama 3.1 and 3.2, and their chat templates. The key
is ``parameters``; ``arguments`` and a ``"type": "function"`` beside it occur. ``<|python_tag|>``
may stand before the calls, and always begins one: ``brave_search.call(query="..")``, which it also
begins for the family's built-in tools, is such a call that is not read (the form is from memory).

A call stands at the start of the answer, and is begun with the brace and a key of a call; any other
object is text. Objects nest to any depth, and a brace in the text that follows discards nothing
(vLLM issues 27701, 28789, 49923).
"""

import re
from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import BARE, Keys, mend_call, read_bare_calls, read_call
from harness.dialects.readers.json_calls import rendered_call as rendered
from harness.dialects.readers.json_text import Trouble
from harness.dialects.readers.tags import Bare, Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_KEYS = Keys(arguments=("parameters", "arguments"), mended=())
_CALL = r"\{\s*\"(?:(?:name|parameters|arguments|function)\"|type\"\s*:\s*\"function\")"
_NEXT = re.compile(rf"\s*;?\s*(?={_CALL})")
_TAGS = Tags(
    opener="<|python_tag|>",
    closer="",
    ends=("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"),
    spaced=False,
    start=re.compile(rf"\s*()(?={_CALL})"),
)
_WRITES_PARAMETERS = re.compile(r'\\?"parameters\\?": *[\'"]')


class Llama3Json:
    """
    The dialect described above.
    """

    name = "llama3-json"
    version = 1
    stops = ("<|eot_id|>", "<|eom_id|>")

    def recognises(self, template: str) -> bool:
        """
        Whether *template* writes calls of this family's turns with the key ``parameters``.
        """
        return (
            "<|start_header_id|>" in template
            and "tool_calls" in template
            and _WRITES_PARAMETERS.search(template) is not None
        )

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, _calls)

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these mends: single quotes, a trailing comma, a list around the calls,
        arguments encoded twice, ``\\_`` in a name; and calls at the start of any line, fenced or
        not.
        """
        return read_tagged(output, _TAGS, partial(_calls, loose=True), _BARE)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the templates do, with ``; `` between.

        Raises:
            ValueError: for a value JSON cannot hold.
        """
        return "; ".join(rendered(call, _KEYS) for call in calls) + "<|eot_id|>"


def _calls(text: str, at: int, *, loose: bool = False) -> tuple[Written, ...]:
    done: list[Written] = []
    while True:
        try:
            done += (mend_call if loose else read_call)(text, at, _KEYS)
        except Trouble as trouble:
            trouble.done = tuple(done)
            raise
        following = _NEXT.match(text, done[-1].end)
        if following is None:
            return tuple(done)
        at = following.end()


_BARE = Bare(begin=BARE, body=partial(read_bare_calls, keys=_KEYS))

LLAMA3_JSON = Llama3Json()

DIALECTS = (LLAMA3_JSON,)
