"""
Harmony (gpt-oss): messages on channels; a message with a recipient is a call.

``<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{"a": 1}<|call|>``

Source: OpenAI's guide to the response format of gpt-oss. A message is a header, ``<|message|>``, a
body, and ``<|call|>``, ``<|end|>`` or ``<|return|>``. The recipient may be in the role
(``<|start|>assistant to=functions.NAME<|channel|>..``) or after the channel, on ``commentary`` or
``analysis``, with ``<|constrain|>json``, the bare word ``json`` or ``code``, or nothing before the
body. A call ends with ``<|call|>``; an answer that just ends after the arguments is unfinished.

Without a recipient, ``final`` and ``commentary`` (a preamble) are text and ``analysis`` is
thinking, neither call nor text, unless it is never ended or ends the turn: then a call in it
cannot be read. A channel that leaks into a name (harmony issue 114) leaves a header without a
tool, which is a problem; nothing is guessed. Tools of other namespaces (``browser.search``,
``python``) keep their full name.
"""

import re
from collections.abc import Sequence

from harness.dialects.base import Attempt, Reading
from harness.dialects.readers.json_calls import read_arguments, rendered_value
from harness.dialects.readers.json_text import JsonReader, Trouble
from harness.dialects.readers.lost import (
    MISSING,
    UNCLOSED,
    Traces,
    declared,
    lost_calls,
    without,
)
from harness.messages import Tool, ToolCall

_START, _MESSAGE, _CALL, _RETURN = "<|start|>", "<|message|>", "<|call|>", "<|return|>"
_CLOSERS = (_CALL, "<|end|>", _RETURN)
_HEADER = re.compile(r"<\|start\|>|<\|channel\|>")
_ROLE = re.compile(r"\s*(?=to=)")
_BORDER = re.compile(r"<\|start\|>|<\|message\|>|<\|call\|>|<\|end\|>|<\|return\|>")
_ENDING = re.compile(r"<\|call\|>|<\|end\|>|<\|return\|>|<\|start\|>")
_TRACES = Traces(
    problem=f"{MISSING}: no <|channel|> or <|start|> before the recipient",
    begins=("to=functions.",),
    inner=("<|constrain|>",),
    closers=(_CALL,),
    notation=(r"\bto=NAME(?![\w.-])",),
)
_RECIPIENT = re.compile(r"\bto=([^\s<]*)")
_TOOL = re.compile(r"(?:functions\.)?([^\s<>|]+)")
_CHANNEL = re.compile(r"<\|channel\|>\s*(analysis|commentary|final)\b")


class Harmony:
    """
    The dialect described above.
    """

    name = "harmony"
    version = 2
    stops = (_CALL, _RETURN)

    def recognises(self, template: str) -> bool:
        """
        Return whether *template* writes channels.
        """
        return "<|channel|>" in template and _MESSAGE in template

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return _read(output, declared(tools), loose=False)

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these repairs in a call's arguments: single quotes, a trailing comma, a
        code fence, arguments encoded twice, ``\\_`` in a name.
        """
        return _read(output, declared(tools), loose=True)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls*, one message each.

        Raises:
            ValueError: for a value JSON cannot represent, or a name that cannot appear in a header.
        """
        if not calls:
            return "<|channel|>final<|message|><|return|>"
        blocks = []
        for call in calls:
            recipient = f"functions.{call.name}"
            named = _TOOL.fullmatch(recipient)
            if named is None or named.group(1) != call.name:
                raise ValueError(f"the tool name {call.name!r} cannot appear in a header")
            arguments = rendered_value(dict(call.arguments))
            header = f"<|channel|>commentary to={recipient} <|constrain|>json"
            blocks.append(f"{header}{_MESSAGE}{arguments}{_CALL}")
        return f"{_START}assistant".join(blocks)


