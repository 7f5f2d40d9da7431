"""
YAML, JSON and JSON-lines files as values that remember the line of each part.

Authors edit suites by hand, so every error names a line. YAML scalars have JSON's types: only
``true`` and ``false`` are booleans; ``12:30``, ``no`` and ``2027-01-31`` are text (the JSON schema
of YAML 1.2 with plain text allowed, without the surprises of 1.1). A duplicate key is a problem, as
one of its values would be lost silently.
"""

import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING, Any

from harness.diagnostics import Flaw, Places, Problem, Steps

if TYPE_CHECKING:
    from ruamel.yaml import YAML, Node

MAX_DEPTH = 64
"""How deep lists and objects may be nested; schema checks exhaust Python's stack at about twice
that."""
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep; make it flatter"

MAX_REPEATED = 2**22
"""How many characters the aliases of one YAML file may repeat, each value counted as 16 and its
text. A few lines of aliases to aliases would otherwise fill any memory."""
TOO_OFTEN = f"aliases repeat more than {MAX_REPEATED:,} characters; write fewer aliases"

_SURROGATE = re.compile("[\ud800-\udfff]")
_TOO_LONG = "a number has more digits than can be read; write it as text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """
    A value, the places of its parts, and the problems found in reading it.
    """

    value: Any
    """None if nothing could be read; the problems say why."""
    places: Places
    problems: tuple[Problem, ...] = ()
    levels: int = MAX_DEPTH
    """Lists and objects are nested at most so many levels deep."""


def read_document(file: Path, *, ending: str | None = None) -> Document:
    """
    Read a file by its ending, or as if it ended in *ending*: .jsonl, .json, .yaml or .yml. One
    whose name ends in .gz is unpacked first.
    """
    readers = {".jsonl": _read_lines, ".json": _read_json, ".yaml": _read_yaml, ".yml": _read_yaml}
    reader = readers.get(ending or file.suffix)
    if reader is None:
        return _unread(str(file), None, f"it must end in one of {', '.join(sorted(readers))}")
    try:
        content = file.read_bytes()
        if file.suffix == ".gz":
            content = gzip.decompress(content)
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        return _unread(str(file), None, "no such file")
    except OSError as exc:
        return _unread(str(file), None, f"cannot be read: {exc.strerror or exc}")
    except (EOFError, zlib.error) as exc:
        return _unread(str(file), None, f"cannot be unpacked: {exc}")
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        return _unread(str(file), line, f"not valid UTF-8: {exc.reason}; save the file as UTF-8")
    document = reader(text, str(file))
    if document.value is None and not document.problems:
        return _unread(str(file), 1, "holds null and nothing else; rewrite or restore it")
    return document


def _unread(file: str, line: int | None, message: str) -> Document:
    problem = Problem(file=file, line=line or 1, message=message)
    return Document(value=None, places=Places.of(file, 1), problems=(problem,))


# What can be stored.


def unstorable(value: object, spelled: str) -> str | None:
    """
    Return why a key, text or number cannot be stored as JSON; None if it can.
    """
    if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
        return "a text holds half a surrogate pair, which is not a character; write it whole"
    if isinstance(value, float) and not math.isfinite(value):
        if not spelled[-1].isdigit():
            return f"{spelled} is not a JSON number"
        short = spelled if len(spelled) <= 40 else f"{spelled[:37]}..."
        return f"the number {short} is too large to be stored (at most about 1.8e308)"
    return None


def unstorable_parts(value: object, steps: Steps = ()) -> Iterator[Flaw]:
    """
    Yield each part of a value that cannot be stored, or that is nested too deep to be checked.
    """
    if not isinstance(value, dict | list | tuple):
        if (reason := unstorable(value, repr(value))) is not None:
            yield steps, reason
        return
    if len(steps) >= MAX_DEPTH:
        yield steps, TOO_DEEP
        return
    for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if (reason := unstorable(step, str(step))) is not None:
            yield steps, reason
        else:
            yield from unstorable_parts(inner, (*steps, step))


class _RefusedError(Exception):
    """
    Something in the file can be read but not stored.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _given_twice(file: str, line: int, key: str) -> Problem:
    return Problem(file=file, line=line, message=f"duplicate key {key!r}; keep one")


