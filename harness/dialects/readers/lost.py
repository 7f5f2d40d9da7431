"""
Calls that lost their opening tag.

A runtime looks for the opening tag and takes everything else for text. A call without it is not
executed, but it is not the same as no call: it is an attempt that cannot be read. Outside the calls
that were read and the thinking that was closed, it is shown by

- an inner or closing tag of the family's calls;
- the family's notation for a call with the name of a declared tool: a JSON object with the family's
  keys for name and arguments, ``call:NAME{``, ``NAME(key=`` or ``NAME()`` on its own.

Text that only talks about calls stays text:

- a tool's name, its arguments, or an object that names no declared tool or lacks one of the keys;
- a tool's declaration, which has other keys or a schema for arguments;
- anything in inline code, between backticks in a line with other text as well;
- a surplus closing tag directly after a call.

Inside thinking that was never closed the opening tags count as well, as no runtime looks there.
Time is linear in the text.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from harness.dialects.base import Attempt, Reading
from harness.dialects.readers.json_text import JsonReader, Trouble
from harness.messages import Tool

MISSING = "opening tag missing"
"""The beginning of such an attempt's problem."""

UNCLOSED = "the thinking is not closed before the call"
"""The problem of a call inside thinking that was never closed."""

_QUOTE = r"(?:\\?[\"'])?"
_LEADING = (
    rf"(?:{_QUOTE}(?:id|type|index|tool_call_id){_QUOTE}\s*:\s*"
    rf"(?:{_QUOTE}[^\"'\\{{}}]*{_QUOTE}|\d+)\s*,\s*){{0,4}}"
)
_BESIDE = frozenset({"id", "type", "index", "tool_call_id"})
"""Keys that a call may have in addition to those of the family."""
_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)[^`\n]+\1(?!`)")
_CODE_LINE = re.compile(r"^.*`.*$", re.MULTILINE)
_SCHEMA = re.compile(r"\s*\{\s*[\"']type[\"']\s*:\s*[\"']object[\"']")
_SPACES = re.compile(r"\s*")
_LINE_END = re.compile(r"$", re.MULTILINE)
_WINDOW = 120
"""How far before an inner tag to look for the tool's name, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """
    What shows a call of one family when its opening tag is missing.
    """

    problem: str
    """What is wrong with such a call: `missing`, or another reason."""
    openers: tuple[str, ...] = ()
    """Every spelling of the opening tag; used only where no runtime looks for it
    (`with_openers`)."""
    begins: tuple[str, ...] = ()
    """Inner tags with which a call begins."""
    inner: tuple[str, ...] = ()
    """Other inner tags."""
    closers: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """The key of the name, and those of the arguments, where calls are JSON objects."""
    notation: tuple[str, ...] = ()
    """Patterns for the beginning of a call; ``NAME`` stands for the declared names."""

    def with_openers(self, openers: tuple[str, ...]) -> "Traces":
        """
        Return the traces to look for where no runtime looks: *openers* count as well.
        """
        return replace(self, openers=tuple(filter(None, openers)))


def missing(opener: str) -> str:
    """
    Return the problem of a call without *opener* before it.
    """
    return f"{MISSING}: no {opener} before the call"


IN_TEXT = Traces(
    problem="the call is in the text, where no client looks for one",
    keys=("name", "arguments", "parameters", "input"),
    notation=(
        r"<function=NAME>",
        r"\bname=\"NAME\"",
        r"\bto=(?:functions\.)?NAME(?![\w.-])",
        r"\bfunctions\.NAME:\d+",
        r"\[TOOL_CALLS\]\s*NAME(?![\w.-])",
        r"(?<![\w.-])NAME\[ARGS\]",
        r"\bcall:NAME(?=\s*\{)",
        r"<tool_call>\s*NAME(?![\w.-])",
        r"<\|tool_call_start\|>\s*\[NAME\(",
        r"[\"']tool_name[\"']\s*:\s*[\"']NAME[\"']",
        r"<｜tool▁sep｜>NAME(?![\w.-])",
        r"(?<![\w.-])NAME<｜tool▁sep｜>",
    ),
)
"""The traces of a call in any family's notation, where a server should have read it."""


