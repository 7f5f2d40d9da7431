"""
Two stored runs compared; judged again first, where they had been judged differently.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from harness.comparison.compare import Comparison, in_common
from harness.comparison.compare import compare as compare_records
from harness.errors import ExitCode
from harness.gating.decision import Compared
from harness.gating.ranking import Ranking, rank
from harness.runs.record import RunRecord
from harness.runs.rescore import rejudge
from harness.runs.store import StoredRun
from harness.runs.verify import verified


def compare(old: StoredRun, new: StoredRun) -> Compared:
    """
    Return two runs compared; where dialect or scorer versions differ, both are judged again first.

    Raises:
        StoreError: if a run does not follow from its evidence (`harness.runs.verify`).
    """
    stored = old.record, new.record
    old, new = verified(old), verified(new)
    if _judged_by(old.record, new.record) != _judged_by(new.record, old.record):
        old, new = rejudge(old), rejudge(new)
    comparison = compare_records(old.record, new.record)
    comparison = comparison.with_rejudged(*_versions(*stored, old.record, new.record))
    if _may_be_unchanged(comparison) and _same_text(old, new):
        comparison = replace(comparison, unchanged=True)
    return Compared(old=old, new=new, comparison=comparison)


def compare_many(runs: Sequence[StoredRun]) -> tuple[tuple[StoredRun, ...], Ranking]:
    """
    Return *runs*, the best first, and their ranking; where any two were judged by different
    versions, all are judged again first.

    Raises:
        StoreError: if a run does not follow from its evidence (`harness.runs.verify`).
    """
    runs = [verified(run) for run in runs]
    records = [run.record for run in runs]
    if any(_judged_by(one, two) != _judged_by(two, one) for one, two in combinations(records, 2)):
        runs = [rejudge(run) for run in runs]
    ranking = rank([run.record for run in runs])
    return tuple(runs[place.run] for place in ranking.places), ranking


def _versions(
    old: RunRecord, new: RunRecord, old_now: RunRecord, new_now: RunRecord
) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Return what the runs were judged by, as stored, and what they are judged by now instead.
    """
    before, after = _judged_by(old, new), _judged_by(new, old)
    if before == after:
        # Alike, and by versions of which this harness cannot tell whether they judged so.
        after = _judged_by(old_now, new_now)
    return before, after


def exit_code(runs: Sequence[StoredRun]) -> ExitCode:
    """
    Return the exit code of a comparison of *runs*, which decides nothing where they share no case.
    """
    return ExitCode.PASS if in_common([run.record for run in runs]) else ExitCode.UNDECIDED


def _may_be_unchanged(comparison: Comparison) -> bool:
    """
    Return whether both runs answered the same cases, all of them, and nothing that was counted
    differs, so that reading the text is worth while.
    """
    if comparison.old_error_share or comparison.new_error_share or comparison.unpaired:
        return False
    if comparison.added or comparison.removed or comparison.changed:
        return False
    return bool(comparison.scored_pairs) and not any(
        unit.broken or unit.fixed for rate in comparison.rates.values() for unit in rate.cases
    )


def _same_text(old: StoredRun, new: StoredRun) -> bool:
    """
    Return whether every answer that both runs scored is the same to the last character.
    """
    scored, again = (
        {(case.id, case.repeat, case.digest) for case in run.record.cases if case.scored}
        for run in (old, new)
    )
    asked = {(identity, repeat) for identity, repeat, _ in scored & again}
    was, now = (
        {
            each.key: (each.output, each.message)
            for each in run.transcripts()
            if (each.key.case, each.key.repeat) in asked
        }
        for run in (old, new)
    )
    return was == now


def _judged_by(record: RunRecord, other: RunRecord) -> dict[str, Any]:
    """
    Return what judged *record*, as far as it can differ from what judged *other*.
    """
    by: dict[str, Any] = {"scorer_version": record.scorer_version}
    # Versions of different dialects have nothing to do with each other.
    if record.checkpoint.dialect == other.checkpoint.dialect:
        by["dialect_version"] = record.checkpoint.dialect_version
    return by
