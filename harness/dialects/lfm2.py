"""
LFM2 and LFM2.5: a Python list of calls between two tokens, text before and after it.

``<|tool_call_start|>[f(a=1), g()]<|tool_call_end|>``. A system prompt may ask for JSON instead,
``[{"name": "f", "arguments": {"a": 1}}]`` between the same tokens; runtimes read both, whatever was
asked for. Arguments are keywords with literal values; ``true``, ``false`` and ``null`` occur as
well as Python's words. Anything in ``<think>...</think>`` is neither call nor text.

Sources: public parsers and test data of the format. They also show
models that leave out the list's brackets around one call, which a lenient reading reads.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import read_list
from harness.dialects.readers.json_text import JsonReader, Trouble
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.python_calls import (
    JSON_WORDS,
    LOST,
    NAME,
    read_calls,
    rendered_call,
)
from harness.dialects.readers.tags import Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_TAGS = Tags(
    opener="<|tool_call_start|>",
    closer="<|tool_call_end|>",
    ends=("<|im_end|>", "<|endoftext|>"),
    spaced=True,
    removed=("<|im_start|>",),
    reasoning=("<think>", "</think>"),
    traces=Traces(
        problem=missing("<|tool_call_start|>"),
        closers=("<|tool_call_end|>",),
        keys=("name", "arguments", "parameters"),
        notation=LOST,
    ),
)
_JSON = re.compile(r"\s*\[\s*\{")
_BEGIN = re.compile(r"\s*\[")
_END = re.compile(r"\s*(?:,\s*)?\]")
_BETWEEN = re.compile(r"\s*,\s*")
_BARE = re.compile(rf"\s*(?={NAME}\()")


class Lfm2:
    """
    The dialect described above.
    """

    name = "lfm2"
    version = 1
    stops = ("<|im_end|>",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes the opening token, or declares tools as this family does.
        """
        return _TAGS.opener in template or "<|tool_list_start|>" in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return read_tagged(output, _TAGS, _list, names=declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with one repair: calls between the tokens without the brackets of a list.
        """
        return read_tagged(output, _TAGS, _loose_list, names=declared(tools))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as one Python list.

        Raises:
            ValueError: for a value JSON cannot represent, or a name that cannot precede a bracket.
        """
        if not calls:
            return "<|im_end|>"
        inside = ", ".join(map(rendered_call, calls))
        return f"{_TAGS.opener}[{inside}]{_TAGS.closer}<|im_end|>"


def _list(text: str, at: int) -> tuple[Written, ...]:
    if _JSON.match(text, at):
        return read_list(text, at)
    begin = _BEGIN.match(text, at)
    if begin is None:
        reader = JsonReader(text)
        at = reader.skip(at)
        reader.sure = at
        reader.fail("expected a list of calls", at, early=at == len(text))
    return _bracketed(text, read_calls(text, begin.end(), _BETWEEN, JSON_WORDS))


def _bracketed(text: str, calls: tuple[Written, ...]) -> tuple[Written, ...]:
    """
    Return *calls*, read after the opening bracket of a list, and where the list ends.

    Raises:
        Trouble: where the list is not closed.
    """
    last = calls[-1]
    end = _END.match(text, last.end)
    if end is None:
        rest = JsonReader(text).skip(last.end)
        raise Trouble(
            "expected ',' or ']' after the call",
            rest,
            early=rest == len(text),
            sure=last.end,
            name=(last.name, last.end) if last.name is not None else None,
            repairable=False,
            done=calls[:-1],
        )
    return (*calls[:-1], replace(last, end=end.end()))


def _loose_list(text: str, at: int) -> tuple[Written, ...]:
    if _BARE.match(text, at) is None:
        return _list(text, at)
    calls = read_calls(text, at, _BETWEEN, JSON_WORDS)
    return tuple(replace(call, repairs=("no list brackets",)) for call in calls)


LFM2 = Lfm2()

DIALECTS = (LFM2,)