# JSON.


def decode_json(text: str) -> Any:
    """
    Read JSON text inside a value, as strictly as a file.

    Raises:
        ValueError: with the reason why it cannot be read or stored.
    """
    document = _read_json(text, "")
    if document.problems:
        raise ValueError(document.problems[0].message)
    return document.value


def _read_lines(text: str, file: str) -> Document:
    rows: list[Any] = []
    levels = 0
    places = Places.of(file, 1)
    problems: list[Problem] = []
    # Not splitlines: a JSON string may hold U+2028 and the like, which do not end a line of a file.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if (value := _read_at_once(line)) is not None:
            places.known[(len(rows),)] = (file, number)
            rows.append(value)
            levels = max(levels, min(_openers(line), MAX_DEPTH))
            continue
        row = _read_closely(line, file, number)
        problems += row.problems
        if row.value is None and not row.problems:
            problems.append(Problem(file=file, line=number, message="null is not a row; remove it"))
        if row.value is not None:
            places.known[(len(rows),)] = (file, number)
            rows.append(row.value)
            levels = max(levels, row.levels)
    value = None if problems and not rows else rows
    return Document(value=value, places=places, problems=tuple(problems), levels=1 + levels)


def _read_json(text: str, file: str, *, first: int = 1) -> Document:
    value = _read_at_once(text)
    if value is not None:
        places = Places(
            known={(): (file, first + text.count("\n", 0, _start(text)))},
            later=[((), lambda: _walked(text, file, first).known)] if "\n" in text.strip() else [],
        )
        return Document(value=value, places=places, levels=min(_openers(text), MAX_DEPTH))
    return _read_closely(text, file, first)


class _DoubtfulError(Exception):
    """
    Something in the file needs a closer look.
    """


def _read_at_once(text: str) -> Any:
    """
    Return the value of JSON in which surely nothing is wrong; None if that takes a closer look.
    """
    try:
        value = _AT_ONCE.decode(text)
    except (ValueError, RecursionError, _DoubtfulError):
        return None
    if _openers(text) > MAX_DEPTH and deeper_than(MAX_DEPTH, value):
        return None
    # A half of a surrogate pair can only be escaped in a text that was read as UTF-8.
    return None if "\\ud" in text or "\\uD" in text else value


def _openers(text: str) -> int:
    """
    Return how many levels the JSON *text* has at most.
    """
    return text.count("{") + text.count("[")


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # One text for a key, not one a line: of a row of a suite that is a quarter.
    value = {intern(key): inner for key, inner in pairs}
    if len(value) < len(pairs):
        raise _DoubtfulError
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _DoubtfulError
    return value


# Made once: making a decoder takes longer than reading a short row.
_AT_ONCE = json.JSONDecoder(
    object_pairs_hook=_keys_once, parse_float=_finite, parse_constant=_finite
)


def deeper_than(levels: int, value: Any) -> bool:
    """
    Return whether lists and objects are nested more than so many *levels* deep in a value.
    """
    layer = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return False
    return bool(layer)


def _start(text: str) -> int:
    return len(text) - len(text.lstrip(_BLANKS))


def _read_closely(text: str, file: str, first: int) -> Document:
    try:
        value = json.loads(text, parse_int=_whole)
    except json.JSONDecodeError as exc:
        line = first + exc.lineno - 1
        return _unread(file, line, f"not valid JSON: {exc.msg} in column {exc.colno}")
    except RecursionError:
        value = None  # the walk fails at a depth that could be parsed, and knows the line
    try:
        walk = _walked(text, file, first)
    except _RefusedError as exc:
        return _unread(file, exc.line, str(exc))
    return Document(value=value, places=Places(known=walk.known), problems=tuple(walk.problems))


def _walked(text: str, file: str, first: int) -> "_JsonWalk":
    walk = _JsonWalk(text, file, first)
    walk.value(_start(text), ())
    return walk


