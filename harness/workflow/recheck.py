"""
Before a flip blocks a release it can be decided again at batch size 1.

In a batch the same sums are added in another order than alone, and where two tokens are almost
equally likely that can change an answer. An answer made alone depends only on its own prompt, so it
is the one that counts. This is not a second try for the losers:

- all cases whose outcome changed are asked again, the fixed as well as the broken;
- both checkpoints are asked again, or neither: most answers are right, so most of what chance does
  is to spoil one, in the candidate (seen as broken) or in the baseline (seen as fixed). Undoing
  only the candidate's bad luck would hide real losses;
- weights, template, seed, dtype and device are those of the run;
- the new answer is final: it is stored beside the run and used by every later gate;
- the run itself is not altered, and the verdict says how many flips were not confirmed.

A gate of stored runs opens no checkpoint unless it is asked to: it uses the answers that are there,
and says which cases could be decided again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from harness.checkpoints.checkpoint import Checkpoint
from harness.comparison.compare import Comparison
from harness.errors import CheckpointError, ExitCode, HarnessError, UsageError
from harness.gating.decision import Compared, Gated, decide
from harness.gating.policy import Policy
from harness.gating.verdict import MetricVerdict, Verdict
from harness.runs.record import RunRecord
from harness.runs.rescore import rejudge
from harness.runs.store import RUN, StoredRun, load_run, read_transcripts_by_key
from harness.runs.verify import verified
from harness.scoring.metrics import RATES
from harness.scoring.score import only
from harness.transcript import Key, Transcript
from harness.wording import count, named
from harness.workflow.compare import paired
from harness.workflow.options import Progress
from harness.workflow.project import Project
from harness.workflow.reopen import WEIGHTS, at_batch_1, options_of, reopened, weights_of
from harness.workflow.run import RunPlan, run_opened

FEW, SHARE = 32, 0.10
"""Batching alone never makes more flips than both of these (a number, and a share of the answers):
measured noise is a few per cent at most. More are a change, and are not asked again."""


def decide_again(
    gated: Gated,
    policy: Policy,
    *,
    project: Project,
    allow: Sequence[str],
    today: date,
    progress: Progress,
    api_key_env: str | None = None,
    ask: bool,
) -> Gated:
    """
    Return the verdict after what would block has been decided again at batch size 1.

    Where answers were made in batches and changed cases would block the candidate, both checkpoints
    answer these cases at batch size 1, in a run folder beside each run, and the verdict is made of
    these answers. If one cannot be asked, for example because its weights are gone, the verdict
    is kept and a note says why. *api_key_env* names the variable with the key of servers.

    Unless it may *ask*, no checkpoint is opened: where an answer at batch size 1 is missing, the
    verdict is kept and a note says which cases would be asked.
    """
    batches = {run.record.backend.batch for run in (gated.old, gated.new)}
    # A backend that does not report batches answers one at a time, or from a file.
    if not _blocked_by_cases(gated.verdict) or batches <= {None, 1}:
        return gated
    rates = {name for name, metric in _judged(gated.verdict) if metric.verdict != "not_comparable"}
    flipped = _flipped(gated.comparison, rates)
    asked = flipped | set(gated.comparison.must_pass_failed)
    if len(asked) > max(FEW, SHARE * gated.comparison.pairs):
        many = f"{count(len(asked), 'flip')} of {count(gated.comparison.pairs, 'answer')}"
        return _noted(
            gated, f"not decided again at batch size 1: {many} are more than batching makes"
        )
    both: list[_Alone] = []
    for which, run in (("baseline", gated.old), ("candidate", gated.new)):
        try:
            both.append(_alone_already(run, asked, project))
        except HarnessError as exc:
            return _noted(gated, _cannot(which, exc))
    if not ask and any(each.missing for each in both):
        return _noted(gated, _could(both))
    if any(each.missing for each in both):
        progress.notify(
            f"{gated.verdict.verdict}: {count(len(asked), 'case')} to be decided again at batch "
            "size 1 before this blocks"
        )
    again = []
    asking = _Asking(project=project, progress=progress, api_key_env=api_key_env)
    for which, each in zip(("baseline", "candidate"), both, strict=True):
        try:
            again.append(_answers(each, asked, asking))
        except HarnessError as exc:
            return _noted(gated, _cannot(which, exc))
    compared = _with_answers(gated, *again, today=today)
    final = decide(compared, policy, allow=allow, today=today)
    note = _confirmed(gated.comparison, compared.comparison, rates)
    return replace(_noted(final, note), old_again=again[0], new_again=again[1])


def _blocked_by_cases(verdict: Verdict) -> bool:
    """
    Return whether outcomes of cases block, not only lengths or times.
    """
    return verdict.exit == ExitCode.REGRESSED and (
        bool(verdict.must_pass_failed)
        or any(metric.verdict == "regressed" for _, metric in _judged(verdict))
    )


def _judged(verdict: Verdict) -> Iterator[tuple[str, MetricVerdict]]:
    """
    Yield the verdict on each rate, over all cases and in slices.
    """
    for judged in (verdict.metrics, *verdict.slices.values()):
        yield from ((name, each) for name, each in judged.items() if name in RATES)


def _flipped(comparison: Comparison, rates: Iterable[str]) -> set[str]:
    """
    Return the cases with an answer that broke or was fixed in any of *rates*.
    """
    return {case for name in rates for case in comparison.rates[name].changed}


def _with_answers(
    gated: Gated,
    old_again: Mapping[Key, Transcript],
    new_again: Mapping[Key, Transcript],
    *,
    today: date,
) -> Compared:
    """
    Compare again with the answers at batch size 1 in place of the stored ones.
    """
    # Both by today's dialects and scorer, so that the two sides are judged alike.
    old, new, comparison = paired(
        rejudge(gated.old, old_again), rejudge(gated.new, new_again), today=today
    )
    before = gated.comparison.differences
    judged_again = (each for each in before if each.effect == "rejudged")
    return Compared(
        old=old,
        new=new,
        comparison=replace(comparison, differences=(*comparison.differences, *judged_again)),
    )


def _confirmed(before: Comparison, after: Comparison, rates: set[str]) -> str:
    """
    Return in words how many flips were confirmed.
    """
    flipped, left = _flipped(before, rates), _flipped(after, rates)
    worse = {case for name in rates for case in before.rates[name].broken}
    better = {case for name in rates for case in before.rates[name].fixed} - worse
    gone = flipped - left
    said = []
    if flipped:
        said.append(
            f"{count(len(flipped), 'flip')}, {len(worse)} for the worse and {len(better)} for the "
            "better; "
            + (
                f"{len(gone)} of {len(flipped)} were not confirmed at batch size 1 "
                f"({len(gone & worse)} for the worse, {len(gone & better)} for the better)"
                if gone
                else "all were confirmed"
            )
        )
    if failed := before.must_pass_failed:
        kept = sum(name in after.must_pass_failed for name in failed)
        said.append(f"of {count(len(failed), 'case')} that must pass and failed, {kept} still do")
    return f"decided again at batch size 1: {'; '.join(said)}"


def _cannot(which: str, why: HarnessError) -> str:
    return f"not decided again at batch size 1, as the {which} cannot be asked: {why}"


def _could(both: Sequence["_Alone"]) -> str:
    """
    Return in words which cases could be decided again, and how.
    """
    missing = dict.fromkeys(case for each in both for case in each.missing)
    asked = " and ".join(each.run.record.checkpoint.reference for each in both if each.missing)
    return (
        f"not decided again at batch size 1: {count(len(missing), 'case')} ({named(missing)}) "
        f"could be; --recheck, or recheck = true in the policy, loads {asked} to ask them"
    )


def _noted(gated: Gated, note: str) -> Gated:
    verdict = replace(gated.verdict, notes=(note, *gated.verdict.notes))
    return replace(gated, verdict=verdict)


# The answers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """
    How checkpoints are asked again.
    """

    project: Project
    progress: Progress
    api_key_env: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alone:
    """
    What was answered at batch size 1 of what a run answered in batches.
    """

    run: StoredRun
    kept: Sequence[StoredRun] = ()
    folder: Path | None = None
    """That of the next answers; None for a run that was made at batch size 1."""
    missing: Sequence[str] = ()
    """The cases to ask, in the order of the run."""


def _alone_already(run: StoredRun, asked: set[str], project: Project) -> _Alone:
    """
    Return what was answered at batch size 1 of the cases *asked*, and what was not.

    Raises:
        HarnessError: if the checkpoint surely cannot be asked as the run asked it, or the answers
            do not follow from their evidence.
    """
    if run.record.backend.batch == 1:
        return _Alone(run=run)
    reference = run.record.checkpoint.reference
    if unknown := sorted(run.record.generation.extra):
        raise UsageError(
            f"{reference} cannot be asked as it was: generation.{unknown[0]} is unknown here"
        )
    if weights_of(run.record.checkpoint, run.record.backend) is None:
        # A server may have other weights by now, under the same URL and name.
        raise CheckpointError(
            f"{reference} has no digest of weights to tell whether the run was made with it"
        )
    kept, folder = _kept(run, project)
    have = {case for earlier in kept for case in _answered(earlier)}
    there = dict.fromkeys(case for case in run.record.columns.ids if case in asked)
    missing = tuple(case for case in there if case not in have)
    return _Alone(run=run, kept=kept, folder=folder, missing=missing)


def _answers(alone: _Alone, asked: set[str], asking: _Asking) -> dict[Key, Transcript]:
    """
    Return the answers at batch size 1 to all turns and repeats of *asked*: kept ones, or new ones.

    There are none for a run that was made at batch size 1. A case that breaks when it is asked
    again keeps its stored answers.

    Raises:
        HarnessError: if the checkpoint cannot be asked as the run asked it.
    """
    run, folder = alone.run, alone.folder
    if folder is None:
        return {}
    made_alone = list(alone.kept)
    if alone.missing:
        made_alone.append(_ask(run, set(alone.missing), folder, asking))
    stored = read_transcripts_by_key(run.folder)
    again: dict[Key, Transcript] = {}
    for made in made_alone:
        # The first answer counts: asking again must not be a way to get another one.
        wanted = (_answered(made) & asked) - {key.case for key in again}
        for transcript in made.transcripts():
            if transcript.key.case in wanted:
                # Times are always measured alone, and belong to the run.
                timing = stored[transcript.key].timing if transcript.key in stored else None
                again[transcript.key] = replace(transcript, timing=timing)
    return again


def _answered(run: StoredRun) -> set[str]:
    cases = run.record.columns
    broke = cases.named(cases.ways.flags(lambda case: case.status == "error"))
    return set(cases.ids).difference(broke)


def _kept(run: StoredRun, project: Project) -> tuple[list[StoredRun], Path]:
    """
    Return what was decided for this run before, and the folder for the next decision.
    """
    place = run.folder.parent
    if project.baselines.resolve() in run.folder.resolve().parents:
        # What lies among the baselines would be taken for one.
        place = project.reports / run.record.suite.name
    kept: list[StoredRun] = []
    folder, number = place / f"{run.folder.name}-batch-1", 2
    while folder.exists():
        if (folder / RUN).is_file() and _same(run.record, (made := load_run(folder)).record):
            kept.append(verified(made))
        folder = place / f"{run.folder.name}-batch-1-{number}"
        number += 1
    return kept, folder


def _same(record: RunRecord, again: RunRecord) -> bool:
    """
    Return whether *again* asked as *record* did, except for the batch size.
    """
    return (
        again.suite == record.suite
        and _identity(again.checkpoint) == _identity(record.checkpoint)
        and again.backend == at_batch_1(record.backend)
        and again.generation == record.generation
        and set(again.columns.repeats.tolist()) == set(record.columns.repeats.tolist())
    )


def _identity(checkpoint: Checkpoint) -> list[str | None]:
    return [getattr(checkpoint, name) for name in (*WEIGHTS, "dialect")]


def _ask(run: StoredRun, cases: set[str], folder: Path, asking: _Asking) -> StoredRun:
    record = run.record
    whole = run.suite()
    whole = replace(whole, released=record.suite.released)
    options = options_of(record, api_key_env=asking.api_key_env)
    plan = RunPlan(
        project=asking.project,
        suite=whole,
        cases=only(whole.cases, cases),
        generation=record.generation,
        options=options,
        out=folder,
    )
    with reopened(record, whole, options, asking.progress) as backend:
        return run_opened(plan, backend, asking.progress)
