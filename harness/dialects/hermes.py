"""
Hermes: ``<tool_call>``, one JSON object, ``</tool_call>``, any number of times.

Written by Hermes 2 and 3, Qwen 2.5, QwQ and Qwen 3 (not Qwen3-Coder, whose tags contain XML, nor
GLM, whose tags contain pairs). The object has ``name``, a string, and ``arguments``, an object, in
any order; other keys (``id``, ``type``) are ignored, as the runtimes do. The JSON is read as JSON,
so ``</tool_call>`` inside a string does not end a call (vLLM issue 45167).

Text may appear before, between and after calls. Anything in ``<think>...</think>`` is neither call
nor text; after a ``<think>`` that is never closed everything is text except the calls in it, which
cannot be read. A ``</think>`` alone, from a template that writes the opening tag into the prompt,
is text: while the answer is being written nobody can know whether it will come.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from harness.dialects.base import Reading
from harness.dialects.readers.json_calls import (
    BARE,
    read_bare_calls,
    read_call,
    read_call_leniently,
    rendered_call,
)
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.tags import Bare, Tags, read_tagged
from harness.messages import Tool, ToolCall

_TAGS = Tags(
    opener="<tool_call>",
    closer="</tool_call>",
    ends=("<|im_end|>", "<|endoftext|>"),
    spaced=True,
    removed=("<|im_start|>",),
    reasoning=("<think>", "</think>"),
    traces=Traces(
        problem=missing("<tool_call>"),
        closers=("</tool_call>",),
        keys=("name", "arguments", "parameters"),
    ),
)
_LISTED = re.compile(r"<tool_call>\s*\[")
_NAME_KEY = re.compile(r'name\\?"')


class Hermes:
    """
    The dialect described above.
    """

    name = "hermes"
    version = 3
    stops = ("<|im_end|>",)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* has a JSON object between the tags: no list, no other format.
        """
        return (
            _TAGS.opener in template
            and "arguments" in template
            and _NAME_KEY.search(template) is not None
            and _LISTED.search(template) is None
            and "<function=" not in template
            and "<arg_key>" not in template
        )

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return _read_strictly(output, declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: single quotes, a trailing comma, a code fence or a list
        inside the tags, arguments encoded twice, ``parameters`` for ``arguments``, ``\\_`` in
        a name; and calls without tags, where a line begins with an object with exactly the keys
        name and arguments, or with a list of such objects.
        """
        names = declared(tools)
        strict = _read_strictly(output, names)
        if not _may_be_repaired(strict):
            return strict
        return read_tagged(output, _TAGS, read_call_leniently, _BARE, names)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the Qwen and Hermes templates do.

        Raises:
            ValueError: for a value that JSON cannot represent.
        """
        blocks = [f"{_TAGS.opener}\n{rendered_call(call)}\n{_TAGS.closer}" for call in calls]
        return "\n".join(blocks) + "<|im_end|>"


# Judging needs both readings of an answer, one after the other, and for most they are the same.
@lru_cache(maxsize=1)
def _read_strictly(output: str, names: tuple[str, ...]) -> Reading:
    return read_tagged(output, _TAGS, read_call, names=names)


def _may_be_repaired(strict: Reading) -> bool:
    """
    Return whether a lenient reading could differ; False only if every repair is ruled out.
    """
    return (
        "{" in strict.text
        or "[" in strict.text
        or any(not call.readable or "\\_" in (call.name or "") for call in strict.attempts)
    )


_BARE = Bare(begin=BARE, body=read_bare_calls)

HERMES = Hermes()

DIALECTS = (HERMES,)
