"""
Stored text -> a judged record. Needs no model: old runs are judged again by this, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.dialects.base import Dialect, Reading
from harness.dialects.registry import read, spoken_by
from harness.errors import TranscriptError
from harness.messages import Tool
from harness.provenance import harness_version
from harness.runs.record import RunRecord, Selection, SuiteReference, with_interval
from harness.runs.store import TRANSCRIPTS, StoredRun, read_transcripts
from harness.scoring.cases import SCORER_VERSION, Read, score_case
from harness.scoring.metrics import confusion, measure
from harness.scoring.results import CaseResult
from harness.scoring.tool_names import shown_case, taken_back
from harness.suites.files import load_suite_copy
from harness.suites.suite import Case
from harness.transcript import Key, Transcript


def judge(
    cases: Iterable[Case],
    transcripts: Mapping[Key, Transcript],
    dialect: Dialect,
    tool_names: str | None = None,
) -> list[CaseResult]:
    """
    Judge every case of *cases*, each as often as it was repeated; one without text is an error.

    *tool_names* is the style in which the model was shown the tools (`harness.scoring.tool_names`).
    """
    reader = reading_with(dialect)
    repeats = 1 + max((key.repeat for key in transcripts), default=0)
    results = []
    for case in cases:
        shown = shown_case(case, tool_names)
        for repeat in range(repeats):
            answers = [
                transcripts.get(Key(case.id, repeat, turn)) for turn in range(len(case.turns))
            ]
            result = score_case(shown, answers, reader, repeat=repeat)
            results.append(taken_back(result, case, tool_names))
    return results


def reading_with(dialect: Dialect) -> Read:
    """
    Give the strict and the lenient reading of a transcript by *dialect*.
    """

    def both(transcript: Transcript, tools: Sequence[Tool]) -> tuple[Reading, Reading]:
        return (
            read(dialect, transcript, tools),
            read(dialect, transcript, tools, lenient=True),
        )

    return both


def make_record(
    results: Sequence[CaseResult],
    *,
    suite: SuiteReference,
    selection: Selection,
    checkpoint: Mapping[str, Any],
    backend: Mapping[str, Any],
    generation: Mapping[str, Any],
    environment: Mapping[str, Any],
    started: str,
    finished: str,
) -> RunRecord:
    """
    Put judged cases and what they were made with into one record.
    """
    return RunRecord(
        harness_version=harness_version(),
        scorer_version=SCORER_VERSION,
        suite=suite,
        selection=selection,
        checkpoint=checkpoint,
        backend=backend,
        generation=generation,
        environment=environment,
        metrics={name: with_interval(name, found) for name, found in measure(results).items()},
        confusion=confusion(results),
        cases=tuple(results),
        started=started,
        finished=finished,
    )


def rejudge(
    stored: StoredRun, instead: Mapping[Key, Transcript] = MappingProxyType({})
) -> StoredRun:
    """
    Judge a run's stored text with today's dialect and scorer. Nothing on disk is changed.

    The answers in *instead* take the place of the stored ones.
    """
    suite = load_suite_copy(stored.suite_path)
    dialect = spoken_by(stored.record.checkpoint)
    transcripts = {**read_transcripts_by_key(stored.folder), **instead}
    cases = only(suite.cases, {case.id for case in stored.record.cases})
    old = stored.record
    record = make_record(
        judge(cases, transcripts, dialect, old.backend.get("tool_names")),
        suite=old.suite,
        selection=old.selection,
        checkpoint={**old.checkpoint, "dialect_version": dialect.version},
        backend=old.backend,
        generation=old.generation,
        environment=old.environment,
        started=old.started,
        finished=old.finished,
    )
    return StoredRun(folder=stored.folder, record=record)


def read_transcripts_by_key(folder: Path) -> dict[Key, Transcript]:
    """
    Read the evidence in a run folder, complete or not, by key.

    Raises:
        TranscriptError: if two answers have the same key, or their repeats a gap.
    """
    path = folder / TRANSCRIPTS
    by_key: dict[Key, Transcript] = {}
    for number, transcript in enumerate(read_transcripts(path), start=1):
        key = transcript.key
        if key in by_key:
            first = 1 + list(by_key).index(key)
            raise TranscriptError(
                f"{path}:{number}: case {key.case!r}, repeat {key.repeat}, turn {key.turn} has an "
                f"answer on line {first} already; remove one"
            )
        by_key[key] = transcript
    if gap := gap_in_repeats(by_key):
        index, reason = gap
        raise TranscriptError(f"{path}:{index + 1}: {reason}")
    return by_key


def gap_in_repeats(keys: Iterable[Key]) -> tuple[int, str] | None:
    """
    Say at which of *keys*, by index, repeats leave a gap, and in words which; None without one.

    As many repeats are judged as the highest says there are: one mistyped number would be that many
    answers that nobody was asked for.
    """
    first: dict[int, tuple[int, Key]] = {}
    for index, key in enumerate(keys):
        first.setdefault(key.repeat, (index, key))
    last = max(first, default=-1)
    if last < len(first):
        return None
    missing = next(number for number in count() if number not in first)
    index, key = first[last]
    return index, (
        f"case {key.case!r} has repeat {last}, but no answer has repeat {missing}; repeats count "
        "from 0 without a gap"
    )


def only(cases: Sequence[Case], identities: Iterable[str]) -> tuple[Case, ...]:
    """
    Give those of *cases* whose id is among *identities*, in their order.
    """
    wanted = set(identities)
    return tuple(case for case in cases if case.id in wanted)
