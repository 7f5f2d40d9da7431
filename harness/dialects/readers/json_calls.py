"""
One call as one JSON object: a name under one key, its arguments under another.

Half of the dialects write calls like this; they differ in the two keys and in what surrounds the
object.
Other keys (``id``, ``type``) are ignored, as the runtimes do.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.dialects.readers.json_text import JsonReader, Trouble, read_json
from harness.dialects.readers.tags import Written
from harness.messages import ToolCall

_FENCE_OPEN = re.compile(r"\s*```(?:json)?[ \t]*\n?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """
    The keys under which a family writes the name and the arguments of a call.
    """

    name: str = "name"
    arguments: tuple[str, ...] = ("arguments",)
    """`rendered_call` writes the first; the others are read as well. Two of them in one object are
    a problem, as neither is better."""
    lenient: tuple[str, ...] = ("parameters",)
    """Keys for the arguments that only a lenient reading accepts."""


NAME_ARGUMENTS = Keys()
"""The usual keys: Hermes, Qwen, Mistral and others."""


def read_call(text: str, at: int, keys: Keys = NAME_ARGUMENTS) -> tuple[Written, ...]:
    """
    Read the JSON object of one call that begins at or after *at*; always one call.

    Raises:
        Trouble: if no JSON value can be read.
    """
    value, end = read_json(text, at)
    return (call_in(value, end, keys),)


def read_call_leniently(text: str, at: int, keys: Keys = NAME_ARGUMENTS) -> tuple[Written, ...]:
    """
    Read as `read_call` does, with the repairs of a lenient reading: single quotes, a trailing
    comma, a code fence, a list around one or more calls, and those of `repaired_call`.

    Raises:
        Trouble: if no JSON value can be read even with repairs.
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
        if not trouble.repairable and _FENCE_OPEN.match(text, at) is None:
            raise
        try:
            value, end, ends, repairs = _loose(text, at)
        except Trouble as second:
            # Text that ends too early stays unfinished, read loosely or strictly.
            raise (second if second.early else trouble) from None
    if not isinstance(value, list) or not value:
        return (call_in(repaired_call(value, repairs, keys), end, keys, tuple(repairs)),)
    calls = []
    for item, item_end in zip(value, [*ends[:-1], end], strict=True):
        made = [*repairs, "wrapper list"]
        calls.append(call_in(repaired_call(item, made, keys), item_end, keys, tuple(made)))
    return tuple(calls)


def read_list(
    text: str, at: int, keys: Keys = NAME_ARGUMENTS, *, loose: bool = False
) -> tuple[Written, ...]:
    """
    Read the JSON list of calls that begins at or after *at*.

    Each counts once it is followed by a comma or the bracket. A *loose* reading has the repairs of
    `read_call_leniently`, and accepts a code fence around the list and a single call without a
    list.

    Raises:
        Trouble: if a call cannot be read, with those before it; if there is no call.
    """
    reader = JsonReader(text, loose=loose)
    outside: list[str] = []
    fence = _FENCE_OPEN.match(text, at) if loose else None
    if fence:
        outside.append("code fence")
    at = reader.skip(fence.end() if fence else at)
    begin = reader.sure = at
    done: list[Written] = []
    try:
        if loose and text[at : at + 1] == "{":
            (call,) = read_call_leniently(text, at, keys)
            done.append(replace(call, repairs=(*outside, "no list around the call", *call.repairs)))
        else:
            if text[at : at + 1] != "[":
                reader.fail("expected a list of calls", at)
            at = _items(reader, at, keys, done, tuple(outside))
            done[-1] = replace(done[-1], end=at)
        if fence:
            at = reader.skip(done[-1].end)
            if not text.startswith("```", at):
                reader.fail("the code fence is not closed", at, early=reader.begins("```", at))
            done[-1] = replace(done[-1], end=at + 3)
    except Trouble as trouble:
        # Nothing inside a fence counts before the fence is closed.
        trouble.done = () if fence else tuple(done)
        trouble.sure = max(trouble.sure, begin)
        raise
    return tuple(done)


