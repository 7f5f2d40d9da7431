"""
The evidence: what a checkpoint answered, exactly, and how long it took. Never altered afterwards.

One line of transcripts.jsonl is one `Transcript`. Its text is kept exactly as it came, special
tokens included, so that a run can be judged again when a dialect or a scorer changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple, Self

from harness.canonical import canonical_json, parse_json


class Key(NamedTuple):
    """
    Which answer this is: case id, repeat, turn and, of an executed case, step; all from 0.
    """

    case: str
    repeat: int = 0
    turn: int = 0
    step: int = 0

    @classmethod
    def of(cls, line: Any) -> "Key":
        """
        Return the key of what has its fields.
        """
        return cls(line.case, line.repeat, line.turn, line.step)

    @property
    def as_written(self) -> str:
        """
        The key as a line of transcripts.jsonl has it. People count turns from 1, the file from 0:
        a message that names a line says it in the file's own words.
        """
        fields = self._asdict()
        if not self.step:
            del fields["step"]  # most suites have none
        return canonical_json(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """
    What one call of an answer returned, as the model was told.
    """

    text: str
    """At most as many characters as the model is shown."""
    length: int | None = None
    """How many characters there were before it was cut; None if it was not."""
    documents: tuple[str, ...] | None = None
    """The ids of the documents that it brought back, best first; None if it was no search."""

    def to_json(self) -> dict[str, Any]:
        """
        Return the result as a line of transcripts.jsonl holds it, without what is absent.
        """
        row: dict[str, Any] = {"text": self.text}
        if self.length is not None:
            row["length"] = self.length
        if self.documents is not None:
            row["documents"] = list(self.documents)
        return row

    @classmethod
    def from_json(cls, row: Any) -> Self:
        """
        Read what `to_json` gives.

        Raises:
            ValueError: if it is something else.
        """
        if not isinstance(row, Mapping) or not isinstance(row.get("text"), str):
            raise ValueError('a result of a tool needs "text"')
        length, documents = row.get("length"), row.get("documents")
        if length is not None and (isinstance(length, bool) or not isinstance(length, int)):
            raise ValueError("the length of a tool's result must be a whole number")
        if documents is not None and (
            not isinstance(documents, list) or not all(isinstance(each, str) for each in documents)
        ):
            raise ValueError("the documents of a tool's result must be a list of ids")
        return cls(
            text=row["text"],
            length=length,
            documents=None if documents is None else tuple(documents),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """
    Wall-clock times of one answer made alone (batch 1), in milliseconds.

    The clock starts when the prompt's token ids are handed to the model and stops when the last
    token is decided; rendering, tokenizing and decoding text are outside it.
    """

    latency_ms: float
    ttft_ms: float | None = None
    """Time to the first token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """
    One answer. Exactly one of output, message and error is given.
    """

    key: Key
    output: str | None = None
    """Raw text with special tokens, as the model wrote it."""
    opened: str | None = None
    """The text of the answer that the prompt itself had begun, such as ``<think>``: the model wrote
    `output`, or the content of `message`, behind it. None where it began none or is unknown."""
    message: Mapping[str, Any] | None = None
    """An OpenAI assistant message, from a server or a replay of one."""
    error: str | None = None
    """What broke. An infrastructure failure: never scored."""
    output_tokens: int | None = None
    finish_reason: str | None = None
    """``stop``, ``length`` or ``tool_calls``, where known."""
    timing: Timing | None = None
    margin: float | None = None
    """How much likelier the called tool was than the runner-up: a difference of log probabilities,
    in nats (`harness.backends.margins`); None where that is unknown."""
    results: tuple[ToolResult, ...] | None = None
    """What each call of this answer returned, in their order; None where none was executed."""
    response: Mapping[str, Any] | None = None
    """What a server sent beside `output`; a `message` holds that itself."""

    @property
    def said(self) -> str | Mapping[str, Any] | None:
        """
        What the model wrote: `output`, or `message` without what its server makes anew each time or
        sends around it, the ids of calls and ``response``. None of an error.
        """
        if self.message is None:
            return self.output
        said = {name: each for name, each in self.message.items() if name != "response"}
        if isinstance(calls := said.get("tool_calls"), list):
            said["tool_calls"] = [
                {name: each for name, each in call.items() if name != "id"}
                if isinstance(call, Mapping)
                else call
                for call in calls
            ]
        return said

    def to_json(self) -> dict[str, Any]:
        """
        Return the line of transcripts.jsonl as a dictionary, without what is unknown.
        """
        line: dict[str, Any] = {"case": self.key.case}
        if self.key.repeat:
            line["repeat"] = self.key.repeat
        if self.key.turn:
            line["turn"] = self.key.turn
        if self.key.step:
            line["step"] = self.key.step
        answer = ("output", "opened", "message", "error")
        for name in (*answer, "output_tokens", "finish_reason", "margin"):
            value = getattr(self, name)
            if value is not None:
                line[name] = value
        if self.timing is not None:
            line["latency_ms"] = self.timing.latency_ms
            if self.timing.ttft_ms is not None:
                line["ttft_ms"] = self.timing.ttft_ms
        if self.results is not None:
            line["results"] = [result.to_json() for result in self.results]
        if self.response is not None:
            line["response"] = dict(self.response)
        return line

    @classmethod
    def from_json(cls, line: str) -> Self:
        """
        Read one line of transcripts.jsonl; unknown keys are ignored.

        Raises:
            ValueError: with the reason; the caller adds file and line.
        """
        if (transcript := cls.at_once(line)) is not None:
            return transcript
        # A byte order mark left by an editor is not part of the text.
        return cls.from_row(parse_json(line.removeprefix("\ufeff")))

    @classmethod
    def key_in(cls, line: str) -> Key:
        """
        Return the key of one line of transcripts.jsonl, of which everything is checked.

        Raises:
            ValueError: as `from_json`.
        """
        if (plain := _plain(line)) is not None:
            return Key.of(plain)
        return cls.from_json(line).key

    @classmethod
    def at_once(cls, line: str) -> Self | None:
        """
        Read what most lines hold: raw text that was not timed, in the keys of transcripts.jsonl;
        None if this one holds anything else, or something is wrong with it.
        """
        if (plain := _plain(line)) is None:
            return None
        return cls(
            key=Key.of(plain),
            output=plain.output,
            opened=plain.opened or None,
            output_tokens=plain.output_tokens,
            finish_reason=plain.finish_reason,
            margin=plain.margin,
        )

    @classmethod
    def from_row(cls, row: Any) -> Self:
        """
        Read the value of one line of transcripts.jsonl.

        Raises:
            ValueError: as `from_json`.
        """
        if not isinstance(row, Mapping):
            raise ValueError("a transcript is an object")
        case = row.get("case")
        if not isinstance(case, str) or not case:
            raise ValueError('a transcript needs "case", the id of a case')
        given = [name for name in ("output", "message", "error") if row.get(name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"case {case!r}: give exactly one of output, message and error, "
                f"not {' and '.join(given) or 'none'}"
            )
        if isinstance(row.get("output"), list | Mapping):
            raise ValueError(
                f"case {case!r}: 'output' is the text as the model wrote it; put tool calls into "
                '"message": {"role": "assistant", "tool_calls": [...]}'
            )
        kinds = {"output": str, "opened": str, "message": Mapping, "error": str}
        for name, kind in kinds.items():
            if row.get(name) is not None and not isinstance(row[name], kind):
                raise ValueError(f"case {case!r}: {name!r} has the wrong type")
        if row.get("message") is not None and not is_answer(row["message"]):
            raise ValueError(
                f"case {case!r}: 'message' is not an assistant message with content or tool_calls"
            )
        response = row.get("response") if row.get("output") is not None else None
        results = row.get("results")
        if results is not None and not isinstance(results, list):
            raise ValueError(f"case {case!r}: 'results' has the wrong type")
        latency = _number(row, "latency_ms")
        tokens = _count(row, "output_tokens", None)
        reason = row.get("finish_reason")
        return cls(
            key=Key(case, *(_count(row, name, 0) or 0 for name in ("repeat", "turn", "step"))),
            output=row.get("output"),
            opened=row.get("opened") or None,
            message=row.get("message"),
            error=row.get("error"),
            output_tokens=tokens,
            finish_reason=reason if isinstance(reason, str) else None,
            timing=None
            if latency is None
            else Timing(latency_ms=latency, ttft_ms=_number(row, "ttft_ms")),
            margin=_margin(row),
            results=None if results is None else tuple(map(ToolResult.from_json, results)),
            response=response if isinstance(response, Mapping) else None,
        )


def _plain(line: str) -> Any:
    import msgspec

    try:
        plain = _decoder().decode(line)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    if not plain.case or (plain.margin is not None and not abs(plain.margin) < 1e15):
        return None
    return plain


@cache
def _decoder() -> Any:
    import msgspec

    count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    fields: list[Any] = [
        ("case", str),
        ("output", str),
        ("repeat", count, 0),
        ("turn", count, 0),
        ("step", count, 0),
        ("opened", str | None, None),
        ("output_tokens", count | None, None),
        ("finish_reason", str | None, None),
        ("margin", float | None, None),
        *((name, None, None) for name in ("message", "error", "latency_ms", "results")),
    ]
    return msgspec.json.Decoder(msgspec.defstruct("Plain", fields, forbid_unknown_fields=True))


def is_answer(message: Mapping[str, Any]) -> bool:
    """
    Return whether *message* is an assistant's: an error body must not be judged as silence.
    """
    return message.get("role", "assistant") == "assistant" and any(
        key in message for key in ("content", "tool_calls", "function_call")
    )


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise ValueError(f"case {row['case']!r}: {name!r} must be a number of milliseconds")
    return float(value)


def _margin(row: Mapping[str, Any]) -> float | None:
    value = row.get("margin")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise ValueError(f"case {row['case']!r}: 'margin' must be a number")
    return float(value)


def _count(row: Mapping[str, Any], name: str, default: int | None) -> int | None:
    value = row.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError(f"case {row['case']!r}: {name!r} must be a whole number from 0")
    return value
