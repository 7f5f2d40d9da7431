"""
Two stored runs compared; judged again first, where they had been judged differently.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import combinations
from typing import Any

from harness.comparison.accepted import Accepted
from harness.comparison.compare import Comparison, in_common
from harness.comparison.compare import compare as compare_records
from harness.comparison.differences import Difference
from harness.errors import ExitCode
from harness.gating.decision import Compared
from harness.gating.ranking import Ranking, rank
from harness.runs.accepted import read_accepted
from harness.runs.record import RunRecord
from harness.runs.rescore import rejudge
from harness.runs.store import StoredRun
from harness.runs.verify import verified
from harness.suites.copies import Variant, made_of
from harness.workflow.accepted import with_accepted


def compare(old: StoredRun, new: StoredRun, *, today: date | None = None) -> Compared:
    """
    Return two runs compared; where dialect or scorer versions differ, both are judged again first.

    With *today*, the changes that were accepted for the baseline *old* count as unchanged.

    Raises:
        StoreError: if a run does not follow from its evidence (`harness.runs.verify`).
    """
    stored = old.record, new.record
    old, new = verified(old), verified(new)
    if _judged_by(old.record, new.record) != _judged_by(new.record, old.record):
        old, new = rejudge(old), rejudge(new)
    versions = _versions(*stored, old.record, new.record)
    old, new, comparison = paired(old, new, today=today)
    comparison = comparison.with_rejudged(*versions)
    if _may_be_unchanged(comparison) and _same_text(old, new):
        comparison = replace(comparison, unchanged=True)
    return Compared(old=old, new=new, comparison=comparison)


def paired(
    old: StoredRun, new: StoredRun, *, today: date | None = None
) -> tuple[StoredRun, StoredRun, Comparison]:
    """
    Return two runs that were judged alike, and their comparison; *today* as for `compare`.

    A run of a variant (`harness.suites.vary`) is held against a run of the suite it was made of, or
    of another variant of that, as if it had been asked the suite's own cases: each has the digest
    of the case that it was made of, which is that of its partner.
    """
    before: _MadeOf = None
    after: _MadeOf = None
    if old.record.suite.digest != new.record.suite.digest:
        before, after = made_of(old.suite_path), made_of(new.suite_path)
    ways = [made and (made[0].how, made[0].seed) for made in (before, after)]
    if ways[0] == ways[1]:
        # Neither is a variant, or both are the same one, perhaps of two versions of a suite.
        before = after = None
    old, new = _as_made_of(old, before), _as_made_of(new, after)
    record = new.record
    accepted: tuple[Accepted, ...] = ()
    if today is not None:
        record, accepted = with_accepted(old.record, new, read_accepted(old.folder), today)
    comparison = compare_records(_of_its_suite(old.record, before), _of_its_suite(record, after))
    comparison = replace(comparison, accepted=accepted)
    if before is None and after is None:
        return old, new, comparison
    varied = Difference(
        field="suite.variant", old=_spelled(before), new=_spelled(after), effect="compared"
    )
    return old, new, replace(comparison, differences=(varied, *comparison.differences))


_MadeOf = tuple[Variant, Mapping[str, str]] | None


def _as_made_of(run: StoredRun, made: _MadeOf) -> StoredRun:
    if made is None:
        return run
    _, origins = made
    cases = (replace(case, digest=origins.get(case.id, case.digest)) for case in run.record.cases)
    return replace(run, record=replace(run.record, cases=tuple(cases)))


def _of_its_suite(record: RunRecord, made: _MadeOf) -> RunRecord:
    if made is None:
        return record
    variant, _ = made
    suite = replace(record.suite, name=variant.of, version=variant.version, digest=variant.digest)
    return replace(record, suite=suite)


def _spelled(made: _MadeOf) -> str | None:
    return None if made is None else ", ".join([*made[0].how, f"seed {made[0].seed}"])


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
    runs, records = _as_asked(runs)
    ranking = rank(records)
    return tuple(runs[place.run] for place in ranking.places), ranking


def _as_asked(runs: Sequence[StoredRun]) -> tuple[Sequence[StoredRun], list[RunRecord]]:
    """
    Return *runs* with the digests of the cases that theirs were made of, where their suites are not
    all the same, and their records as of the suites that these were made of.
    """
    if len({run.record.suite.digest for run in runs}) < 2:
        return runs, [run.record for run in runs]
    made = [made_of(run.suite_path) for run in runs]
    runs = [_as_made_of(run, each) for run, each in zip(runs, made, strict=True)]
    return runs, [_of_its_suite(run.record, each) for run, each in zip(runs, made, strict=True)]


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
    _, records = _as_asked(runs)
    return ExitCode.PASS if in_common(records) else ExitCode.UNDECIDED


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
        rate.changed for rate in comparison.rates.values()
    )


def _same_text(old: StoredRun, new: StoredRun) -> bool:
    """
    Return whether every answer that both runs scored is the same to the last character.
    """
    digests = old.record.digests, new.record.digests
    if all(digests) and len({each.transcripts for each in digests if each}) == 1:
        return True
    asked = scored_in_both(old.record, new.record)
    was, now = (
        {
            each.key: each.said
            for each in run.transcripts()
            if (each.key.case, each.key.repeat) in asked
        }
        for run in (old, new)
    )
    return was == now


def scored_in_both(old: RunRecord, new: RunRecord) -> set[tuple[str, int]]:
    """
    Return case id and repeat of the answers to the same question that both runs scored.
    """
    scored, again = (
        {
            (*key, digest)
            for key, digest, counts in zip(
                each.keys, each.digests, each.scored.tolist(), strict=True
            )
            if counts
        }
        for each in (old.columns, new.columns)
    )
    return {(identity, repeat) for identity, repeat, _ in scored & again}


def _judged_by(record: RunRecord, other: RunRecord) -> dict[str, Any]:
    """
    Return what judged *record*, as far as it can differ from what judged *other*.
    """
    by: dict[str, Any] = {"scorer_version": record.scorer_version}
    # Versions of different dialects have nothing to do with each other.
    if record.checkpoint.dialect == other.checkpoint.dialect:
        by["dialect_version"] = record.checkpoint.dialect_version
    return by
