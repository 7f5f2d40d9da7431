"""
A tokenizer's own ``response_template``: regions between delimiters, described by the checkpoint.

Source: transformers' response parsing (``transformers.utils.chat_parsing``, from 5.13 on), whose
delimiters and content parsers are used unchanged. Its ``parse_response`` is not used: it returns no
positions, one malformed call makes it discard the whole answer, and it takes a call that is cut off
before its closing delimiter for a finished one.

A call that lost its opening delimiter is an attempt (`harness.dialects.readers.lost`): what
shows it is its closing delimiter, the tag of an argument or, where calls are JSON, an object with
``name`` and ``arguments`` that names a declared tool.

It is chosen by ``--dialect response-template`` where the checkpoint's tokenizer has one, or by
``--dialect response-template:FILE`` with the template as JSON, and is stored in the run.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.canonical import canonical_json
from harness.dialects.base import Attempt, Reading
from harness.dialects.readers.json_text import Trouble, read_json
from harness.dialects.readers.lost import (
    UNCLOSED,
    Traces,
    declared,
    lost_calls,
    missing,
    without,
)
from harness.dialects.readers.untyped import typed
from harness.errors import DialectError, boundary
from harness.messages import Tool, ToolCall

NAME = "response-template"
CALLS, TEXT = "tool_calls", "content"
"""The fields of the message with calls and text; others (thinking) are neither."""


_BLANK = re.compile(r"\\s\*(?![?+*{])")
_LONGEST_SECONDS = 5
"""The limit of one search for a delimiter: a foreign pattern may take exponential time."""

_UNTYPED = ("xml-inline", "kv-lines")
# Content parsers that return bare text, whose type only the tool's schema can tell.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Region:
    """
    One stretch of an answer that belongs to one field.
    """

    field: str
    start: int
    raw: str
    body: str
    captures: Mapping[str, str]
    closed: bool
    open_ended: bool = False
    """Its field has no closing delimiter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """
    Where a delimiter is.
    """

    start: int
    core: int
    """Where it begins without the white space before it."""
    end: int
    captures: Mapping[str, str]


class _Delimiter:
    """
    One pattern of a template, searched for from left to right in time linear in the text.

    ``\\s*`` at the beginning of a pattern is tried again at every character of a blank stretch, so
    it is removed and the white space before a match is added by hand. A match is kept until the
    search has passed it, as several patterns are searched for from each position.
    """

    def __init__(self, pattern: Any) -> None:
        import regex

        self._blank = bool(_BLANK.match(pattern.pattern)) and "|" not in pattern.pattern
        self.core: Any = (
            regex.compile(pattern.pattern[len(r"\s*") :], pattern.flags) if self._blank else pattern
        )

    def search(self, text: str, at: int, kept: _Found | None = None) -> _Found | None:
        """
        Return the first match at or after *at*; *kept* is the one found from an earlier position.

        Raises:
            TimeoutError: if the pattern takes too long on this text.
        """
        if kept is not None and kept.core >= at:
            return replace(kept, start=max(kept.start, at))
        match = self.core.search(text, at, timeout=_LONGEST_SECONDS)
        if match is None:
            return None
        start = match.start()
        while self._blank and start > at and text[start - 1].isspace():
            start -= 1
        captures = {key: value for key, value in match.groupdict().items() if value}
        return _Found(start=start, core=match.start(), end=match.end(), captures=captures)

    def removed(self, text: str) -> str:
        """
        Return *text* without what the pattern matches.
        """
        parts, at = [], 0
        while (found := self.search(text, at)) is not None and found.end > found.start:
            parts.append(text[at : found.start])
            at = found.end
        return "".join((*parts, text[at:]))


