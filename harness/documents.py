"""
YAML, JSON and JSON-lines files as values that remember on which line each part stands.

An author of a suite mends files by hand, so every complaint names the line. Scalars of YAML are
read as JSON knows them: ``true`` and ``false`` alone are booleans, ``12:30``, ``no`` and
``2027-01-31`` are text (the JSON schema of YAML 1.2 with plain text allowed, not the surprises of
1.1). A key given twice is a problem, as one of the two values would be lost silently.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.diagnostics import Places, Problem, Steps

MAX_DEPTH = 64
"""How many lists and objects may stand in each other; Python's stack ends at about twice as many,
in the checks of schemas."""
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep; make it flatter"

_SURROGATE = re.compile("[\ud800-\udfff]")
_TOO_LONG = "a number has more digits than can be read; write it as text"


def unstorable(value: object, spelled: str) -> str | None:
    """
    Say why a key, text or number cannot be stored as JSON; None if it can.
    """
    if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
        return "a text holds half a surrogate pair, which is no character; write it whole"
    if isinstance(value, float) and not math.isfinite(value):
        if not spelled[-1].isdigit():
            return f"{spelled} is no JSON number"
        short = spelled if len(spelled) <= 40 else f"{spelled[:37]}..."
        return f"the number {short} is beyond the largest that can be stored, about 1.8e308"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """
    What a file holds. Where it cannot be read at all, value is None and problems say why.
    """

    value: Any
    places: Places
    problems: tuple[Problem, ...] = ()


def read_source(file: Path, *, ending: str | None = None) -> Source:
    """
    Read a file by its ending, or as if it ended in *ending*: .jsonl, .json, .yaml or .yml.
    """
    readers = {".jsonl": _read_lines, ".json": _read_json, ".yaml": _read_yaml, ".yml": _read_yaml}
    reader = readers.get(ending or file.suffix)
    if reader is None:
        return _unread(str(file), None, f"it must end in one of {', '.join(sorted(readers))}")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return _unread(str(file), None, "no such file")
    except OSError as exc:
        return _unread(str(file), None, f"cannot be read: {exc.strerror or exc}")
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        return _unread(str(file), line, f"no UTF-8 text: {exc.reason}; save the file as UTF-8")
    source = reader(text, str(file))
    if source.value is None and not source.problems:
        return _unread(str(file), 1, "holds null and nothing else; write it anew or restore it")
    return source


class _RefusedError(Exception):
    """
    What a document holds on some line can be read and not be stored.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _unread(file: str, line: int | None, message: str) -> Source:
    problem = Problem(file=file, line=line or 1, message=message)
    return Source(value=None, places=Places.of(file, 1), problems=(problem,))


def _read_lines(text: str, file: str) -> Source:
    rows: list[Any] = []
    places = Places.of(file, 1)
    problems: list[Problem] = []
    # Not splitlines: a JSON string may hold U+2028 and its like, which end no line of a file.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row = _read_json(line, file, first=number)
        problems += row.problems
        if row.value is None and not row.problems:
            problems.append(Problem(file=file, line=number, message="null is no row; remove it"))
        if row.value is not None:
            places.known[(len(rows),)] = (file, number)
            rows.append(row.value)
    value = None if problems and not rows else rows
    return Source(value=value, places=places, problems=tuple(problems))


def _read_json(text: str, file: str, *, first: int = 1) -> Source:
    try:
        value = json.loads(text, parse_int=_whole)
    except json.JSONDecodeError as exc:
        return _unread(file, first + exc.lineno - 1, f"no JSON: {exc.msg} in column {exc.colno}")
    except RecursionError:
        value = None  # the walk is refused at a depth that was read before, and knows the line
    walk = _JsonWalk(text, file, first)
    try:
        walk.value(len(text) - len(text.lstrip(_BLANKS)), ())
    except _RefusedError as exc:
        return _unread(file, exc.line, str(exc))
    return Source(value=value, places=Places(known=walk.known), problems=tuple(walk.problems))


def decode_json(text: str) -> Any:
    """
    Read JSON that stands as text in a value, as strictly as a file.

    Raises:
        ValueError: saying why it cannot be read, or what in it cannot be stored.
    """
    source = _read_json(text, "")
    if source.problems:
        raise ValueError(source.problems[0].message)
    return source.value


def _whole(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        return 0  # more digits than Python converts: the walk refuses them, and knows the line


_BLANKS = " \t\r\n"
_SCALAR = json.JSONDecoder()


class _JsonWalk:
    """
    Goes once through JSON text known to be valid, for the lines and for keys given twice.

    It raises `_RefusedError` at what can be read and not be stored.
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


def _given_twice(file: str, line: int, key: str) -> Problem:
    return Problem(file=file, line=line, message=f"key {key!r} is given twice; keep one")


class _Loader(yaml.SafeLoader):
    """
    Composes nodes whose plain scalars are typed as JSON types them.
    """


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern in (
    ("bool", r"true|false"),
    ("null", r"null|~|"),
    ("int", r"-?(?:0|[1-9][0-9]*)"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), None
    )

_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:bool": lambda text: text == "true",
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
}


def _read_yaml(text: str, file: str) -> Source:
    try:
        node = yaml.compose(text, Loader=_Loader)
        places = Places.of(file, 1)
        problems: list[Problem] = []
        value = None if node is None else _build(node, (), places, problems, file)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        return _unread(file, mark.line + 1 if mark else 1, f"no YAML: {exc.problem or exc.context}")
    except _RefusedError as exc:
        return _unread(file, exc.line, str(exc))
    except RecursionError:
        return _unread(file, _deep_line(text), TOO_DEEP)
    except (yaml.YAMLError, ValueError) as exc:
        return _unread(file, 1, f"no YAML: {' '.join(str(exc).split())}")
    if node is None:
        return _unread(file, 1, "the file is empty")
    return Source(value=value, places=places, problems=tuple(problems))


def _deep_line(text: str) -> int:
    """
    Give the line where YAML becomes too deep; its events nest no calls, unlike its nodes.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return event.start_mark.line + 1 if event.start_mark else 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return 1


def _build(
    node: yaml.Node, steps: Steps, places: Places, problems: list[Problem], file: str
) -> Any:
    line = node.start_mark.line + 1
    places.known.setdefault(steps, (file, line))
    if isinstance(node, yaml.CollectionNode) and len(steps) >= MAX_DEPTH:
        raise _RefusedError(line, TOO_DEEP)
    if isinstance(node, yaml.SequenceNode):
        return [
            _build(item, (*steps, index), places, problems, file)
            for index, item in enumerate(node.value)
        ]
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            at = key_node.start_mark.line + 1
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                problems.append(Problem(file=file, line=at, message="a key must be text"))
                continue
            _scalar(str, key, at)
            if key in result:
                problems.append(_given_twice(file, at, key))
            places.known.setdefault((*steps, key), (file, at))
            result[key] = _build(value_node, (*steps, key), places, problems, file)
        return result
    read = _SCALARS.get(node.tag)
    if read is None:
        problems.append(Problem(file=file, line=line, message=f"tag {node.tag} is not read here"))
        return None
    return _scalar(read, node.value, line)


def _scalar(read: Callable[[str], Any], spelled: str, line: int) -> Any:
    try:
        value = read(spelled)
    except ValueError as exc:
        long = spelled.removeprefix("-").isdecimal()
        raise _RefusedError(line, _TOO_LONG if long else f"{spelled!r} is no number") from exc
    if (reason := unstorable(value, spelled)) is not None:
        raise _RefusedError(line, reason)
    return value
