"""
Accepted changes: wrong answers of a candidate that somebody took for a baseline as it is.

``accepted.jsonl`` beside the baseline has a line a case. It holds for one answer: another one to
the same question is a change again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from harness.canonical import canonical_json, digest, parse_json
from harness.errors import StoreError, boundary
from harness.files import write_text
from harness.scoring.results import CaseResult
from harness.transcript import Key

ACCEPTED = "accepted.jsonl"

_KEYS = ("case", "question", "answer", "reason", "until", "accepted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """
    One answer to one case, accepted.
    """

    case: str
    question: str
    """The digest of the case."""
    answer: str
    """`answer_digest` of what was accepted."""
    reason: str
    until: date | None
    """The last day on which it holds; None if it holds until the baseline is replaced."""
    accepted: str
    """When, ISO 8601."""

    def expired(self, today: date) -> bool:
        """
        Return whether it no longer holds.
        """
        return self.until is not None and self.until < today


def answer_digest(results: Sequence[CaseResult], text: Callable[[Key], str]) -> str:
    """
    Return the digest of the answers to one case, all repeats and turns: of what was called and
    found, and of the text where nothing was called or a call cannot be read.

    *text* returns the raw answer to a turn.
    """
    answers: list[Any] = []
    for result in sorted(results, key=lambda each: each.repeat):
        for index, turn in enumerate(result.turns):
            if turn.calls and turn.status in ("correct", "incorrect"):
                calls = [
                    {"tool": call["tool"], "arguments": call["arguments"]} for call in turn.calls
                ]
                answers.append([calls, sorted(each.code for each in turn.findings)])
            else:
                answers.append(text(Key(result.id, result.repeat, index)))
    return digest(answers)


def read_accepted(folder: Path) -> tuple[Acceptance, ...]:
    """
    Return what was accepted for the baseline in *folder*.

    Raises:
        StoreError: naming file and line of what cannot be read.
    """
    path = folder / ACCEPTED
    if not path.is_file():
        return ()
    with boundary(StoreError, f"{path}: cannot be read"):
        lines = path.read_text("utf-8").split("\n")
    found: dict[str, Acceptance] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            with boundary(StoreError, f"{path}:{number}: not an accepted change"):
                acceptance = _read(parse_json(line))
            found[acceptance.case] = acceptance
    return tuple(found.values())


def _read(row: Any) -> Acceptance:
    if not isinstance(row, dict) or not set(_KEYS) <= row.keys():
        raise ValueError(f"it has {', '.join(_KEYS)}")
    until = row["until"]
    texts = [row[key] for key in _KEYS if key != "until"]
    if not all(isinstance(each, str) for each in texts):
        raise ValueError("its values are text")
    return Acceptance(
        **{key: row[key] for key in _KEYS if key != "until"},
        until=None if until is None else date.fromisoformat(until),
    )


def write_accepted(folder: Path, acceptances: Iterable[Acceptance]) -> None:
    """
    Replace what was accepted for the baseline in *folder*, whose lock must be held.
    """
    rows = [
        {
            **{key: getattr(each, key) for key in _KEYS},
            "until": None if each.until is None else each.until.isoformat(),
        }
        for each in acceptances
    ]
    write_text(folder / ACCEPTED, "".join(canonical_json(row) + "\n" for row in rows))
