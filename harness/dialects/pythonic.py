"""
Pythonic: one list of Python calls, ``[f(a=1, b='x'), g()]``, and nothing else.

The prompts of Llama 3.2, Llama 4, ToolACE and the leaderboard's models without native calling ask
for it. Arguments are keywords with literal values; ``**{'a-b': 1}`` passes a name that is not an
identifier. Tuples are arrays. `ast` parses one call at a time and nothing is ever evaluated.

A list begins with ``[``, a name and ``(`` at the start of the answer. Its calls count one by one,
each once it is followed by a comma or bracket, so that cutting an answer off never adds a call; for
the same reason text after the list does not undo it. ``[]`` alone is an answer without calls.
Everything else is text: no runtime looks for a list inside an answer. A call of a declared tool in
it is an attempt that cannot be read (`harness.dialects.readers.lost`).
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from harness.dialects.base import Attempt, Reading
from harness.dialects.readers import python_calls
from harness.dialects.readers.json_calls import Keys, read_call_leniently
from harness.dialects.readers.lost import (
    MISSING,
    UNCLOSED,
    Traces,
    declared,
    is_lost,
    lost_calls,
    without,
)
from harness.dialects.readers.python_calls import (
    ENDS,
    LOST,
    NAME,
    OPEN,
    Broken,
    call_end,
    rendered_call,
    space_end,
    stop,
    unreadable,
    word_end,
)
from harness.dialects.readers.tags import Tags, read_tagged
from harness.messages import Tool, ToolCall

_START = re.compile(rf"\s*(?:<\|python_start\|>\s*)?\[\s*(?={NAME}\()")
_THOUGHT = re.compile(r"\s*<think>(?:[^<]|<(?!/think>))*+</think>")
_TRACES = Traces(
    problem=f"{MISSING}: the answer does not begin with the list of calls", notation=LOST
)
_EMPTY = re.compile(r"\s*(?:<\|python_start\|>\s*)?\[\s*\]\s*(?:<\|python_end\|>\s*)?")
_BARE = re.compile(rf"\s*(?={NAME}\()")
_FENCE = re.compile(rf"^[ \t]*```(?:[\w+-]*\s+)?(\[\s*)?(?={NAME}\()", re.MULTILINE)
_FENCE_END = re.compile(r"\s*```(?![\w+-])")
_CONTROL = re.compile(r"<\|python_start\|>|<\|python_end\|>")
_JSON_KEYS = Keys(arguments=("parameters", "arguments"), lenient=())
_JSON = Tags(
    opener="<|python_start|>",
    closer="<|python_end|>",
    ends=("<|eot|>", "<|eot_id|>", "<|eom_id|>"),
    spaced=True,
)


class Pythonic:
    """
    The dialect described above.
    """

    name = "pythonic"
    version = 2
    stops = ("<|eot_id|>", "<|eom_id|>", "<|eot|>", "<end_of_turn>")

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* contains the instruction that these families are prompted with.
        """
        return "[func_name1(params_name1=" in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        thought = _THOUGHT.match(output)
        at = thought.end() if thought else 0
        begun = _START.match(output, at)
        attempts, at = ((), at) if begun is None else _list(output, begun.end())
        ending = ENDS.search(output, at)
        end = ending.start() if ending else len(output)
        unclosed = UNCLOSED if output[at:].lstrip().startswith("<think>") else None
        lost = lost_calls(output, at, end, _TRACES, declared(tools), problem=unclosed)
        text = _CONTROL.sub("", "".join(without(output, at, end, lost))).strip()
        if not attempts and _EMPTY.fullmatch(text):
            text = ""
        return Reading(attempts=(*attempts, *lost), text=text)

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs: a code fence around the list, text around the fence,
        missing brackets of the list, in a fence or around the whole answer, and, as Llama 4
        sometimes writes, JSON between ``<|python_start|>`` and its end.

        Without brackets only what can be read is a call, and outside a fence only with an
        argument: prose contains ``f()`` too.
        """
        strict = self.read(output, tools)
        if any(not is_lost(attempt) for attempt in strict.attempts):
            return strict
        bare = _BARE.match(output)
        if bare is not None:
            names = frozenset(declared(tools))
            attempts, end, early = _unlisted(output, bare.end(), names)
            if attempts or early:
                repaired = Reading(
                    attempts=attempts, text=_text(output[end:]), repairs=("no list brackets",)
                )
                return repaired if attempts else strict
        return fenced(output) or _objects(output) or strict

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as one list.

        Raises:
            ValueError: for a value that JSON cannot represent, or a name that ends too early.
        """
        return "[" + ", ".join(map(rendered_call, calls)) + "]<|eot_id|>"