class ResponseTemplate:
    """
    The dialect that one such template describes.
    """

    name = NAME
    version = 2
    stops: tuple[str, ...] = ()

    def __init__(self, template: Mapping[str, Any]) -> None:
        """
        Raises:
            DialectError: if transformers cannot use *template*, or it has no field for calls.
        """
        with boundary(DialectError, "the response template cannot be used"):
            from transformers.utils.chat_parsing.content_parsers import process_field
            from transformers.utils.chat_parsing.response_templates import load_response_template

            self._parsed: Any = load_response_template(dict(template))
        field = self._parsed.fields.get(CALLS)
        if field is None or field.open_re is None:
            raise DialectError(f"the response template has no field {CALLS!r} with an opening")
        self._content = process_field
        fields = self._parsed.fields.values()
        self._openings = {f.name: _Delimiter(f.open_re) for f in fields if f.open_re is not None}
        self._closings = {f.name: _Delimiter(f.close_re) for f in fields if f.close_re is not None}
        self._traces = _traces(field)
        self._unclosed = self._traces.with_openers(tuple(field.open_literals or ()))
        self._fixed = _fixed_beginning(field.open_literals, field.open_re.pattern)
        self.template = json.dumps(template, sort_keys=True, ensure_ascii=False)
        """As it is kept in a run."""

    def recognises(self, template: str) -> bool:
        """
        Return False: it is chosen by name.
        """
        return False

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* region by region; a region for calls that cannot be read is malformed.
        """
        attempts: list[Attempt] = []
        text: list[str] = []
        names = declared(tools)
        at = 0
        try:
            for region in self._regions(output):
                begin, at = region.start, region.start + len(region.raw)
                if region.field == CALLS:
                    attempts.extend(self._attempts(region, tools))
                elif region.field == TEXT:
                    lost = lost_calls(output, begin, at, self._traces, names)
                    attempts.extend(lost)
                    told = "".join(without(output, begin, at, lost))
                    text.append(self._without_ends(told) if lost else region.body)
                elif not region.closed:
                    attempts += lost_calls(
                        output, begin, at, self._unclosed, names, problem=UNCLOSED
                    )
        except TimeoutError:
            problem = (
                f"a pattern of the response template takes longer than {_LONGEST_SECONDS} seconds "
                "on this answer"
            )
            attempts.append(
                Attempt(name=None, arguments=None, raw=output[at:], start=at, problem=problem)
            )
        return Reading(attempts=tuple(attempts), text="".join(text).strip())

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read as `read` does: nothing is known beyond the template.
        """
        return self.read(output, tools)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Refuse: a template says how to read, not how to write.

        Raises:
            DialectError: always.
        """
        raise DialectError(
            f"dialect {NAME} cannot write calls; name the family's dialect with --dialect"
        )

    def _regions(self, output: str) -> Iterator[_Region]:
        """
        Split *output* at the delimiters: the first of all that may open, the longest if several do.
        """
        implicit = self._parsed.implicit
        at, ended = 0, False
        coming = {name: each.search(output, 0) for name, each in self._openings.items()}
        while at < len(output):
            coming = {
                # What is not found from one position is not found from a later one.
                name: found and self._openings[name].search(output, at, found)
                for name, found in coming.items()
            }
            opening = min(
                (
                    (found.start, found.start - found.end, name, found)
                    for name, found in coming.items()
                    if found is not None
                    # An empty match must not open again where it has just been closed.
                    and (found.end > at or not ended)
                ),
                default=None,
            )
            end = self._begun(output, at) if opening is None else opening[0]
            if implicit is not None and end > at:
                yield _Region(
                    field=implicit,
                    start=at,
                    raw=output[at:end],
                    body=self._without_ends(output[at:end]),
                    captures={},
                    closed=True,
                )
            if opening is None:
                if end < len(output):
                    rest = output[end:]
                    yield _Region(
                        field=CALLS, start=end, raw=rest, body=rest, captures={}, closed=False
                    )
                return
            start, _, name, found = opening
            close = self._closings.get(name)
            closing = close.search(output, found.end) if close is not None else None
            finish = len(output) if closing is None else closing.end
            body = output[found.end : len(output) if closing is None else closing.start]
            closed = closing is not None
            if close is None:
                # It ends with the answer, without the control token at the end.
                whole, body = body, self._without_ends(body)
                closed = whole != body
            yield _Region(
                field=name,
                start=start,
                raw=output[start:finish],
                body=body,
                captures=found.captures,
                closed=closed,
                open_ended=close is None,
            )
            at, ended = finish, True

    def _without_ends(self, text: str) -> str:
        """
        Remove the tokens that end a turn.
        """
        close = self._closings.get(self._parsed.implicit)
        return text if close is None else close.removed(text)

    def _begun(self, output: str, at: int) -> int:
        """
        Return where the opening of a call begins if *output* ends inside one; otherwise its length.

        Only an opening with fixed first characters can be recognized before it is complete.
        """
        pattern = self._openings[CALLS].core
        match = (
            pattern.search(output, at, partial=True, timeout=_LONGEST_SECONDS)
            if self._fixed
            else None
        )
        if match is not None and match.partial:
            begun = match.group().lstrip()
            if len(begun) > 1 and begun[: len(self._fixed)] == self._fixed[: len(begun)]:
                place: int = match.end() - len(begun)
                return place
        return len(output)

    def _attempts(self, region: _Region, tools: Sequence[Tool]) -> Iterator[Attempt]:
        def attempt(
            name: str | None,
            arguments: Mapping[str, Any] | None,
            problem: str | None,
            by_schema: tuple[str, ...] = (),
        ) -> Attempt:
            return Attempt(
                name=name,
                arguments=arguments,
                raw=region.raw,
                start=region.start,
                problem=problem,
                # Without a closing delimiter only an unreadable call is known to be cut off.
                unfinished=problem is not None and not region.closed,
                by_schema=by_schema,
            )

        if not region.closed and not region.open_ended:
            yield attempt(None, None, "the answer ends before the call is closed")
            return
        field = self._parsed.fields[CALLS]
        try:
            if field.content == "json" and not field.content_args:
                # The text must have one meaning: no key twice, no number that JSON does not allow.
                read_json(region.body, 0)
            value = self._content(region.body, field, region.captures)
            canonical_json(value).encode()
        except Trouble as exc:
            yield attempt(None, None, exc.reason)
            return
        except Exception as exc:
            yield attempt(None, None, " ".join(str(exc).split()) or type(exc).__name__)
            return
        for call in value if isinstance(value, list) else [value]:
            function = call.get("function", call) if isinstance(call, Mapping) else None
            name = function.get("name") if isinstance(function, Mapping) else None
            arguments = function.get("arguments") if isinstance(function, Mapping) else None
            if not isinstance(name, str) or not name:
                yield attempt(None, None, "no name")
            elif not isinstance(arguments, Mapping):
                yield attempt(name, None, "the arguments are not an object")
            else:
                texts = {k: v for k, v in arguments.items() if isinstance(v, str)}
                if field.content not in _UNTYPED:
                    texts = {}
                given = {**arguments, **typed(tools, name, texts)}
                yield attempt(name, given, None, by_schema=tuple(texts))


def _traces(field: Any) -> Traces:
    """
    Return what shows a call of *field* whose opening is missing.
    """
    tag = field.content_args.get("tag_pattern")
    inner = _fixed_beginning(None, tag) if isinstance(tag, str) else ""
    return Traces(
        problem=missing(" or ".join(field.open_literals or [field.open_re.pattern])),
        # One or two characters may occur in any text.
        inner=(inner,) if len(inner) > 2 else (),
        closers=tuple(one for one in field.close_literals or () if len(one) > 2),
        keys=("name", "arguments", "parameters") if field.content == "json" else (),
    )


def _fixed_beginning(literals: Sequence[str] | None, pattern: str) -> str:
    """
    Return the characters that every opening begins with, ignoring white space; may be empty.
    """
    if literals is not None:
        first, last = min(literals).lstrip(), max(literals).lstrip()
        same = (a == b for a, b in zip(first, last, strict=False))
        return first[: next((i for i, alike in enumerate(same) if not alike), len(first))]
    plain = re.match(r"(?:\\s[*+?]?)*((?:[^\\.^$*+?{}\[\]|()]|\\[^a-zA-Z0-9])*)([*?{]?)", pattern)
    fixed = re.sub(r"\\(.)", r"\1", plain[1]) if plain else ""
    # Repeated or optional characters are not fixed.
    return fixed[:-1] if plain and plain[2] else fixed


def from_file(path: Path) -> ResponseTemplate:
    """
    Read a template from a JSON file: the template itself, or a tokenizer_config.json with one.

    Raises:
        DialectError: if the file cannot be read or contains no template.
    """
    with boundary(DialectError, f"{path} cannot be read"):
        data = json.loads(path.read_text("utf-8"))
    if isinstance(data, dict):
        data = data.get("response_template", data)
    if not isinstance(data, dict):
        raise DialectError(f"{path} contains no response template, which is a JSON object")
    with boundary(DialectError, str(path)):
        return ResponseTemplate(data)


def of_tokenizer(tokenizer: Any) -> ResponseTemplate:
    """
    Return the template of a tokenizer.

    Raises:
        DialectError: if it has none.
    """
    template = getattr(tokenizer, "response_template", None)
    if not isinstance(template, dict):
        raise DialectError(
            "the checkpoint's tokenizer has no response template; name one with "
            f"--dialect {NAME}:FILE, or choose a family's dialect"
        )
    return ResponseTemplate(template)
