"""
Llama 3 JSON: ``{"name": "f", "parameters": {...}}``, several with ``; `` or a new line between.

Source: Meta's model card and prompt formats of Llama 3.1 and 3.2, and their chat templates. The key
is ``parameters``; ``arguments`` and an additional ``"type": "function"`` occur. ``<|python_tag|>``
may precede the calls, and always begins one: ``brave_search.call(query="..")``, as it is written
for the family's built-in tools, is a call that cannot be read (this format is from memory).

A call is an object with a name and arguments, wherever it is: after prose, in a list, in a code
fence, or after another call with anything in between. Runtimes decode every object (vLLM issues
27701, 28789, 49923), so objects nest to any depth, and a brace in the text that follows discards
nothing. At the start of the answer a brace and a key of a call begin a call; elsewhere an object
that is not a call is text, unless it names a declared tool and cannot be read
(`harness.dialects.readers.lost`).
"""

import re
from collections.abc import Sequence
from functools import partial

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import (
    BARE,
    Keys,
    call_in,
    read_bare_calls,
    read_call,
    read_call_leniently,
)
from harness.dialects.readers.json_calls import rendered_call as rendered
from harness.dialects.readers.json_text import JsonReader, Trouble, read_json
from harness.dialects.readers.lost import Traces, declared
from harness.dialects.readers.tags import Bare, Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_KEYS = Keys(arguments=("parameters", "arguments"), lenient=())
_CALL = r"\{\s*\"(?:(?:name|parameters|arguments|function)\"|type\"\s*:\s*\"function\")"
_NEXT = re.compile(rf"\s*;?\s*(?={_CALL})")
_ANY = re.compile(r"(?=\{\s*\")")
_INNER = re.compile(r"(?=\{\s*\"(?:name|parameters|arguments)\"\s*:)")
_TAGS = Tags(
    opener="<|python_tag|>",
    closer="",
    ends=("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"),
    spaced=False,
    start=re.compile(rf"\s*()(?={_CALL})"),
    reasoning=("<think>", "</think>"),
    traces=Traces(
        problem="the object cannot be read as a call", keys=("name", "parameters", "arguments")
    ),
)
_AHEAD = 64
"""How far after a brace to look for the key of a call, in characters."""
_WRITES_PARAMETERS = re.compile(r'\\?"parameters\\?": *[\'"]')


class Llama3Json:
    """
    The dialect described above.
    """

    name = "llama3-json"
    version = 2
    stops = ("<|eot_id|>", "<|eom_id|>")

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* has this family's turns and writes calls with ``parameters``.
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
        return read_tagged(output, _TAGS, _calls, _ANYWHERE, declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read an answer without a readable call with these repairs, at its start or that of a line:
        single quotes, a trailing comma, arguments encoded twice, ``\\_`` in a name, a list around
        such calls.
        """
        strict = self.read(output, tools)
        if any(attempt.readable for attempt in strict.attempts):
            return strict
        body = partial(_calls, loose=True)
        loose = read_tagged(output, _TAGS, body, _LOOSE, declared(tools))
        return loose if loose.repairs else strict

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the templates do, with ``; `` between.

        Raises:
            ValueError: for a value that JSON cannot represent.
        """
        return "; ".join(rendered(call, _KEYS) for call in calls) + "<|eot_id|>"


def _calls(text: str, at: int, *, loose: bool = False) -> tuple[Written, ...]:
    done: list[Written] = []
    while True:
        try:
            done += (read_call_leniently if loose else read_call)(text, at, _KEYS)
        except Trouble as trouble:
            trouble.done = tuple(done)
            raise
        following = _NEXT.match(text, done[-1].end)
        if following is None:
            return tuple(done)
        at = following.end()


def _anywhere(text: str, at: int) -> tuple[Written, ...]:
    """
    Read the object at *at* as a call.

    Raises:
        Trouble: if it is not a call; its position is the next place where one may begin.
    """
    try:
        value, end = read_json(text, at)
    except Trouble as trouble:
        if not trouble.early:
            # A call inside an object that is broken later on is a call nevertheless.
            inner = _INNER.search(text, at + 1, trouble.position + _AHEAD)
            if inner is not None and inner.start() < trouble.position:
                trouble.position = inner.start()
        raise
    call = call_in(value, end, _KEYS)
    if call.problem is not None:
        JsonReader(text).fail(call.problem, end)
    return (call,)


_ANYWHERE = Bare(begin=_ANY, body=_anywhere, repair=None)
_LOOSE = Bare(begin=BARE, body=partial(read_bare_calls, keys=_KEYS), repair=None)

LLAMA3_JSON = Llama3Json()

DIALECTS = (LLAMA3_JSON,)