def text_reading(text: str, names: tuple[str, ...]) -> Reading:
    """
    Read an answer's *text* that should contain no call.
    """
    lost = lost_calls(text, 0, len(text), IN_TEXT, names)
    return Reading(attempts=tuple(lost), text="".join(without(text, 0, len(text), lost)).strip())


def without(text: str, start: int, end: int, calls: Sequence[Attempt]) -> list[str]:
    """
    Return the parts of *text* between *start* and *end* that are outside *calls*.
    """
    begins = [start, *(call.end for call in calls)]
    ends = [*(call.start for call in calls), end]
    return [text[begin:stop] for begin, stop in zip(begins, ends, strict=True)]


def is_lost(attempt: Attempt) -> bool:
    """
    Return whether *attempt* is one that no opening tag shows.
    """
    known = (MISSING, UNCLOSED, IN_TEXT.problem)
    return attempt.problem is not None and attempt.problem.startswith(known)


def in_section(
    reading: Reading, output: str, sections: tuple[str, ...], *, repair: bool
) -> Reading:
    """
    Return *reading* without the calls before any of the tags *sections* in *output*: runtimes of
    such a family only look for calls after one. With *repair* they count, and that is recorded.
    """
    places = [place for tag in sections if (place := output.find(tag)) >= 0]
    begin = min(places, default=len(output))
    early = [one for one in reading.attempts if one.readable and one.start < begin]
    if not early:
        return reading
    if repair:
        return replace(reading, repairs=(*reading.repairs, "no section tag"))
    refused = [
        replace(one, arguments=None, problem=missing(sections[0]), by_schema=())
        if one in early
        else one
        for one in reading.attempts
    ]
    return replace(reading, attempts=tuple(refused))


def declared(tools: Sequence[Tool]) -> tuple[str, ...]:
    """
    Return the names by which `lost_calls` knows *tools*.
    """
    return tuple(tool.name for tool in tools)


@dataclass(slots=True)
class _Group:
    """
    The traces of one call.
    """

    start: int
    end: int
    name: str | None
    begun: bool = False
    """Whether the call is seen to begin; another beginning is that of another call."""
    closed: bool = False


def lost_calls(
    text: str,
    start: int,
    end: int,
    traces: Traces,
    names: tuple[str, ...],
    *,
    problem: str | None = None,
) -> list[Attempt]:
    """
    Return the attempts that *traces* show between *start* and *end* of an answer's *text*, where no
    call was read; *names* are the declared tools. *problem* is what is wrong with them if it is
    something other than a missing opening tag.
    """
    segment = text[start:end]
    if not _suspicious(segment, traces, names):
        return []
    reason = problem or traces.problem
    return [
        Attempt(
            name=group.name,
            arguments=None,
            raw=segment[group.start : group.end],
            start=start + group.start,
            problem=reason,
        )
        for group in _groups(segment, traces, names, after_call=start > 0)
    ]


def _suspicious(segment: str, traces: Traces, names: tuple[str, ...]) -> bool:
    """
    Return whether to look closer: most text has nothing like a call and is skipped quickly.
    """
    if not segment or segment.isspace():
        return False
    tags = (*traces.openers, *traces.begins, *traces.inner, *traces.closers)
    if any(tag in segment for tag in tags):
        return True
    if not traces.notation and not (traces.keys and "{" in segment):
        return False
    return any(name in segment for name in _spelt(names))


@lru_cache(maxsize=64)
def _spelt(names: tuple[str, ...]) -> tuple[str, ...]:
    """
    Return the spellings of *names*: underscores may be escaped, in JSON twice.
    """
    escapes = ("_", "\\_", "\\\\_")
    return tuple({name.replace("_", escape): None for name in names for escape in escapes})


