"""
What the contract has to know about a dialect besides the dialect itself, written by its author.

One YAML file called after the dialect, ``toy.yaml``::

    models: Toy 1 and 2       # which models write it
    experimental: true        # from memory: no real output was available
    opener: "<toy>"           # what a rendered call begins with, up to where it is certainly one;
                              # $name stands for the tool's name
    closer: "</toy>"          # the closing tag, if a string cut off after it looks complete
    listed: '{"name"'         # what a further call of a list begins with, if not with the opener
    by_schema: true           # arguments are bare text, typed by the tool's schema
    tags: ["<toy>", "</toy>"] # every tag of a rendered call: an answer that lost one is not ignored
    frame:                    # how calls are written, by hand: not by the dialect's own `render`
      kind: json              # how arguments are spelt: json {"a": "x"}, python a='x', brace {a:x}
                              # with the text in `string` for quotes, or text, a `argument` each
      layout: tagged          # text may surround calls; whole: the answer is nothing but
                              # calls; message: a server has read them, and the answer is JSON
      call: "<toy>$name $body</toy>"   # $quoted is the body as a JSON string, $number counts from 0
      before: ""              # around and between calls: before, join, after; at the very end: end
      at_most: 1              # how many calls an answer can hold, if not any number
    templates:                # chat templates by which the dialect is found, under names of yours
      own: "{% for message in messages %}..."
    exceptions:               # rows of harness/testing/answers that do not hold for the dialect:
      strings:                # null where they do not apply, or what is wanted instead
        a tag of another family: null
    examples:                 # answers and how they are read
    - id: one call
      text: "<toy>f {}</toy> Done."
      attempts: [{call: f, arguments: {}}]
      rest: Done.

`opener` and `frame` have to be there. Each example has ``text`` (or ``message`` and
``finish_reason``), ``tools`` (tool -> argument -> schema), ``attempts`` in order, each a ``call``
with ``arguments``, or ``malformed`` or ``unfinished`` with part of the problem and the ``name`` if
there is one; ``rest``, the text outside; and ``lenient`` with the same where that reading differs,
and its ``repairs``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar, get_args

from harness.dialects.base import Dialect
from harness.dialects.registry import dialect
from harness.errors import UsageError
from harness.messages import ToolCall
from harness.testing.shared_answers import SharedAnswer, document, pairs, shared_answers
from harness.transcript import Key, Transcript
from harness.wording import suggest

KEY = Key("it")
"""The one turn that every answer of a sample is for."""

Kind = Literal["json", "python", "brace", "text"]
Layout = Literal["tagged", "whole", "message"]

_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """
    How a dialect frames calls; the keys are described above.
    """

    kind: Kind
    layout: Layout
    call: str
    argument: str = ""
    argument_join: str = ""
    string: str = ""
    before: str = ""
    join: str = ""
    after: str = ""
    end: str = ""
    at_most: int | None = None

    def write(self, calls: Sequence[tuple[str, Any]]) -> str:
        """
        Write calls, each a name and its body as `spell` gives it, without the end of the turn.
        """
        written = [self._call(name, body, number) for number, (name, body) in enumerate(calls)]
        return self.before + self.join.join(written) + self.after

    def spell(self, arguments: Mapping[str, Any]) -> Any:
        """
        Spell the arguments of one call: as text, or as (name, text) each where they have tags.
        """
        if self.kind == "json":
            return json.dumps(arguments, ensure_ascii=False)
        if self.kind == "python":
            return ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        if self.kind == "brace":
            return _braced(arguments)
        return [
            (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
            for key, value in arguments.items()
        ]

    def _call(self, name: str, body: Any, number: int) -> str:
        if not isinstance(body, str):
            body = self.argument_join.join(
                self.argument.replace("$key", key).replace("$value", value) for key, value in body
            )
        body = body.replace("$string", self.string)
        text = self.call.replace("$name", name).replace("$number", str(number))
        return text.replace("$quoted", json.dumps(body, ensure_ascii=False)).replace("$body", body)


@dataclass(frozen=True, slots=True, kw_only=True)
class DialectSample:
    """
    A dialect and what its file says; the keys are described above.
    """

    name: str
    dialect: Dialect
    models: str = ""
    experimental: bool = False
    opener: str
    closer: str | None = None
    listed: str | None = None
    by_schema: bool = False
    tags: Sequence[str] = ()
    frame: Frame
    templates: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    exceptions: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    examples: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """
        Read a file called after its dialect, which has to be installed.

        Raises:
            UsageError: saying what is missing in the file, or unknown.
            DialectError: if there is no such dialect.
        """
        path = Path(path)
        read = document(path)
        if not isinstance(read, dict) or not isinstance(read.get("frame"), dict):
            raise UsageError(
                f"{path}: 'frame' is missing; harness.testing.dialect_sample describes this file"
            )
        frame = _part(Frame, read["frame"], f"{path}: frame")
        for key, choices in (("kind", get_args(Kind)), ("layout", get_args(Layout))):
            if getattr(frame, key) not in choices:
                raise UsageError(
                    f"{path}: frame: {key} is {getattr(frame, key)!r}; "
                    f"choose from {', '.join(choices)}"
                )
        made = {"name": path.stem, "dialect": dialect(path.stem), "frame": frame}
        sample = _part(cls, {**read, **made}, str(path))
        known = {(answer.kind, answer.id) for answer in shared_answers()}
        for kind, rows in sample.exceptions.items():
            for identity in rows:
                if (kind, identity) not in known:
                    raise UsageError(
                        f"{path}: exceptions: no row {identity!r} in answers/{kind}.yaml"
                    )
        return sample

    def begun(self, call: ToolCall, raw: str) -> int:
        """
        Return how much of *raw*, the text of a rendered call, shows that it is begun.
        """
        opener = self.opener.replace("$name", call.name)
        if raw.startswith(opener):
            return len(opener)
        # A further call of a list: the text before it belongs to it.
        listed = self.listed or opener
        return raw.index(listed) + len(listed)

    def takes(self, answer: SharedAnswer) -> bool:
        """
        Return whether a shared answer can be written in this dialect, and is meant for it.
        """
        row, labels = answer.row, {self.frame.kind, self.frame.layout}
        if self.exceptions.get(answer.kind, {}).get(answer.id, row) is None:
            return False
        if "bodies" in row and not labels & row["bodies"].keys():
            return False
        if self.frame.at_most is not None and len(row.get("write", ())) > self.frame.at_most:
            return False
        return bool(labels & set(row.get("only", labels))) and not labels & set(row.get("not", ()))

    def transcript(self, answer: SharedAnswer) -> Transcript:
        """
        Write a shared answer in this dialect.
        """
        row = answer.row
        if "error" in row:
            return Transcript(key=KEY, error=row["error"])
        text = str(row["text"]) + self.frame.end if "text" in row else self._framed(row)
        if self.frame.layout != "message":
            return Transcript(key=KEY, output=text)
        message = json.loads(text) if text.startswith("{") else {"content": text}
        return Transcript(key=KEY, message=message)

    def wanted(self, answer: SharedAnswer) -> Mapping[str, Any]:
        """
        Return what has to come of a shared answer.
        """
        own = self.exceptions.get(answer.kind, {}).get(answer.id)
        return own or self._for(answer.row.get("want", {})) or {}

    def _framed(self, row: Mapping[str, Any]) -> str:
        if "bodies" in row:
            calls = self._for(row["bodies"])
        else:
            calls = [(tool, self.frame.spell(given)) for tool, given in pairs(row["write"])]
        text = self.frame.write(calls)
        return f"{row.get('before', '')}{text}{row.get('after', '')}{self.frame.end}"

    def _for(self, table: Mapping[str, Any]) -> Any:
        for label in (self.frame.layout, self.frame.kind, "default"):
            if label in table:
                return table[label]
        return None


def _part(kind: type[_Part], values: Mapping[str, Any], where: str) -> _Part:
    """
    Build a value from what a file says about it.

    Raises:
        UsageError: for a key that is missing or unknown.
    """
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}{suggest(key, known)}")
    for name, each in known.items():
        if each.default is MISSING and each.default_factory is MISSING and name not in values:
            raise UsageError(f"{where}: {name!r} is missing")
    return kind(**values)


def _braced(value: Any) -> str:
    if isinstance(value, str):
        return f"$string{value}$string"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_braced(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_braced, value)) + "]"
    return json.dumps(value)
