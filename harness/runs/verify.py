"""
Does a stored run follow from its evidence? Asked before anything is concluded from it.

A run of format 3 holds the digests of its files and of run.json itself: reading them is enough, and
cheap. An earlier run holds that of its suite alone and is judged again from its stored text, which
then counts: no answer may be lost, and where dialect and scorer are still those that judged it, it
must be judged as it is stored.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

from harness.canonical import canonical_json
from harness.dialects.registry import spoken_by
from harness.errors import StoreError, boundary
from harness.runs.record import encode, is_intact, is_sealed
from harness.runs.store import (
    RUN,
    SUITE,
    TRANSCRIPTS,
    StoredRun,
    digests_of,
    read_transcripts_by_key,
)
from harness.scoring.cases import SCORER_VERSION
from harness.scoring.results import CaseResult


def verified(run: StoredRun) -> StoredRun:
    """
    Return *run*, which follows from its evidence; one of format 1 or 2 judged again.

    Raises:
        StoreError: naming the file that was changed, and the first case that is judged otherwise.
        TranscriptError, SuiteError: if the evidence cannot be read.
    """
    if run.record.digests is not None:
        _check_digests(run)
        return run
    if reason := next(_missing(run), None):
        raise _does_not_follow(run, reason)
    if run.suite().digest != run.record.suite.digest:
        raise _was_changed(run, SUITE)
    again = _rejudged(run)
    if lost := next(_lost(run, again), None):
        raise StoreError(
            f"{run.folder / TRANSCRIPTS} was changed after the run was judged: {lost}; restore it"
        )
    if _judged_by_today(run) and (reason := next(_otherwise(run, again), None)):
        raise _does_not_follow(run, reason)
    return again


def check_how_made(run: StoredRun) -> None:
    """
    Check that what run.json says beside its judgement is as it was written: judging the text again
    puts the judgement right, and nothing else.

    Raises:
        StoreError: if it was changed, or may have been.
        TranscriptError, SuiteError: if the evidence cannot be read.
    """
    if run.record.digests is None or _is_intact(run):
        return
    path = run.folder / RUN
    try:
        then = json.loads(path.read_bytes())["digests"]["run"]
    except (ValueError, KeyError, TypeError):
        then = None
    if then is None or then != _own_digest(run):
        raise StoreError(
            f"{path} was changed after the run was judged: it no longer has its own digest; "
            "restore it, or run the suite again"
        )


def _own_digest(run: StoredRun) -> str:
    """
    Return the digest of the run.json that judging *run* again as it was made would write.
    """
    again = replace(_rejudged(run).record, harness_version=run.record.harness_version)
    return str(json.loads(encode(again))["digests"]["run"])


def _is_intact(run: StoredRun) -> bool:
    if is_sealed(run.record):
        return True  # it was when it was read
    path = run.folder / RUN
    with boundary(StoreError, f"{path}: cannot be read"):
        return is_intact(path.read_bytes())


def _rejudged(run: StoredRun) -> StoredRun:
    # All of judging comes with it, and most runs are as they were written.
    from harness.runs.rescore import rejudge

    return rejudge(run)


def _check_digests(run: StoredRun) -> None:
    if not _is_intact(run):
        check_how_made(run)
        reason = next(_otherwise(run, _rejudged(run)), "it was changed after the run was judged")
        raise _does_not_follow(run, reason)
    now, then = digests_of(run.folder), run.record.digests
    for name, part in ((TRANSCRIPTS, "transcripts"), (SUITE, "suite")):
        if getattr(now, part) != getattr(then, part):
            raise _was_changed(run, name)


def _was_changed(run: StoredRun, name: str) -> StoreError:
    return StoreError(
        f"{run.folder / name} was changed after the run was judged: it no longer has the digest in "
        f"{RUN}; restore it, or judge it again with `harness score {run.folder}`"
    )


def _does_not_follow(run: StoredRun, reason: str) -> StoreError:
    return StoreError(
        f"{run.folder / RUN} does not follow from {TRANSCRIPTS}: {reason}; "
        f"`harness score {run.folder}` judges it again"
    )


def _judged_by_today(run: StoredRun) -> bool:
    version = spoken_by(run.record.checkpoint).version
    return (run.record.scorer_version, run.record.checkpoint.dialect_version) == (
        SCORER_VERSION,
        version,
    )


def _missing(run: StoredRun) -> Iterator[str]:
    """
    Yield which cases run.json lacks: judging again only what it holds would not find them.
    """
    stored = {case.id for case in run.record.cases}
    asked = [key.case for key in read_transcripts_by_key(run.folder)]
    if run.record.selection.complete:
        asked += run.cases()
    for case in asked:
        if case not in stored:
            yield f"case {case!r} is not in it"


def _lost(run: StoredRun, again: StoredRun) -> Iterator[str]:
    """
    Yield which cases were answered when the run was judged and are not now: no newer dialect or
    scorer makes an answer an error.
    """
    answered = {(case.id, case.repeat) for case in again.record.cases if case.status != "error"}
    for case in run.record.cases:
        if case.status != "error" and (case.id, case.repeat) not in answered:
            yield f"{_named(case.id, case.repeat)} is stored as {case.status} and has no answer"


def _otherwise(run: StoredRun, again: StoredRun) -> Iterator[str]:
    """
    Yield how the cases that are judged otherwise than they are stored differ.
    """
    stored = {(case.id, case.repeat): case for case in run.record.cases}
    judged = {(case.id, case.repeat): case for case in again.record.cases}
    for key in dict.fromkeys([*judged, *stored]):
        was, now = stored.get(key), judged.get(key)
        name = _named(*key)
        if was is None or now is None:
            yield f"{name} is {'stored' if now is None else 'judged'} only"
        elif was.status != now.status:
            yield f"{name} is stored as {was.status} and judged {now.status}"
        elif _decisive(was) != _decisive(now):
            field = next(
                field for field, value in _decisive(was).items() if value != _decisive(now)[field]
            )
            yield f"{name} is stored with another {field}"


def _named(case: str, repeat: int) -> str:
    return f"case {case!r}" + (f", repeat {repeat}," if repeat else "")


def _decisive(case: CaseResult) -> dict[str, object]:
    """
    Return what verdicts rest on, of a case that any format holds.
    """
    return {
        "digest": case.digest,
        "group": case.group,
        "tags": case.tags,
        "must_pass": case.must_pass,
        "quarantine": case.quarantined,
        "lenient status": case.status_lenient,
        "calls": [canonical_json([dict(call) for call in turn.calls]) for turn in case.turns],
        "findings": [sorted(each.code for each in turn.findings) for turn in case.turns],
        "steps": [each.code for each in case.executed.findings] if case.executed else [],
        "length": [turn.output_tokens for turn in case.turns],
        "latency": [(turn.latency_ms, turn.ttft_ms) for turn in case.turns],
    }
