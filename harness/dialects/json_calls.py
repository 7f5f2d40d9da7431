"""
One call as one JSON object: a name under one key, its arguments under another.

Half of the dialects write calls so and differ in the two keys and in what stands around the object.
Other keys (``id``, ``type``) are ignored, as the runtimes do.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.dialects.scanning import JsonReader, Trouble, read_json
from harness.dialects.tagged import Written
from harness.messages import ToolCall

_FENCE_OPEN = re.compile(r"\s*```(?:json)?[ \t]*\n?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """
    Under which keys a family writes the name and the arguments of a call.
    """

    name: str = "name"
    arguments: tuple[str, ...] = ("arguments",)
    """The first is what `rendered_call` writes; the others are read just as well. Of two that
    stand in one object neither is better, so that is a problem."""
    mended: tuple[str, ...] = ("parameters",)
    """Keys for the arguments that only a lenient reading takes."""


NAME_ARGUMENTS = Keys()
"""The common keys, of Hermes, Qwen, Mistral and others."""


def read_call(text: str, at: int, keys: Keys = NAME_ARGUMENTS) -> tuple[Written, ...]:
    """
    Read the JSON object of one call that begins at or after *at*; always one call.

    Raises:
        Trouble: where no JSON value can be read.
    """
    value, end = read_json(text, at)
    return (call_in(value, end, keys),)


def mend_call(text: str, at: int, keys: Keys = NAME_ARGUMENTS) -> tuple[Written, ...]:
    """
    Read as `read_call` does, with the mends of a lenient reading: single quotes, a trailing
    comma, a code fence, a list around one or more calls, and those of `mended_call`.

    Raises:
        Trouble: where no JSON value can be read, mended or not.
    """
    repairs: list[str] = []
    try:
        value, end = read_json(text, at)
        ends = [end]
        if isinstance(value, list):
            reader = JsonReader(text)
            reader.value(at)
            ends = reader.item_ends
    except Trouble as trouble:
        if not trouble.mendable and _FENCE_OPEN.match(text, at) is None:
            raise
        try:
            value, end, ends, repairs = _loose(text, at)
        except Trouble as second:
            # Loose or strict, what ends too early stays unfinished.
            raise (second if second.early else trouble) from None
    if not isinstance(value, list) or not value:
        return (call_in(mended_call(value, repairs, keys), end, keys, tuple(repairs)),)
    calls = []
    for item, item_end in zip(value, [*ends[:-1], end], strict=True):
        made = [*repairs, "wrapper list"]
        calls.append(call_in(mended_call(item, made, keys), item_end, keys, tuple(made)))
    return tuple(calls)


BARE = re.compile(r"^[ \t]*(?=(?:\[\s*)?\{\s*[\"'])", re.MULTILINE)
"""Where calls without tags may begin: an object, or a list of objects, at the start of a line."""


def read_bare_calls(text: str, at: int, keys: Keys = NAME_ARGUMENTS) -> tuple[Written, ...]:
    """
    Read calls that stand without tags: an object that has exactly the two keys, or a list of such.

    For a lenient reading, as the body of `harness.dialects.tagged.Bare`.

    Raises:
        Trouble: where there is none.
    """
    reader = JsonReader(text)
    try:
        value, end = reader.value(at)
    except Trouble as trouble:
        if not trouble.mendable:
            raise
        reader = JsonReader(text, loose=True)
        value, end = reader.value(at)
    items = value if isinstance(value, list) else [value]
    ends = [*reader.item_ends[:-1], end]
    calls = []
    for item, item_end in zip(items, ends, strict=False):
        repairs = list(reader.repairs)
        call = call_in(mended_call(item, repairs, keys), item_end, keys, tuple(repairs))
        expected = [{keys.name, key} for key in keys.arguments]
        if call.problem is not None or item.keys() not in expected:
            reader.fail("no call", end)
        calls.append(call)
    if not calls:
        reader.fail("no call", end)
    return tuple(calls)


def call_in(
    value: Any, end: int, keys: Keys = NAME_ARGUMENTS, repairs: tuple[str, ...] = ()
) -> Written:
    """
    Say which call a decoded JSON *value* is, or why it is none.
    """
    name: str | None = None
    arguments: Mapping[str, Any] | None = None
    if not isinstance(value, dict):
        problem: str | None = "a call must be a JSON object"
    else:
        written = value.get(keys.name)
        name = written if isinstance(written, str) and written else None
        found = [key for key in keys.arguments if key in value]
        key = found[0] if found else keys.arguments[0]
        arguments = value.get(key)
        problem = None
        if name is None:
            problem = f'"{keys.name}" must be a string' if written != "" else '"name" is empty'
        elif not found:
            problem = f'"{key}" is missing'
        elif len(found) > 1:
            problem = f'"{found[0]}" and "{found[1]}" stand side by side'
        elif isinstance(arguments, str):
            problem = f'"{key}" is a string, not an object'
        elif not isinstance(arguments, dict):
            problem = f'"{key}" must be an object'
    return Written(
        name=name,
        arguments=None if problem else arguments,
        end=end,
        problem=problem,
        repairs=repairs,
    )


def mended_call(value: Any, repairs: list[str], keys: Keys = NAME_ARGUMENTS) -> Any:
    """
    Mend a decoded call, and add to *repairs* what was mended: the other family's key for the
    arguments, arguments encoded twice, ``\\_`` in the name.
    """
    if not isinstance(value, dict):
        return value
    call = dict(value)
    if not any(key in call for key in keys.arguments):
        for key in keys.mended:
            if key in call:
                call[keys.arguments[0]] = call[key]
                repairs.append(f"{key} for {keys.arguments[0]}")
                break
    for key in keys.arguments:
        if isinstance(call.get(key), str) and (inner := decoded(call[key])) is not None:
            call[key] = inner
            repairs.append(f"{key} encoded twice")
    if isinstance(call.get(keys.name), str) and "\\_" in call[keys.name]:
        call[keys.name] = call[keys.name].replace("\\_", "_")
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


def rendered_call(call: ToolCall, keys: Keys = NAME_ARGUMENTS) -> str:
    """
    Write *call* as one JSON object on one line, name first.

    Raises:
        ValueError: for a value JSON cannot hold.
    """
    return rendered_value({keys.name: call.name, keys.arguments[0]: dict(call.arguments)})


def rendered_value(value: Any) -> str:
    """
    Write *value* as JSON on one line, letters as they are.

    Raises:
        ValueError: for a value JSON cannot hold.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _loose(text: str, at: int) -> tuple[Any, int, list[int], list[str]]:
    reader = JsonReader(text, loose=True)
    fence = _FENCE_OPEN.match(text, at)
    value, end = reader.value(fence.end() if fence else at)
    if fence:
        end = reader.skip(end)
        if not text.startswith("```", end):
            reader.fail("the code fence is not closed", end, early=reader.begins("```", end))
        return value, end + 3, reader.item_ends, ["code fence", *reader.repairs]
    return value, end, reader.item_ends, reader.repairs