def _read(output: str, names: tuple[str, ...], *, loose: bool) -> Reading:
    attempts: list[Attempt] = []
    repairs: list[str] = []
    text: list[str] = []
    at = 0

    def told(start: int, end: int, problem: str | None = None) -> None:
        lost = lost_calls(output, start, end, _TRACES, names, problem=problem)
        attempts.extend(lost)
        text.extend(without(output, start, end, lost) if problem is None else ())

    # The prompt ends with the role, so a recipient in the role is the beginning of the answer.
    header = _ROLE.match(output) or _HEADER.search(output)
    while header is not None:
        told(at, header.start())
        border = _BORDER.search(output, header.end())
        head = output[header.start() : border.start() if border else len(output)]
        recipient = _RECIPIENT.search(head)
        body = border is not None and border.group() == _MESSAGE
        if recipient is not None:
            inside = border.end() if border is not None and body else None
            attempt, repaired = _call(output, header.start(), inside, recipient, head, loose)
            attempts.append(attempt)
            repairs.extend(repaired)
            at = attempt.end
        elif border is None:
            at = len(output)
        elif not body:
            at = border.start() if border.group() == _START else border.end()
        else:
            ending = _ENDING.search(output, border.end())
            end = ending.start() if ending else len(output)
            at = end if ending is None or ending.group() == _START else ending.end()
            channel = _CHANNEL.search(head)
            thinking = channel is not None and channel.group(1) == "analysis"
            if ending is not None and ending.group() == _CALL:
                problem = f"{MISSING}: the header names no recipient"
                attempts.append(
                    _unreadable(output, header.start(), at, None, problem, unfinished=False)
                )
            elif not thinking:
                told(border.end(), end)
                text.append("\n")
            elif ending is None or ending.group() == _RETURN:
                told(border.end(), end, UNCLOSED)
        header = _HEADER.search(output, at)
    told(at, len(output))
    shown = "".join(text)
    for token in _CLOSERS:
        shown = shown.replace(token, "")
    return Reading(
        attempts=tuple(attempts), text=shown.strip(), repairs=tuple(dict.fromkeys(repairs))
    )


def _call(
    output: str,
    start: int,
    inside: int | None,
    recipient: re.Match[str],
    head: str,
    loose: bool,
) -> tuple[Attempt, tuple[str, ...]]:
    """
    Read the message that begins at *start* and whose body, if it has one, begins at *inside*.
    """
    named = _TOOL.fullmatch(recipient.group(1))
    name = named.group(1) if named else None
    if inside is None:
        end = start + len(head)
        cut = end == len(output)
        problem = "the answer ends inside the call" if cut else f"no {_MESSAGE} after the recipient"
        known = name if recipient.end() < len(head) else None
        return _unreadable(output, start, end, known, problem, unfinished=cut), ()
    try:
        (call,) = read_arguments(output, inside, name, loose=loose)
        reader = JsonReader(output)
        reader.sure = call.end
        at = reader.skip(call.end)
        if not output.startswith(_CALL, at):
            reader.fail(f"expected {_CALL}", at, early=reader.begins(_CALL, at))
    except Trouble as trouble:
        ending = _ENDING.search(output, max(inside, trouble.sure)) if not trouble.early else None
        end = ending.start() if ending else len(output)
        cut = ending is None or ending.group() == _START
        reason = f"{trouble.reason} (character {trouble.position})"
        problem = f"the answer ends before {_CALL}" if ending is None else reason
        if ending is not None and ending.group() == _START:
            problem, cut = f"not closed before the next message; {reason}", False
        elif ending is not None:
            end = ending.end()
        return _unreadable(output, start, end, name, problem, unfinished=cut), ()
    end = at + len(_CALL)
    unnamed = f"the recipient {recipient.group(1)!r} names no tool" if name is None else None
    if (fault := unnamed or call.problem) is not None:
        return _unreadable(output, start, end, name, fault, unfinished=False), ()
    attempt = Attempt(name=call.name, arguments=call.arguments, raw=output[start:end], start=start)
    return attempt, call.repairs


def _unreadable(
    output: str, start: int, end: int, name: str | None, problem: str, *, unfinished: bool
) -> Attempt:
    return Attempt(
        name=name,
        arguments=None,
        raw=output[start:end],
        start=start,
        problem=problem,
        unfinished=unfinished,
    )


HARMONY = Harmony()

DIALECTS = (HARMONY,)
