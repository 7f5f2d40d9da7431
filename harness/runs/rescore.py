"""
Stored text -> a judged record. Needs no model: old runs are judged again by this, too.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from harness.dialects.registry import spoken_by
from harness.environments.opening import open_environment
from harness.lazy import Lazily
from harness.runs.record import make_record
from harness.runs.store import StoredRun, read_transcripts_by_key
from harness.scoring.arms import armed_cases
from harness.scoring.score import judged, only
from harness.transcript import Key, Transcript


def rejudge(
    stored: StoredRun,
    instead: Mapping[Key, Transcript] = MappingProxyType({}),
    *,
    allowed: str | None = None,
) -> StoredRun:
    """
    Judge a run's stored text with today's dialect and scorer. Nothing on disk is changed.

    The answers in *instead* take the place of the stored ones. *allowed* is the code that may be
    run for an executed suite.
    """
    suite = stored.suite()
    dialect = spoken_by(stored.record.checkpoint)
    kept = read_transcripts_by_key(stored.folder)
    transcripts = Lazily(
        lambda: {key: key for key in (*kept, *instead)},
        lambda key: instead[key] if key in instead else kept[key],
    )
    cases = only(suite.cases, {case.id for case in stored.record.cases})
    old = stored.record
    cases = armed_cases(suite, cases, old.backend.arm)
    record = make_record(
        judged(
            cases,
            transcripts,
            dialect,
            old.backend.tool_names,
            environment=open_environment(suite, allowed),
            max_steps=suite.max_steps,
        ),
        suite=old.suite,
        selection=old.selection,
        checkpoint=replace(old.checkpoint, dialect_version=dialect.version),
        backend=old.backend,
        generation=old.generation,
        environment=old.environment,
        started=old.started,
        finished=old.finished,
    )
    record = replace(record, digests=old.digests)
    return StoredRun(folder=stored.folder, record=record)
