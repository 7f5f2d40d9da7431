"""
A tokenizer's own ``response_template``: regions between delimiters, described by the checkpoint.

Source: transformers' response parsing (``transformers.utils.chat_parsing``, from 5.13 on), whose
delimiters and content parsers are used as they are. They are not used through its
``parse_response``: that gives no place in the text, lets one malformed call undo the whole answer,
and takes a call that is cut off before its closing delimiter for a finished one. What the prompt
has already written of the answer (an opened thinking block, say) is not seen.

It is chosen by ``--dialect response-template`` where the checkpoint's tokenizer has one, or by
``--dialect response-template:FILE`` with the template as JSON, and is kept in the run.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.dialects.base import Attempt, Reading
from harness.errors import DialectError, boundary
from harness.messages import Tool, ToolCall

NAME = "response-template"
CALLS, TEXT = "tool_calls", "content"
"""The fields of the message that hold calls and text; others (thinking) are neither."""


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


class ResponseTemplate:
    """
    The dialect that one such template describes.
    """

    name = NAME
    version = 1
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
        self.template = json.dumps(template, sort_keys=True, ensure_ascii=False)
        """As it is kept in a run."""

    def recognises(self, template: str) -> bool:
        """
        Never: it is chosen by name.
        """
        return False

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* region by region; a region for calls that cannot be read is malformed.
        """
        attempts: list[Attempt] = []
        text: list[str] = []
        for region in self._regions(output):
            if region.field == CALLS:
                attempts.extend(self._attempts(region))
            elif region.field == TEXT:
                text.append(region.body)
        return Reading(attempts=tuple(attempts), text="".join(text).strip())

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read as `read` does: what is not in the template is not known.
        """
        return self.read(output, tools)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Refuse: a template says how to read, not how to write.

        Raises:
            DialectError: always.
        """
        raise DialectError(
            f"dialect {NAME} cannot write calls; name the family's own with --dialect"
        )

    def _regions(self, output: str) -> Iterator[_Region]:
        """
        Cut *output* at the delimiters: of all that may open, the first, and of those the longest.
        """
        fields, implicit = self._parsed.fields, self._parsed.implicit
        at = 0
        while at < len(output):
            opening = min(
                (
                    (match.start(), -len(match.group()), field.name, match)
                    for field in fields.values()
                    if field.open_re is not None
                    and (match := field.open_re.search(output, at)) is not None
                    # One that opens nothing of its own would open again and again.
                    and match.end() > at
                ),
                default=None,
            )
            end = self._begun(output, at) if opening is None else opening[0]
            if implicit is not None and end > at:
                body = output[at:end]
                close = fields[implicit].close_re
                found = close.search(body) if close is not None else None
                while found is not None and found.end() > found.start():
                    # The end of a turn is a control token and no text.
                    body = body[: found.start()] + body[found.end() :]
                    found = close.search(body, found.start())
                yield _Region(
                    field=implicit,
                    start=at,
                    raw=output[at:end],
                    body=body,
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
            start, _, name, match = opening
            field = fields[name]
            closing = field.close_re.search(output, match.end()) if field.close_re else None
            finish = len(output) if closing is None else closing.end()
            body = output[match.end() : len(output) if closing is None else closing.start()]
            captures = {key: value for key, value in match.groupdict().items() if value is not None}
            yield _Region(
                field=name,
                start=start,
                raw=output[start:finish],
                body=body,
                captures=captures,
                closed=closing is not None or field.close_re is None,
            )
            at = max(finish, match.end())

    def _begun(self, output: str, at: int) -> int:
        """
        Say where the opening of a call begins that *output* ends inside of; else its length.
        """
        match = self._parsed.fields[CALLS].open_re.search(output, at, partial=True)
        # One character more or less begins many things.
        if match is not None and match.partial and len(match.group().strip()) > 1:
            begun: int = match.start() + len(match.group()) - len(match.group().lstrip())
            return begun
        return len(output)

    def _attempts(self, region: _Region) -> Iterator[Attempt]:
        def attempt(
            name: str | None, arguments: Mapping[str, Any] | None, problem: str | None
        ) -> Attempt:
            return Attempt(
                name=name,
                arguments=arguments,
                raw=region.raw,
                start=region.start,
                problem=problem,
                unfinished=not region.closed,
            )

        if not region.closed:
            yield attempt(None, None, "the answer ends before the call is closed")
            return
        try:
            value = self._content(region.body, self._parsed.fields[CALLS], region.captures)
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
                yield attempt(name, None, "the arguments are no object")
            else:
                yield attempt(name, arguments, None)


def from_file(path: Path) -> ResponseTemplate:
    """
    Read a template from a JSON file: the template itself, or a tokenizer_config.json that holds it.

    Raises:
        DialectError: if it cannot be read or is none.
    """
    with boundary(DialectError, f"{path} cannot be read"):
        data = json.loads(path.read_text("utf-8"))
    if isinstance(data, dict):
        data = data.get("response_template", data)
    if not isinstance(data, dict):
        raise DialectError(f"{path} holds no response template, which is a JSON object")
    with boundary(DialectError, str(path)):
        return ResponseTemplate(data)


def of_tokenizer(tokenizer: Any) -> ResponseTemplate:
    """
    Take the template that a tokenizer comes with.

    Raises:
        DialectError: if it has none.
    """
    template = getattr(tokenizer, "response_template", None)
    if not isinstance(template, dict):
        raise DialectError(
            "the checkpoint's tokenizer has no response template; give one with "
            f"--dialect {NAME}:FILE, or name a family's dialect"
        )
    return ResponseTemplate(template)