def _groups(
    segment: str, traces: Traces, names: tuple[str, ...], *, after_call: bool
) -> list[_Group]:
    looked = _looked_for(traces, names)
    talk = _talk(segment)
    groups: list[_Group] = []
    here = low = read = 0
    for match in looked.traces.finditer(segment):
        at, stop, kind = match.start(), match.end(), match.lastgroup
        if at < here or talk(at):
            continue
        name = looked.name(match)
        if kind == "object":
            found = looked.call(segment, at, stop, read)
            name, read = found.name, found.read
            if found.name is None:
                here = max(here, found.end)
                continue
            stop = found.end
        last = groups[-1] if groups and not groups[-1].closed else None
        if kind in ("object", "notation", "begin", "opener"):
            if last is None or last.begun or kind == "opener":
                last = _Group(at, stop, name)
                groups.append(last)
            last.begun, last.name = kind != "opener", last.name or name
        elif last is None and (
            kind == "inner" or segment[low:at].strip() or not (groups or after_call)
        ):
            begin, name = _begin(segment, low, at, kind == "inner", looked)
            last = _Group(begin, stop, name)
            groups.append(last)
        if last is not None:
            last.end, last.closed = stop, kind == "closer"
        here = low = stop
    limits = [*(group.start for group in groups[1:]), len(segment)]
    for group, limit in zip(groups, limits, strict=False):
        if not group.closed:
            group.end = _body_end(segment, group.end, limit)
    return groups


def _begin(
    segment: str, low: int, at: int, inner: bool, looked: "_LookedFor"
) -> tuple[int, str | None]:
    """
    Return where a call begins whose first trace, at *at*, is not its beginning, and its name.
    """
    window = max(low, at - _WINDOW)
    if looked.before is not None and (before := looked.before.search(segment, window, at)):
        return before.start(), looked.canonical(before.group("tool"))
    if inner:
        return at, None
    paragraph = segment.rfind("\n\n", low, at)
    space = _SPACES.match(segment, max(low, paragraph))
    return (min(space.end(), at) if space else at), None


def _body_end(segment: str, at: int, limit: int) -> int:
    """
    Return where a call without a closing tag ends: with its JSON, or otherwise with its line.
    """
    if segment[at : at + 1] in ("{", "["):
        try:
            return min(limit, JsonReader(segment).value(at)[1])
        except Trouble:
            pass
    line = _LINE_END.search(segment, at, limit)
    return line.end() if line else limit


def _talk(segment: str) -> Callable[[int], bool]:
    """
    Return a function that tells whether a position is in inline code in a line with other text.

    Its positions must not decrease from call to call.
    """
    spans: list[tuple[int, int]] = []
    for line in _CODE_LINE.finditer(segment) if "`" in segment else ():
        found = [code.span() for code in _CODE.finditer(segment, line.start(), line.end())]
        ends = [line.start(), *(end for _, end in found)]
        starts = [*(start for start, _ in found), line.end()]
        if any(segment[end:start].strip() for end, start in zip(ends, starts, strict=True)):
            spans += found
    spans.reverse()

    def inside(place: int) -> bool:
        while spans and spans[-1][1] <= place:
            spans.pop()
        return bool(spans) and spans[-1][0] <= place

    return inside


