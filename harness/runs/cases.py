"""
Judged cases as the lines of a run.json: columns at once, each case when it is looked at.

A run of any size is held as the text that is written and what is counted of it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import eq
from typing import TYPE_CHECKING, Any, Self, TypedDict, cast, overload

import msgspec

from harness.canonical import canonical_json
from harness.errors import RecordError
from harness.scoring.columns import Columns
from harness.scoring.results import CaseResult, Change, Execution, Finding, Status, TurnResult
from harness.suites.suite import Expects

if TYPE_CHECKING:
    from harness.scoring.columns import Ints

_FIRST, _LAST = b'\n"cases":[\n', b"\n]"
"""What is before the first case and behind the last. Each case is a line."""


class CaseLines(Sequence[CaseResult]):
    """
    Cases of which nothing is kept but their text and what is counted.
    """

    def __init__(
        self,
        text: bytes | bytearray,
        ends: "Ints",
        *,
        columns: Columns | None = None,
        source: str = "",
    ) -> None:
        """
        *text* holds the lines, *ends* where each ends. *source* is the file that they were read
        from.

        Raises:
            msgspec.MsgspecError: if something that is counted is not as this version writes it.
        """
        self.text = text
        self.source = source
        self._ends = ends
        # msgspec refuses half a surrogate pair, which can only be escaped in UTF-8.
        self._sound = b"\\" not in text or b"\\ud" not in text
        counted = _COUNTED.decode if self._sound else self._decoded
        self.columns = columns or Columns(map(counted, self._lines()))

    @classmethod
    def of(cls, cases: Iterable[CaseResult]) -> Self:
        """
        Return the lines of *cases*, each of which is let go as soon as it is written.
        """
        import numpy as np

        lines = bytearray()
        ends: list[int] = []

        def written() -> Iterator[CaseResult]:
            for case in cases:
                lines.extend(line(case))
                ends.append(len(lines))
                lines.extend(b",\n")
                yield case

        columns = Columns(written())
        del lines[-2:]
        return cls(lines, np.array(ends, dtype=np.int64), columns=columns)

    @classmethod
    def read(cls, text: bytes | bytearray, source: str = "") -> Self:
        """
        Return the cases in *text*, with a comma behind every line but the last.
        """
        import numpy as np

        breaks = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) - 1
        return cls(text, np.append(breaks, len(text)) if text else breaks, source=source)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> CaseResult: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[CaseResult, ...]: ...
    def __getitem__(self, place: int | slice) -> CaseResult | tuple[CaseResult, ...]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(len(self))[place])
        place = range(len(self))[place]
        start = int(self._ends[place - 1]) + len(",\n") if place else 0
        return self._decoded(memoryview(self.text)[start : int(self._ends[place])])

    def __iter__(self) -> Iterator[CaseResult]:
        return map(self._decoded, self._lines())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CaseLines | tuple | list):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} cases>"

    def _lines(self) -> Iterator[memoryview]:
        start, view = 0, memoryview(self.text)
        for end in self._ends.tolist():
            yield view[start:end]
            start = end + len(",\n")

    def _decoded(self, line: memoryview) -> CaseResult:
        try:
            return _WHOLE.decode(line) if self._sound else from_json(json.loads(bytes(line)))
        except (msgspec.MsgspecError, KeyError, TypeError) as exc:
            raise RecordError(f"{self.source}: a case cannot be read: {exc}") from exc


def split(text: bytes, source: str) -> tuple[bytes, CaseLines]:
    """
    Return the text of a run.json without its cases, and the cases. *source* names the file.

    Raises:
        ValueError, msgspec.MsgspecError: if they are not laid out as this version would.
    """
    start = text.index(_FIRST) + len(_FIRST)
    end = text.rindex(_LAST, start)
    return text[:start] + text[end:], CaseLines.read(text[start:end], source)


def line(case: CaseResult) -> bytes:
    """
    Return the line of *case*: canonical JSON.
    """
    if case.executed is not None or not all(map(_spelled_alike, case.turns)):
        return canonical_json(_to_json(case)).encode()
    try:
        return _LINES.encode(_to_json(case, _raw))
    except UnicodeEncodeError:  # half a surrogate pair
        return canonical_json(_to_json(case)).encode()


def _raw(call: Mapping[str, Any]) -> msgspec.Raw:
    """
    Return *call* as it is written: msgspec, which is ten times as fast, would take values that JSON
    does not have.
    """
    return msgspec.Raw(canonical_json(dict(call)).encode())


def _spelled_alike(turn: TurnResult) -> bool:
    """
    Return whether msgspec writes the numbers of *turn* as Python does: those of other sizes it
    gives another exponent, and NaN is null.
    """
    return all(
        number is None or number == 0 or 1e-4 <= abs(number) < 1e16
        for number in (turn.latency_ms, turn.ttft_ms, turn.margin)
    )


# What is counted, decoded by itself: calls and what is said of them are skipped.


class _Finding(msgspec.Struct, gc=False):
    code: str
    kind: str | None
    call: int | None


class _Call(TypedDict):
    tool: str


class _Turn(msgspec.Struct, gc=False):
    expects: str
    follows_result: bool
    calls: tuple[_Call, ...]
    findings: tuple[_Finding, ...]
    status: str
    status_lenient: str
    pairs: tuple[tuple[str, str], ...]
    output_tokens: int | None
    latency_ms: float | int | None
    ttft_ms: float | int | None
    margin: float | int | None


class _Case(msgspec.Struct, gc=False):
    id: str
    repeat: int
    digest: str
    group: str | None
    tags: tuple[str, ...]
    must_pass: bool
    quarantined: bool
    forbids_extra_calls: bool
    turns: tuple[_Turn, ...]
    executed: Execution | None = None


_COUNTED = msgspec.json.Decoder(_Case)
_WHOLE = msgspec.json.Decoder(CaseResult)
_LINES = msgspec.json.Encoder(order="sorted")

_AsWritten = Callable[[Mapping[str, Any]], object]
"""What a call is written as."""


# As JSON


def _to_json(case: CaseResult, call: _AsWritten = dict) -> dict[str, Any]:
    return {
        "id": case.id,
        "repeat": case.repeat,
        "digest": case.digest,
        "group": case.group,
        "tags": list(case.tags),
        "must_pass": case.must_pass,
        "quarantined": case.quarantined,
        "forbids_extra_calls": case.forbids_extra_calls,
        "status": case.status,
        "status_lenient": case.status_lenient,
        "turns": [_turn(turn, call) for turn in case.turns],
        **({} if case.executed is None else {"executed": _execution(case.executed)}),
    }


def _execution(executed: Execution) -> dict[str, Any]:
    return _fields(executed) | {
        "steps": [_turn(step) for step in executed.steps],
        "findings": [_fields(finding) for finding in executed.findings],
        "changes": [_fields(change) for change in executed.changes],
    }


def _turn(turn: TurnResult, call: _AsWritten = dict) -> dict[str, Any]:
    return {
        "expects": turn.expects,
        "follows_result": turn.follows_result,
        "calls": [call(each) for each in turn.calls],
        "findings": [_fields(finding) for finding in turn.findings],
        "status": turn.status,
        "status_lenient": turn.status_lenient,
        "pairs": [list(pair) for pair in turn.pairs],
        "finish_reason": turn.finish_reason,
        "output_tokens": turn.output_tokens,
        "latency_ms": turn.latency_ms,
        "ttft_ms": turn.ttft_ms,
        "margin": turn.margin,
    }


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def from_json(data: Mapping[str, Any]) -> CaseResult:
    """
    Return the case in *data*. Keys that a hand-made or trimmed file may lack follow from the ones
    it must have.
    """
    return CaseResult(
        id=data["id"],
        repeat=data["repeat"],
        digest=data["digest"],
        group=data.get("group"),
        tags=tuple(data.get("tags", ())),
        must_pass=data.get("must_pass", False),
        quarantined=data.get("quarantined", False),
        forbids_extra_calls=data.get("forbids_extra_calls", True),
        turns=tuple(_read_turns(data["turns"], data)),
        executed=_read_execution(data["executed"], data) if "executed" in data else None,
    )


def _read_execution(executed: Mapping[str, Any], data: Mapping[str, Any]) -> Execution:
    return Execution(
        **{
            **executed,
            "steps": tuple(_read_turns(executed["steps"], data)),
            "findings": tuple(Finding(**finding) for finding in executed["findings"]),
            "changes": tuple(Change(**change) for change in executed["changes"]),
        }
    )


def _read_turns(
    turns: Iterable[Mapping[str, Any]], data: Mapping[str, Any]
) -> Iterable[TurnResult]:
    for turn in turns:
        yield TurnResult(
            expects=cast(Expects, turn["expects"]),
            follows_result=turn.get("follows_result", False),
            calls=tuple(turn["calls"]),
            findings=tuple(Finding(**finding) for finding in turn["findings"]),
            status=cast(Status, turn.get("status", data["status"])),
            status_lenient=cast(
                Status, turn.get("status_lenient", data.get("status_lenient", data["status"]))
            ),
            pairs=tuple((expected, called) for expected, called in turn.get("pairs", ())),
            finish_reason=turn.get("finish_reason"),
            output_tokens=turn.get("output_tokens"),
            latency_ms=turn.get("latency_ms"),
            ttft_ms=turn.get("ttft_ms"),
            margin=turn.get("margin"),
        )
