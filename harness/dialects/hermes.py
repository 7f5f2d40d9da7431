"""
Hermes: ``<tool_call>``, one JSON object, ``</tool_call>``, any number of times.

Written by Hermes 2 and 3, Qwen 2.5, QwQ and Qwen 3 (not Qwen3-Coder, whose tags hold XML, nor
GLM, whose tags hold pairs). The object has ``name``, a string, and ``arguments``, an object, in any
order; other keys (``id``, ``type``) are ignored, as the runtimes do. The JSON is read as JSON, so
``</tool_call>`` inside a string does not end a call (vLLM issue 45167).

Text may stand before, between and after calls. What stands in ``<think>...</think>`` is neither
call nor text; after a ``<think>`` that is never closed everything is text. A ``</think>`` alone,
from a template that writes the opening tag into the prompt, is text: whether it will come cannot
be known while the answer is being written.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from harness.dialects.base import Reading
from harness.dialects.scanning import JsonReader, Trouble, read_json
from harness.dialects.tagged import Bare, Tags, Written, read_tagged
from harness.messages import Tool, ToolCall

_TAGS = Tags(
    opener="<tool_call>",
    closer="</tool_call>",
    ends=("<|im_end|>", "<|endoftext|>"),
    spaced=True,
    removed=("<|im_start|>",),
    reasoning=("<think>", "</think>"),
)
_NAME_KEY = re.compile(r'name\\?"')
_FENCE_OPEN = re.compile(r"\s*```(?:json)?[ \t]*\n?")


class Hermes:
    """
    The dialect described above.
    """

    name = "hermes"
    version = 1
    stops = ("<|im_end|>",)

    def recognises(self, template: str) -> bool:
        """
        Whether *template* shows JSON between the tags, and not one of the other two formats.
        """
        return (
            _TAGS.opener in template
            and "arguments" in template
            and _NAME_KEY.search(template) is not None
            and "<function=" not in template
            and "<arg_key>" not in template
        )

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as a correct runtime would.
        """
        return _read_strictly(output)

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with these mends: single quotes, a trailing comma, a code
        fence inside the tags, arguments encoded twice, ``parameters`` for ``arguments``, ``\\_`` in
        a name; and calls without tags, where a line begins with an object that has exactly the
        keys name and arguments, or with a list of such objects.
        """
        strict = _read_strictly(output)
        return read_tagged(output, _TAGS, mend_body, _BARE) if _may_be_mended(strict) else strict

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as the Qwen and Hermes templates do.

        Raises:
            ValueError: for a value JSON cannot hold.
        """
        blocks = []
        for call in calls:
            body = {"name": call.name, "arguments": dict(call.arguments)}
            text = json.dumps(body, ensure_ascii=False, allow_nan=False)
            blocks.append(f"{_TAGS.opener}\n{text}\n{_TAGS.closer}")
        return "\n".join(blocks) + "<|im_end|>"


# Judging asks for both readings of one answer in turn, and most answers need no second one.
@lru_cache(maxsize=1)
def _read_strictly(output: str) -> Reading:
    return read_tagged(output, _TAGS, read_body)


def _may_be_mended(strict: Reading) -> bool:
    """
    Whether a lenient reading could differ; false only where each of its mends is ruled out.
    """
    return (
        "{" in strict.text
        or "[" in strict.text
        or any(not call.readable or "\\_" in (call.name or "") for call in strict.attempts)
    )


def read_body(text: str, at: int) -> Written:
    """
    Read the JSON object of one call that begins at or after *at*.

    Raises:
        Trouble: where no JSON value can be read.
    """
    value, end = read_json(text, at)
    return _call(value, end)


def mend_body(text: str, at: int) -> Written:
    """
    Read one call as `read_body` does, with the mends of a lenient reading.

    Raises:
        Trouble: where no JSON value can be read, mended or not.
    """
    try:
        value, end = read_json(text, at)
        repairs: list[str] = []
    except Trouble as trouble:
        try:
            value, end, repairs = _loose(text, at)
        except Trouble as second:
            # Loose or strict, what ends too early stays unfinished.
            raise (second if second.early else trouble) from None
    return _call(_mended(value, repairs), end, tuple(repairs))


def _loose(text: str, at: int) -> tuple[Any, int, list[str]]:
    reader = JsonReader(text, loose=True)
    fence = _FENCE_OPEN.match(text, at)
    value, end = reader.value(fence.end() if fence else at)
    if fence:
        end = reader.skip(end)
        if not text.startswith("```", end):
            reader.fail("the code fence is not closed", end, early=reader.begins("```", end))
        return value, end + 3, ["code fence", *reader.repairs]
    return value, end, reader.repairs


def _mended(value: Any, repairs: list[str]) -> Any:
    if not isinstance(value, dict):
        return value
    call = dict(value)
    if "arguments" not in call and "parameters" in call:
        call["arguments"] = call["parameters"]
        repairs.append("parameters for arguments")
    if isinstance(call.get("arguments"), str):
        inner = decoded(call["arguments"])
        if inner is not None:
            call["arguments"] = inner
            repairs.append("arguments encoded twice")
    if isinstance(call.get("name"), str) and "\\_" in call["name"]:
        call["name"] = call["name"].replace("\\_", "_")
        repairs.append("escaped underscore in the name")
    return call


def decoded(text: str) -> dict[str, Any] | None:
    """
    Decode *text* if it is exactly one JSON object.
    """
    reader = JsonReader(text)
    try:
        value, end = reader.value(0)
    except Trouble:
        return None
    return value if isinstance(value, dict) and reader.skip(end) == len(text) else None


def _call(value: Any, end: int, repairs: tuple[str, ...] = ()) -> Written:
    name: str | None = None
    arguments: Mapping[str, Any] | None = None
    if not isinstance(value, dict):
        problem: str | None = "a call must be a JSON object"
    else:
        written = value.get("name")
        name = written if isinstance(written, str) and written else None
        arguments = value.get("arguments")
        problem = None
        if name is None:
            problem = '"name" must be a string' if written != "" else '"name" is empty'
        elif "arguments" not in value:
            problem = '"arguments" is missing'
        elif isinstance(arguments, str):
            problem = '"arguments" is a string, not an object'
        elif not isinstance(arguments, dict):
            problem = '"arguments" must be an object'
    return Written(
        name=name,
        arguments=None if problem else arguments,
        end=end,
        problem=problem,
        repairs=repairs,
    )


def _bare(text: str, at: int) -> tuple[Written, ...]:
    reader = JsonReader(text)
    try:
        value, end = reader.value(at)
    except Trouble:
        reader = JsonReader(text, loose=True)
        value, end = reader.value(at)
    items = value if isinstance(value, list) else [value]
    ends = [*reader.item_ends[:-1], end]
    calls = []
    for item, item_end in zip(items, ends, strict=False):
        repairs = list(reader.repairs)
        call = _call(_mended(item, repairs), item_end, tuple(repairs))
        if call.problem is not None or item.keys() != {"name", "arguments"}:
            reader.fail("no call", end)
        calls.append(call)
    if not calls:
        reader.fail("no call", end)
    return tuple(calls)


_BARE = Bare(begin=re.compile(r"^[ \t]*(?=[\[{])", re.MULTILINE), body=_bare)

HERMES = Hermes()
