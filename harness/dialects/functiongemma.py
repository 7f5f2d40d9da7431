"""
FunctionGemma: ``<start_function_call>call:NAME{key:<escape>text<escape>,n:3}<end_function_call>``.

Source: "FunctionGemma formatting and best practices" (ai.google.dev/gemma/docs/functiongemma). Keys
are bare; strings, and only strings, are wrapped in ``<escape>``; the rest is JSON. Several calls
follow each other without a separator, and the model then writes ``<start_function_response>``,
which is a stop.

Where the page is silent: white space is allowed between the tokens inside the braces (Google's own
example parser strips it), but not around ``call:``, the name or the outer braces, where no
published parser allows it. ``None`` is null, as a Jinja template prints it. ``<escape>`` alone
decides what is a string: ``<escape>007<escape>`` stays text. (vLLM's parser drops every
argument outside ``<escape>``, turns numerals inside it into numbers and completes a call that was
cut off; none of that is done here.)
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from harness.dialects.base import Reading
from harness.dialects.readers.braces import Braces
from harness.dialects.readers.lost import Traces, declared, missing
from harness.dialects.readers.tags import Bare, Tags, read_tagged
from harness.messages import Tool, ToolCall

_ESCAPE = "<escape>"
_TAGS = Tags(
    opener="<start_function_call>",
    closer="<end_function_call>",
    ends=("<start_function_response>", "<end_of_turn>", "<eos>"),
    spaced=False,
    removed=("<end_function_call>", "<start_of_turn>", _ESCAPE, "<bos>", "<pad>"),
    traces=Traces(
        problem=missing("<start_function_call>"),
        closers=("<end_function_call>",),
        notation=(r"\bcall:NAME(?=\s*\{)",),
    ),
)
_BRACES = Braces(family="FunctionGemma", quote=_ESCAPE)


class FunctionGemma:
    """
    The dialect described above.
    """

    name = "functiongemma"
    version = 2
    stops = ("<start_function_response>", "<end_of_turn>")

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes calls with FunctionGemma's control tokens.
        """
        return _TAGS.opener in template and _ESCAPE in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return _read_strictly(output, declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: strings and keys in double quotes, a trailing comma;
        and ``call:NAME{...}`` without control tokens at the start of a line.
        """
        names = declared(tools)
        strict = _read_strictly(output, names)
        if not _may_be_repaired(strict):
            return strict
        return read_tagged(output, _TAGS, _BRACES.read_leniently, _BARE, names)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the official template does: keys sorted ignoring case.

        Raises:
            ValueError: for a name, key or value this format cannot represent.
        """
        if not calls:
            return "<end_of_turn>"
        blocks = [f"{_TAGS.opener}{_BRACES.render(call)}{_TAGS.closer}" for call in calls]
        return "".join(blocks) + "<start_function_response>"


# Judging needs both readings of an answer, one after the other, and for most they are the same.
@lru_cache(maxsize=1)
def _read_strictly(output: str, names: tuple[str, ...]) -> Reading:
    return read_tagged(output, _TAGS, _BRACES.read, names=names)


def _may_be_repaired(strict: Reading) -> bool:
    """
    Return whether a lenient reading could differ; False only if every repair is ruled out.
    """
    return "call:" in strict.text or not all(call.readable for call in strict.attempts)


_BARE = Bare(begin=re.compile(r"^(?=call:[^\s{}<>]+\{)", re.MULTILINE), body=_BRACES.read_leniently)

FUNCTIONGEMMA = FunctionGemma()

DIALECTS = (FUNCTIONGEMMA,)