@dataclass(frozen=True, slots=True)
class _LookedFor:
    """
    The traces of one family and the declared names, as patterns.
    """

    traces: re.Pattern[str]
    before: re.Pattern[str] | None
    """A declared name at the end of a text."""
    named: re.Pattern[str] | None
    """The key and value of a call's name."""
    arguments: re.Pattern[str] | None
    """The key of a call's arguments."""
    keys: tuple[str, ...]
    known: frozenset[str]
    """The keys that a call may have; an object with others is a declaration or something else."""
    names: frozenset[str]

    def canonical(self, written: str | None) -> str | None:
        """
        Return the declared name that was *written*, with escaped underscores or not, or None.
        """
        name = (written or "").replace("\\", "")
        return name if name in self.names else None

    def name(self, match: re.Match[str]) -> str | None:
        """
        Return the declared name in a match, or None if it contains none.
        """
        groups = match.groupdict()
        return next(
            (
                found
                for key in groups
                if key[:4] == "tool" and (found := self.canonical(groups[key]))
            ),
            None,
        )

    def call(self, segment: str, at: int, inside: int, read: int) -> "_Object":
        """
        Return what the object at *at* is; up to *read* the text could not be read as JSON.
        """
        keys: Set[str] = frozenset()
        if at >= read:
            reader = JsonReader(segment, loose=True)
            try:
                value, end = reader.value(at)
                return _Object(name=self._named_in(value), end=end, read=end)
            except Trouble as trouble:
                keys, read = reader.outer.keys(), trouble.position
        # Broken: its visible part decides, up to where the next object begins.
        following = self.traces.search(segment, inside)
        while following is not None and following.lastgroup != "object":
            following = self.traces.search(segment, following.end())
        limit = following.start() if following else len(segment)
        written = self.named.search(segment, at, limit) if self.named else None
        given = self.arguments.search(segment, at, limit) if self.arguments else None
        if written is None or given is None or keys - self.known:
            return _Object(name=None, end=at, read=read)
        end = max(written.end(), given.end())
        name = self.canonical(written.group("tool"))
        return _Object(
            name=None if _SCHEMA.match(segment, given.end()) else name, end=end, read=read
        )

    def _named_in(self, value: Any) -> str | None:
        """
        Return the declared tool of the first call in *value*, at any depth.
        """
        pending = [value]
        while pending:
            item = pending.pop()
            if isinstance(item, dict):
                if (name := self._called(item)) is not None:
                    return name
                pending += reversed(item.values())
            elif isinstance(item, list):
                pending += reversed(item)
        return None

    def _called(self, value: Mapping[str, Any]) -> str | None:
        written = value.get(self.keys[0])
        given = [key for key in self.keys[1:] if key in value]
        if not isinstance(written, str) or not given or value.keys() - self.known:
            return None
        arguments = value[given[0]]
        if isinstance(arguments, Mapping) and arguments.get("type") == "object":
            return None  # the schema of a declaration
        return self.canonical(written.removeprefix("functions."))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """
    What a JSON object turned out to be.
    """

    name: str | None
    """The tool it calls, or None if it is not a call."""
    end: int
    read: int
    """Up to where the text has been read, successfully or not."""


@lru_cache(maxsize=64)
def _looked_for(traces: Traces, names: tuple[str, ...]) -> _LookedFor:
    # Longest first, as one name may begin with another.
    spelt = [re.escape(name).replace("_", r"\\{0,2}_") for name in sorted(names, key=len)[::-1]]
    tool = "|".join(spelt)
    following = rf"(?:(?P<toolbegun>{tool})(?![\w.-]))?" if names else ""
    begins = "|".join(map(re.escape, traces.begins))
    branches: list[tuple[str, Sequence[str]]] = [
        ("opener", [re.escape(tag) for tag in traces.openers]),
        ("begin", [f"(?:{begins}){following}"] if begins else []),
        ("inner", [re.escape(tag) for tag in traces.inner]),
        ("closer", [re.escape(tag) for tag in traces.closers]),
    ]
    before = named = arguments = None
    if names:
        patterns = [
            pattern.replace("NAME", f"(?P<tool{number}>{tool})")
            for number, pattern in enumerate(traces.notation)
        ]
        branches.insert(0, ("notation", patterns))
        before = re.compile(rf"(?<![\w.-])(?:functions?\.)?(?P<tool>{tool})(?::\d+)?\s*\Z")
    if names and traces.keys:
        keys = "|".join(map(re.escape, traces.keys))
        given = "|".join(map(re.escape, traces.keys[1:]))
        branches.insert(0, ("object", [rf"\{{\s*{_LEADING}{_QUOTE}(?:{keys}){_QUOTE}\s*:"]))
        named = re.compile(
            rf"{_QUOTE}{re.escape(traces.keys[0])}{_QUOTE}\s*[:=]\s*\\?[\"'](?:functions\.)?"
            rf"(?P<tool>{tool})\\?[\"']"
        )
        arguments = re.compile(rf"{_QUOTE}\b(?:{given}){_QUOTE}\s*[:=]")
    whole = "|".join(f"(?P<{kind}>{'|'.join(patterns)})" for kind, patterns in branches if patterns)
    return _LookedFor(
        traces=re.compile(whole or r"(?!)", re.MULTILINE),
        before=before,
        named=named,
        arguments=arguments,
        keys=traces.keys,
        known=_BESIDE.union(traces.keys),
        names=frozenset(names),
    )