def _whole(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        return 0  # more digits than Python converts: the walk refuses them and knows the line


_BLANKS = " \t\r\n"
_SCALAR = json.JSONDecoder()


class _JsonWalk:
    """
    Walks once through valid JSON text, to find line numbers and duplicate keys.

    Raises `_RefusedError` at what can be read but not stored.
    """

    def __init__(self, text: str, file: str, first: int) -> None:
        self.text = text
        self.file = file
        self.known: dict[Steps, tuple[str, int | None]] = {}
        self.problems: list[Problem] = []
        self._line = first
        self._counted = 0

    def value(self, index: int, steps: Steps) -> int:
        self._line += self.text.count("\n", self._counted, index)
        self._counted = index
        self.known.setdefault(steps, (self.file, self._line))
        if self.text[index] not in "{[":
            return self._scalar(index, self._line)[1]
        if len(steps) >= MAX_DEPTH:
            raise _RefusedError(self._line, TOO_DEEP)
        keyed = self.text[index] == "{"
        seen: set[str] = set()
        index = self._skip(index + 1)
        while self.text[index] not in "}]":
            step: str | int = len(seen)
            if keyed:
                line = self._line + self.text.count("\n", self._counted, index)
                step, index = self._scalar(index, line)
                if step in seen:
                    self.problems.append(_given_twice(self.file, line, str(step)))
                index = self._skip(self._skip(index) + 1)
            seen.add(str(step))
            index = self._skip(self.value(index, (*steps, step)))
            if self.text[index] == ",":
                index = self._skip(index + 1)
        return index + 1

    def _scalar(self, index: int, line: int) -> tuple[Any, int]:
        try:
            value, end = _SCALAR.raw_decode(self.text, index)
        except ValueError as exc:
            raise _RefusedError(line, _TOO_LONG) from exc
        if (reason := unstorable(value, self.text[index:end])) is not None:
            raise _RefusedError(line, reason)
        return value, end

    def _skip(self, index: int) -> int:
        while index < len(self.text) and self.text[index] in _BLANKS:
            index += 1
        return index


# YAML. ruamel.yaml is imported where it is used: most commands read stored runs, which are JSON.


def write_yaml(value: Mapping[str, Any], *, width: int = 100) -> str:
    """
    Return a mapping as YAML in which text stays text for readers of YAML 1.1 and 1.2.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.resolver import implicit_resolvers

    text = io.StringIO()
    writer = YAML()
    writer.Resolver = _resolver([(tag, pattern) for _, tag, pattern, _ in implicit_resolvers])
    writer.width = width
    writer.dump(value, text)
    return text.getvalue()


def replace_yaml_text(text: str, key: str, value: str) -> str:
    """
    Return YAML *text* with the text of a top-level *key* replaced by *value*, in the same quotes.
    """
    node = _compose(text)
    old = next(inner for name, inner in node.value if name.value == key)
    quote = old.style if old.style in ("'", '"') else ""
    return text[: old.start_mark.index] + quote + value + quote + text[old.end_mark.index :]


_TAG = "tag:yaml.org,2002:"
_JSON_TYPES = [
    (_TAG + name, re.compile(pattern))
    for name, pattern in (
        ("bool", r"(?:true|false)\Z"),
        ("null", r"(?:null|~|)\Z"),
        ("int", r"-?(?:0|[1-9][0-9]*)\Z"),
        ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z"),
    )
]
_SCALARS: Mapping[str, Callable[[str], Any]] = {
    f"{_TAG}str": str,
    f"{_TAG}bool": lambda text: text == "true",
    f"{_TAG}null": lambda text: None,
    f"{_TAG}int": int,
    f"{_TAG}float": float,
}


def _resolver(types: list[tuple[str, Any]]) -> type:
    """
    Return the class that types plain scalars by the first pattern they match, else as text.
    """
    from ruamel.yaml.nodes import ScalarNode
    from ruamel.yaml.resolver import VersionedResolver
    from ruamel.yaml.tag import Tag

    class Resolver(VersionedResolver):
        def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
            if kind is ScalarNode and implicit[0]:
                for tag, pattern in types:
                    if pattern.match(value):
                        return Tag(suffix=tag)
            return super().resolve(kind, value, (False, False))

    return Resolver


def _reader() -> "YAML":
    from ruamel.yaml import YAML

    reader = YAML(typ="safe", pure=True)
    reader.Resolver = _resolver(_JSON_TYPES)
    reader.max_depth = MAX_DEPTH + 1  # scalars count, too
    reader.composer.warn_double_anchors = False
    return reader


def _compose(text: str) -> Any:
    return _reader().compose(text)


def _read_yaml(text: str, file: str) -> Document:
    from ruamel.yaml.composer import MaxDepthExceededError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    walk = _YamlWalk(file=file)
    try:
        node = _compose(text)
        if node is None:
            return _unread(file, 1, "the file is empty")
        value = walk.value(node, ())
    except MaxDepthExceededError as exc:
        return _unread(file, exc.problem_mark.line + 1, TOO_DEEP)
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        reason = exc.problem or exc.context
        return _unread(file, mark.line + 1 if mark else 1, f"not valid YAML: {reason}")
    except ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        return _unread(file, line, f"not valid YAML: unacceptable character #x{exc.character:04x}")
    except _RefusedError as exc:
        return _unread(file, exc.line, str(exc))
    except (YAMLError, ValueError) as exc:
        return _unread(file, 1, f"not valid YAML: {' '.join(str(exc).split())}")
    return Document(value=value, places=Places(known=walk.known), problems=tuple(walk.problems))


@dataclass(slots=True, kw_only=True)
class _YamlWalk:
    """
    Turns nodes into values, with their lines.

    Raises `_RefusedError` at what can be read but not stored.
    """

    file: str
    known: dict[Steps, tuple[str, int | None]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _repeated: int = 0

    def value(self, node: "Node", steps: Steps) -> Any:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        line = node.start_mark.line + 1
        self.known.setdefault(steps, (self.file, line))
        self._count(node, line)
        if not isinstance(node, MappingNode | SequenceNode):
            return self._scalar(node, line)
        if len(steps) >= MAX_DEPTH:
            raise _RefusedError(line, TOO_DEEP)  # by way of aliases
        if isinstance(node, SequenceNode):
            return [self.value(inner, (*steps, index)) for index, inner in enumerate(node.value)]
        return self._mapping(node, steps)

    def _mapping(self, node: "Node", steps: Steps) -> dict[str, Any]:
        from ruamel.yaml.nodes import ScalarNode

        result: dict[str, Any] = {}
        for name, inner in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, ScalarNode):
                self.problems.append(
                    Problem(file=self.file, line=line, message="a key must be text")
                )
                continue
            key = name.value
            if (reason := unstorable(key, key)) is not None:
                raise _RefusedError(line, reason)
            if key in result:
                self.problems.append(_given_twice(self.file, line, key))
            self.known.setdefault((*steps, key), (self.file, line))
            result[key] = self.value(inner, (*steps, key))
        return result

    def _scalar(self, node: "Node", line: int) -> Any:
        tag, spelled = str(node.tag), node.value
        if tag not in _SCALARS:
            self.problems.append(
                Problem(file=self.file, line=line, message=f"tag {tag} is not supported here")
            )
            return None
        try:
            value = _SCALARS[tag](spelled)
        except ValueError as exc:
            long = spelled.removeprefix("-").isdecimal()
            raise _RefusedError(
                line, _TOO_LONG if long else f"{spelled!r} is not a number"
            ) from exc
        if (reason := unstorable(value, spelled)) is not None:
            raise _RefusedError(line, reason)
        return value

    def _count(self, node: "Node", line: int) -> None:
        """
        Add up the size of what is met again: that is what aliases repeat.
        """
        if id(node) not in self._seen:
            self._seen.add(id(node))
            return
        self._repeated += 16 + (len(node.value) if isinstance(node.value, str) else 0)
        if self._repeated > MAX_REPEATED:
            raise _RefusedError(line, TOO_OFTEN)
