"""
The cases of a run.json that is as it was written: columns at once, each case when it is looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import eq
from typing import Any, overload

import msgspec

from harness.errors import RecordError
from harness.scoring.columns import Columns
from harness.scoring.results import CaseResult, Execution

FIRST = b'\n"cases":[\n'
"""What comes before the first case; each is a line."""


class _Finding(msgspec.Struct, gc=False):
    code: str
    kind: str | None
    call: int | None


class _Call(msgspec.Struct, gc=False):
    tool: str


class _Turn(msgspec.Struct, gc=False):
    """
    What is counted of a turn.
    """

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
    """
    What is counted of a case.
    """

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


_DECODER = msgspec.json.Decoder(CaseResult)


@dataclass(frozen=True, slots=True)
class _Lines:
    """
    Where each case is in a text.
    """

    text: bytes
    starts: Any
    ends: Any

    def __getitem__(self, place: int) -> memoryview:
        return memoryview(self.text)[self.starts[place] : self.ends[place]]

    def __iter__(self) -> Iterator[memoryview]:
        view = memoryview(self.text)
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            yield view[start:end]


def split(text: bytes, source: str) -> tuple[bytes, "StoredCases"]:
    """
    Return the text of a run.json without its cases, and the cases. *source* names the file.

    Raises:
        ValueError: if they are not laid out, or not what this version would write.
    """
    import numpy as np

    start = text.index(FIRST) + len(FIRST)
    end = text.index(b"\n]", start)
    breaks = start + np.flatnonzero(np.frombuffer(text, np.uint8)[start:end] == ord("\n"))
    starts = np.concatenate([[start], breaks + 1]) if end > start else np.array([], int)
    # Without the comma that ends every line but the last.
    ends = np.concatenate([breaks - 1, [end]]) if end > start else starts
    return text[:start] + text[end:], StoredCases(_Lines(text, starts, ends), source)


class StoredCases(Sequence[CaseResult]):
    """
    Cases that are decoded when they are looked at; nothing is kept of them but what is counted.
    """

    def __init__(self, lines: _Lines, source: str) -> None:
        """
        Raises:
            msgspec.MsgspecError: if something that is counted is not as this version writes it.
        """
        self._lines = lines
        self._source = source
        self.columns = Columns(map(msgspec.json.Decoder(_Case).decode, lines))

    def __len__(self) -> int:
        return len(self.columns)

    @overload
    def __getitem__(self, place: int) -> CaseResult: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[CaseResult, ...]: ...
    def __getitem__(self, place: int | slice) -> CaseResult | tuple[CaseResult, ...]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(len(self))[place])
        return self._decoded(self._lines[range(len(self))[place]])

    def __iter__(self) -> Iterator[CaseResult]:
        return map(self._decoded, self._lines)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoredCases | tuple | list):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} stored cases>"

    def _decoded(self, line: memoryview) -> CaseResult:
        try:
            return _DECODER.decode(line)
        except msgspec.MsgspecError as exc:
            raise RecordError(f"{self._source}: a case cannot be read: {exc}") from exc
