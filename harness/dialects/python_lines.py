"""
Python calls without a list around them, in four families.

- ``olmo-3``: ``<function_calls>``, one call per line, ``</function_calls>``; ``true``, ``false``
  and ``null`` occur as well as Python's words. Source: AI2's chat template and a public parser.
- ``raven``: ``f(a=1); g(b=2);``, after ``Call:`` or not, ended by ``<bot_end>``; a trailing
  ``out_of_domain(user_query='')`` means no call. Source: the model card of
  NexusRaven-V2 and its outputs on a public leaderboard.
- ``gorilla``: ``<<function>>f(a=1)<<function>>g(b=2)``, or ``f(a=1), g(b=2)``. Source: the model
  card of gorilla-openfunctions-v2 and its outputs on a public leaderboard.
- ``tool-code``: calls in a fence of the language ``tool_code``, from older guides for Gemma 3;
  experimental: from memory.

Without tags an answer contains calls only if it begins with one. A call counts once its bracket is
closed, whatever follows. A positional argument, an expression or a call inside a call is a problem.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from harness.dialects.base import Reading
from harness.dialects.pythonic import fenced
from harness.dialects.readers.lost import MISSING, Traces, declared, is_lost, missing
from harness.dialects.readers.python_calls import (
    JSON_WORDS,
    LOST,
    NAME,
    read_calls,
    rendered_call,
)
from harness.dialects.readers.tags import Tags, read_tagged
from harness.messages import Tool, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonLines:
    """
    One of the dialects described above.
    """

    name: str
    version: int = 2
    stops: tuple[str, ...]
    tags: Tags
    between: re.Pattern[str]
    sign: str
    """What a chat template of this family contains, and no other does."""
    form: tuple[str, str, str]
    """The text before, between and after calls."""
    end: str
    words: Mapping[str, Any]
    no_call: str | None = None
    """The tool whose call means no call."""

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* contains this family's sign.
        """
        return self.sign in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        body = partial(read_calls, between=self.between, words=self.words)
        reading = read_tagged(output, self.tags, body, names=declared(tools))
        if self.no_call is None:
            return reading
        attempts = tuple(one for one in reading.attempts if one.name != self.no_call)
        return replace(reading, attempts=attempts)

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with one repair: a code fence around the calls, and text around the fence.
        """
        strict = self.read(output, tools)
        begun = any(not is_lost(attempt) for attempt in strict.attempts)
        return strict if begun else fenced(output) or strict

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as a model of this family would.

        Raises:
            ValueError: for a value that JSON cannot represent, or a name that cannot precede a
                bracket or means no call.
        """
        if any(call.name == self.no_call for call in calls):
            raise ValueError(f"a call of {self.no_call!r} means no call")
        if not calls:
            return (f"{self.no_call}(user_query='')" if self.no_call else "") + self.end
        before, between, after = self.form
        return before + between.join(map(rendered_call, calls)) + after + self.end


_AT_START = rf"\s*(?:Call:\s*)?()(?={NAME}\()"

OLMO_3 = PythonLines(
    name="olmo-3",
    stops=("<|im_end|>",),
    tags=Tags(
        opener="<function_calls>",
        closer="</function_calls>",
        ends=("<|im_end|>", "<|endoftext|>"),
        spaced=True,
        reasoning=("<think>", "</think>"),
        traces=Traces(
            problem=missing("<function_calls>"), closers=("</function_calls>",), notation=LOST
        ),
    ),
    between=re.compile(r"\s+"),
    sign="<function_calls>",
    form=("<function_calls>", "\n", "</function_calls>"),
    end="<|im_end|>",
    words=JSON_WORDS,
)
RAVEN = PythonLines(
    name="raven",
    stops=("<bot_end>",),
    tags=Tags(
        opener="",
        closer="",
        ends=("<bot_end>", "</s>"),
        spaced=False,
        start=re.compile(_AT_START),
        traces=Traces(problem=f"{MISSING}: the answer does not begin with the call", notation=LOST),
    ),
    between=re.compile(r"\s*;\s*"),
    sign="<human_end>",
    form=("Call: ", "; ", ""),
    end="<bot_end>",
    words={},
    no_call="out_of_domain",
)
GORILLA = PythonLines(
    name="gorilla",
    stops=("<|EOT|>",),
    tags=Tags(
        opener="<<function>>",
        closer="",
        ends=("<|EOT|>",),
        spaced=False,
        start=re.compile(rf"\s*()(?={NAME}\()"),
        traces=Traces(problem=missing("<<function>>"), notation=LOST),
    ),
    between=re.compile(r"\s*,\s*"),
    sign="<<function>>",
    form=("<<function>>", "<<function>>", ""),
    end="<|EOT|>",
    words={},
)
TOOL_CODE = PythonLines(
    name="tool-code",
    stops=("<end_of_turn>",),
    tags=Tags(
        opener="```tool_code\n",
        closer="```",
        ends=("<end_of_turn>", "<eos>"),
        spaced=True,
        removed=("<start_of_turn>",),
        traces=Traces(problem=missing("```tool_code"), notation=LOST),
    ),
    between=re.compile(r"\s+"),
    sign="```tool_code",
    form=("```tool_code\n", "\n", "\n```"),
    end="<end_of_turn>",
    words={},
)

DIALECTS = (GORILLA, OLMO_3, RAVEN, TOOL_CODE)
