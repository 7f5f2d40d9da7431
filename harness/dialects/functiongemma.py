"""
FunctionGemma: ``<start_function_call>call:NAME{key:<escape>text<escape>,n:3}<end_function_call>``.

Source: "FunctionGemma formatting and best practices" (ai.google.dev/gemma/docs/functiongemma).
Keys are bare; strings, and only strings, stand in ``<escape>``; the rest is JSON. Several calls
follow each other without a separator, and the model then writes ``<start_function_response>``,
which is a stop.

Where the page is silent: white space may stand between the tokens inside the braces (Google's own
example parser strips it), but not around ``call:``, the name or the outer braces, where no
published parser allows it. ``None`` is null, which is how a Jinja template prints it. What is typed
is decided by ``<escape>`` alone: ``<escape>007<escape>`` stays text. (vLLM's parser drops every
argument outside ``<escape>``, turns numerals inside it into numbers and completes a call that was
cut off; none of that is copied here.)
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
        Whether *template* writes calls with FunctionGemma's control tokens.
        """
        return _TAGS.opener in template and _ESCAPE in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return _read_strictly(output, declared(tools))

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these mends: strings and keys in double quotes, a
        trailing comma; and ``call:NAME{...}`` without control tokens at the start of a line.
        """
        names = declared(tools)
        strict = _read_strictly(output, names)
        if not _may_be_mended(strict):
            return strict
        return read_tagged(output, _TAGS, _BRACES.mend, _BARE, names)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the official template does: keys sorted without regard to case.

        Raises:
            ValueError: for a name, key or value this format cannot hold.
        """
        if not calls:
            return "<end_of_turn>"
        blocks = [f"{_TAGS.opener}{_BRACES.render(call)}{_TAGS.closer}" for call in calls]
        return "".join(blocks) + "<start_function_response>"


# Judging asks for both readings of one answer in turn, and most answers need no second one.
@lru_cache(maxsize=1)
def _read_strictly(output: str, names: tuple[str, ...]) -> Reading:
    return read_tagged(output, _TAGS, _BRACES.read, names=names)


def _may_be_mended(strict: Reading) -> bool:
    """
    Whether a lenient reading could differ; false only where each of its mends is ruled out.
    """
    return "call:" in strict.text or not all(call.readable for call in strict.attempts)


_BARE = Bare(begin=re.compile(r"^(?=call:[^\s{}<>]+\{)", re.MULTILINE), body=_BRACES.mend)

FUNCTIONGEMMA = FunctionGemma()

DIALECTS = (FUNCTIONGEMMA,)