def _text(output: str) -> str:
    end = ENDS.search(output)
    return _CONTROL.sub("", output[: end.start()] if end else output).strip()


def _list(output: str, at: int) -> tuple[tuple[Attempt, ...], int]:
    """
    Read the calls of a list from its first name on; also return where the list ends.
    """
    attempts: list[Attempt] = []
    while True:
        start = at
        name: str | None = None
        try:
            opening = OPEN.match(output, at)
            if opening is None:
                stop(output, word_end(output, at), "expected a call")
            name = opening.group(1)
            end = call_end(output, opening.end() - 1)
            at = space_end(output, end)
            if output[at : at + 1] not in (",", "]"):
                stop(output, at, "expected ',' or ']' after the call")
        except Broken as broken:
            mark = ENDS.search(output, start)
            end = mark.start() if mark else len(output)
            attempts.append(
                unreadable(output, start, end, name, broken.reason, unfinished=broken.early)
            )
            return tuple(attempts), end
        attempts.append(python_calls.attempt(output, start, end, name))
        closed = output[at] == "]"
        at = space_end(output, at + 1)
        if not closed and output[at : at + 1] == "]":
            closed, at = True, at + 1
        if closed:
            return tuple(attempts), at


def _unlisted(
    output: str, at: int, names: frozenset[str] | None
) -> tuple[tuple[Attempt, ...], int, bool]:
    """
    Read calls without the brackets of a list; also return where they end, and whether the answer
    ends inside one: what looks like a call in it may be inside a string.

    With *names* a call without arguments counts only if it follows another call and names one
    of them.
    """
    attempts: list[Attempt] = []
    end = at
    while (opening := OPEN.match(output, at)) is not None:
        try:
            after = call_end(output, opening.end() - 1)
        except Broken as broken:
            return tuple(attempts), end, broken.early
        attempt = python_calls.attempt(output, at, after, opening.group(1))
        known = names is None or (bool(attempts) and attempt.name in names)
        if not attempt.readable or not (attempt.arguments or known):
            break
        attempts.append(attempt)
        end = after
        at = space_end(output, end)
        if output[at : at + 1] == ",":
            at = space_end(output, at + 1)
    return tuple(attempts), end, False


def fenced(output: str) -> Reading | None:
    """
    Read the calls in code fences, with or without the brackets of a list; None if there are none.
    """
    attempts: list[Attempt] = []
    repairs: list[str] = []
    text: list[str] = []
    at = 0
    while (fence := _FENCE.search(output, at)) is not None:
        if ENDS.search(output, at, fence.start()) is not None:
            break
        listed = fence.group(1) is not None
        if listed:
            found, end = _list(output, fence.end())
            early = False
        else:
            found, end, early = _unlisted(output, fence.end(), None)
        if not found:
            if early:
                break
            text.append(output[at : fence.end()])
            at = fence.end()
            continue
        attempts.extend(found)
        repairs += ["code fence"] if listed else ["code fence", "no list brackets"]
        text.append(output[at : fence.start()])
        closing = _FENCE_END.match(output, end)
        at = closing.end() if closing else end
        if early:
            break
    if not attempts:
        return None
    text.append(_text(output[at:]))
    around = _CONTROL.sub("", "".join(text)).strip()
    if around:
        repairs.append("text around the fence")
    return Reading(attempts=tuple(attempts), text=around, repairs=tuple(dict.fromkeys(repairs)))


def _objects(output: str) -> Reading | None:
    reading = read_tagged(output, _JSON, partial(read_call_leniently, keys=_JSON_KEYS))
    calls = tuple(attempt for attempt in reading.attempts if attempt.readable)
    if not calls:
        return None
    repairs = tuple(dict.fromkeys((*reading.repairs, "JSON instead of Python")))
    return replace(reading, attempts=calls, repairs=repairs)


PYTHONIC = Pythonic()

DIALECTS = (PYTHONIC,)
