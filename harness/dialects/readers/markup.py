"""
Calls as markup: a tag that names the tool, and one element per argument.

``<function=NAME><parameter=KEY>VALUE</parameter></function>`` and its relatives. A value is any
text. It ends at the first closing tag that is followed by the next argument or the end of the call,
so a closing tag inside a value is part of it (vLLM issue 33965). An opening tag of an argument
inside a value is a problem, since the closing tag may have been forgotten.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.dialects.readers.json_calls import rendered_value
from harness.dialects.readers.json_text import JsonReader, Trouble
from harness.dialects.readers.tags import Written
from harness.dialects.readers.untyped import typed
from harness.messages import Tool, ToolCall

_NAME = re.compile(r"[^\"<>\r\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Markup:
    """
    The tags of one format.
    """

    call: tuple[str, str]
    """The text before and after the name."""
    argument: tuple[str, str]
    """The text before and after the key."""
    argument_end: str
    call_end: str
    lines: bool
    """Whether one line break after the opening and before the closing tag of an argument is not
    part of the value."""
    text: str = ""
    """Written after the key of a value that is text."""
    other: str = ""
    """Written after the key of any other value, which is JSON then."""
    silent: str = ""
    """Written after the key of a value whose type is not given."""
    ending: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        following = f"{re.escape(self.argument[0])}|{re.escape(self.call_end)}"
        pattern = re.compile(rf"{re.escape(self.argument_end)}(?=\s*(?:{following}))")
        object.__setattr__(self, "ending", pattern)

    def read(self, text: str, at: int, tools: Sequence[Tool]) -> Written:
        """
        Read the call that begins at or after *at*.

        Raises:
            Trouble: if there is none, or it does not end.
        """
        reader = JsonReader(text)
        at = reader.sure = reader.skip(at)
        name, at = _named(reader, self.call, at)
        reader.name = (name, at)
        values: dict[str, Any] = {}
        bare: list[str] = []
        while True:
            at = reader.sure = reader.skip(at)
            if text.startswith(self.call_end, at):
                break
            if not text.startswith(self.argument[0], at):
                early = reader.begins(self.argument[0], at) or reader.begins(self.call_end, at)
                reader.fail(f"expected {self.argument[0]} or {self.call_end}", at, early=early)
            key_at = at
            key, value, is_text, at = self._argument(reader, at)
            if key in values:
                reader.fail(f"the key {key!r} appears twice", key_at)
            values[key] = value
            if is_text is None:
                bare.append(key)
        values |= typed(tools, name, {key: values[key] for key in bare})
        end = at + len(self.call_end)
        return Written(name=name, arguments=values, end=end, by_schema=tuple(bare))

    def render(self, call: ToolCall, between: str, argument_between: str) -> str:
        """
        Write *call*, with *between* after its opening and before its closing tag, and
        *argument_between* between arguments.

        Raises:
            ValueError: for a name, key or value that these tags cannot contain.
        """
        arguments = [self._rendered(key, value) for key, value in call.arguments.items()]
        _check(call.name)
        inside = argument_between.join(arguments)
        body = f"{between}{inside}{between}" if arguments else between
        return f"{self.call[0]}{call.name}{self.call[1]}{body}{self.call_end}"

    def _argument(self, reader: JsonReader, at: int) -> tuple[str, Any, bool | None, int]:
        """
        Read one argument; also return whether it says that it is text, or None if it does not say.
        """
        text = reader.text
        key, begin = _named(reader, (self.argument[0], ""), at)
        kinds = {self.text: True, self.other: False, self.silent: None}
        said = [kind for kind in kinds if text.startswith(kind + self.argument[1], begin)]
        if not said:
            early = any(reader.begins(kind + self.argument[1], begin) for kind in kinds)
            reader.fail(f"expected {self.silent}{self.argument[1]}", begin, early=early)
        is_text = kinds[said[0]]
        begin += len(said[0]) + len(self.argument[1])
        inner = text.find(self.argument[0], begin)
        limit = len(text) if inner < 0 else inner + len(self.argument[0])
        closing = self.ending.search(text, begin, limit)
        if closing is None:
            problem = f"{self.argument[0]} inside a value, which is not closed"
            reader.fail(problem, limit, early=inner < 0)
        value: Any = text[begin : closing.start()]
        if self.lines:
            value = value.removeprefix("\n").removesuffix("\n")
        if is_text is False:
            inside = JsonReader(value)
            found, end = inside.value(0)
            if inside.skip(end) < len(value):
                reader.fail("text follows the value", begin + end)
            value = found
        return key, value, is_text, closing.end()

    def _rendered(self, key: str, value: Any) -> str:
        _check(key)
        is_text = isinstance(value, str)
        written: str = value if isinstance(value, str) else rendered_value(value)
        line = "\n" if self.lines else ""
        whole = f"{line}{written}{line}{self.argument_end}{self.call_end}"
        closing = self.ending.search(whole)
        end = len(whole) - len(self.argument_end) - len(self.call_end)
        if self.argument[0] in written or closing is None or closing.start() != end:
            raise ValueError(f"the value of {key!r} contains a tag that would end it")
        says = self.text if is_text else self.other
        return (
            f"{self.argument[0]}{key}{says}{self.argument[1]}{line}{written}{line}"
            f"{self.argument_end}"
        )


def _named(reader: JsonReader, around: tuple[str, str], at: int) -> tuple[str, int]:
    text = reader.text
    if not text.startswith(around[0], at):
        reader.fail(f"expected {around[0]}", at, early=reader.begins(around[0], at))
    begin = at + len(around[0])
    match = _NAME.match(text, begin)
    end = match.end() if match else begin
    name = text[begin:end].strip()
    if not text.startswith(around[1], end):
        reader.fail(f"expected {around[1]}", end, early=reader.begins(around[1], end))
    if not name:
        reader.fail("expected a name", end)
    return name, end + len(around[1])


def _check(name: str) -> None:
    if not name or name != name.strip() or not _NAME.fullmatch(name):
        raise ValueError(f"the name {name!r} cannot appear in a tag")


def several(
    one: Callable[[str, int], Written], begin: str, text: str, at: int
) -> tuple[Written, ...]:
    """
    Read calls as long as *begin* follows, ignoring white space; at least one.

    Raises:
        Trouble: if one cannot be read, with those before it.
    """
    done: list[Written] = []
    reader = JsonReader(text)
    while True:
        try:
            done.append(one(text, at))
        except Trouble as trouble:
            trouble.done = tuple(done)
            raise
        at = reader.skip(done[-1].end)
        if not text.startswith(begin, at):
            return tuple(done)