def _items(
    reader: JsonReader, at: int, keys: Keys, done: list[Written], outside: tuple[str, ...]
) -> int:
    """
    Read the items of the list that begins here into *done*; return where it ends.
    """
    text = reader.text
    closed = False
    while not closed:
        at = reader.sure = reader.skip(at + 1)
        if text[at : at + 1] == "]":
            if not done:
                reader.fail("the list contains no call", at)
            if not reader.repair("trailing comma"):
                reader.fail("a trailing comma", at)
            done[-1] = replace(done[-1], repairs=(*done[-1].repairs, "trailing comma"))
            return at + 1
        found = (read_call_leniently if reader.loose else read_call)(text, at, keys)
        if len(found) > 1:
            reader.fail("a list of calls inside the list", at)
        call = found[0]
        at = reader.sure = reader.skip(call.end)
        if text[at : at + 1] not in (",", "]"):
            reader.name = (call.name, call.end) if call.name is not None else None
            reader.fail("expected ',' or ']' after the call", at)
        done.append(replace(call, repairs=(*outside, *call.repairs)))
        closed = text[at] == "]"
    return at + 1


def read_arguments(
    text: str, at: int, name: str | None, *, loose: bool = False
) -> tuple[Written, ...]:
    """
    Read the JSON object with the arguments of a call whose *name* comes before it.

    Raises:
        Trouble: if no JSON value can be read.
    """
    repairs: list[str] = []
    try:
        try:
            value, end = read_json(text, at)
        except Trouble as trouble:
            if not loose or not (trouble.repairable or _FENCE_OPEN.match(text, at)):
                raise
            value, end, _, repairs = _loose(text, at)
    except Trouble as trouble:
        trouble.name = (name, at) if name is not None else None
        raise
    if loose and name is not None and "\\_" in name:
        name = name.replace("\\_", "_")
        repairs = [*repairs, "escaped underscore in the name"]
    if loose and isinstance(value, str) and (inner := decoded(value)) is not None:
        value = inner
        repairs = [*repairs, "arguments encoded twice"]
    problem = None if isinstance(value, dict) else "the arguments must be a JSON object"
    return (
        Written(
            name=name,
            arguments=None if problem else value,
            end=end,
            problem=problem,
            repairs=tuple(repairs),
        ),
    )


def past(reader: JsonReader, literal: str, at: int) -> int:
    """
    Return where *literal* ends, which must be exactly here.

    Raises:
        Trouble: if it is not.
    """
    if not reader.text.startswith(literal, at):
        reader.fail(f"expected {literal.strip()}", at, early=reader.begins(literal, at))
    return at + len(literal)


BARE = re.compile(r"^[ \t]*(?=(?:\[\s*)?\{\s*[\"'])", re.MULTILINE)
"""Where calls without tags may begin: an object, or a list of objects, at the start of a line."""


def read_bare_calls(text: str, at: int, keys: Keys = NAME_ARGUMENTS) -> tuple[Written, ...]:
    """
    Read calls without tags: an object with exactly the two keys, or a list of such objects. One
    whose arguments are a schema declares a tool and is not a call.

    For a lenient reading, as the body of `harness.dialects.readers.tags.Bare`.

    Raises:
        Trouble: if there is no call.
    """
    reader = JsonReader(text)
    try:
        value, end = reader.value(at)
    except Trouble as trouble:
        if not trouble.repairable:
            raise
        reader = JsonReader(text, loose=True)
        value, end = reader.value(at)
    items = value if isinstance(value, list) else [value]
    ends = [*reader.item_ends[:-1], end]
    calls = []
    for item, item_end in zip(items, ends, strict=False):
        repairs = list(reader.repairs)
        call = call_in(repaired_call(item, repairs, keys), item_end, keys, tuple(repairs))
        expected = [{keys.name, key} for key in keys.arguments]
        declaration = call.arguments is not None and call.arguments.get("type") == "object"
        if call.problem is not None or item.keys() not in expected or declaration:
            reader.fail("no call", end)
        calls.append(call)
    if not calls:
        reader.fail("no call", end)
    return tuple(calls)


def call_in(
    value: Any, end: int, keys: Keys = NAME_ARGUMENTS, repairs: tuple[str, ...] = ()
) -> Written:
    """
    Return the call that a decoded JSON *value* is, or one that says why it is not a call.
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
            problem = f'"{found[0]}" and "{found[1]}" are both there'
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


def repaired_call(value: Any, repairs: list[str], keys: Keys = NAME_ARGUMENTS) -> Any:
    """
    Return a decoded call after these repairs, each added to *repairs*: another family's key for
    the arguments, arguments encoded twice, ``\\_`` in the name.
    """
    if not isinstance(value, dict):
        return value
    call = dict(value)
    if not any(key in call for key in keys.arguments):
        for key in keys.lenient:
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
        ValueError: for a value that JSON cannot represent.
    """
    return rendered_value({keys.name: call.name, keys.arguments[0]: dict(call.arguments)})


def rendered_value(value: Any) -> str:
    """
    Write *value* as JSON on one line, without escaping letters.

    Raises:
        ValueError: for a value that JSON cannot represent.
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
