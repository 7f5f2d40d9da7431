"""
All accepted runs of a suite in a chain: ``harness drift``.

No gate sees a loss of half a point, and every accepted run is the baseline of the next. Over the
chain the same cases lose again and again, which one test over all of it sees.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.comparison.differences import differences
from harness.errors import StoreError
from harness.gating.drift import Trend, trend
from harness.runs.baselines import REPLACED, baseline_history, digest_of_run, heal_baselines
from harness.runs.rescore import rejudge
from harness.runs.store import StoredRun, load_run
from harness.runs.verify import verified
from harness.workflow.project import Project, holds_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """
    One accepted run of the chain.
    """

    name: str
    """Of the baseline that it was accepted as, or of its folder under ``history/``."""
    saved: str
    """When, ISO 8601."""
    checkpoint: str
    """Its reference."""
    right: int
    """How many of the common answers are right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """
    What became of a suite over the runs that were accepted.
    """

    suite: str
    releases: tuple[Release, ...]
    """The first one first."""
    answers: int
    """How many scored answers to the same question all of them have."""
    trend: Trend
    notes: tuple[str, ...]
    """Which accepted runs were left out, and why."""


def drift(suite: str, *, project: Project, name: str | None = None) -> Chain:
    """
    Return the chain of the accepted runs of *suite* on disk, under one *name* or all of them.

    A run that was accepted twice counts once, and one that was made otherwise than the first not at
    all: what moved then is not only the model.

    Raises:
        StoreError: if nothing was accepted, or a run does not follow from its evidence.
    """
    accepted = list(_accepted(project.baselines, suite, name))
    if not accepted:
        under = "" if name is None else f" as {name}"
        raise StoreError(f"no run of suite {suite} was accepted{under}: there is no chain")
    runs = [verified(load_run(folder)) for _, folder in accepted]
    judged = {(run.record.scorer_version, run.record.checkpoint.dialect_version) for run in runs}
    if len(judged) > 1:
        runs = [rejudge(run) for run in runs]
    kept, notes = [], []
    for (saved, folder), run in zip(accepted, runs, strict=True):
        otherwise = [
            each.field
            for each in differences(runs[0].record, run.record)
            if each.effect == "not_comparable"
        ]
        if otherwise:
            notes.append(f"{folder.name} left out: made otherwise than the first ({otherwise[0]})")
        else:
            kept.append((saved, folder, run))
    outcomes, answers, right = _outcomes([run for *_, run in kept])
    found = trend(outcomes)
    if found.per_release is not None:
        found = replace(found, per_release=found.per_release / answers)
    return Chain(
        suite=suite,
        releases=tuple(
            Release(
                name=folder.name,
                saved=saved,
                checkpoint=run.record.checkpoint.reference,
                right=many,
            )
            for (saved, folder, run), many in zip(kept, right, strict=True)
        ),
        answers=answers,
        trend=found,
        notes=tuple(notes),
    )


def _accepted(baselines: Path, suite: str, name: str | None) -> Iterator[tuple[str, Path]]:
    """
    Yield when each run on disk was accepted and its folder, the first one first.
    """
    heal_baselines(baselines)
    folders = [*(baselines / suite).glob("*"), *(baselines / suite / REPLACED).glob("*")]
    found: dict[str, tuple[str, Path]] = {}
    for folder in folders:
        if folder.name.startswith(".") or folder.name == REPLACED or not holds_run(folder):
            continue
        of = folder.name if folder.parent.name != REPLACED else folder.name.rsplit("-", 2)[0]
        history = baseline_history(folder)
        if (name is not None and of != name) or not history:
            continue
        # The last entry is about the run itself; the others are about those before it.
        entry = (str(history[-1]["saved"]), folder)
        digest = str(digest_of_run(folder))
        found[digest] = min(found.get(digest, entry), entry)
    yield from sorted(found.values())


def _outcomes(runs: Sequence[StoredRun]) -> tuple[dict[str, list[int]], int, list[int]]:
    """
    Return how many common answers of each group, or case without one, each run has right; how many
    common answers there are; and how many of all each run has right.
    """
    scored = []
    for run in runs:
        columns = run.record.columns
        keys = zip(columns.ids, columns.repeats.tolist(), columns.digests, strict=True)
        marks = zip(columns.scored.tolist(), columns.correct.tolist(), strict=True)
        both = zip(keys, marks, strict=True)
        scored.append({key: right for key, (counts, right) in both if counts})
    common = set.intersection(*(set(each) for each in scored))
    groups = {case.id: case.group for case in runs[-1].record.cases}
    outcomes: dict[str, list[int]] = {}
    for key in sorted(common):
        group = groups[key[0]]
        unit = f"case {key[0]}" if group is None else f"group {group}"
        sums = outcomes.setdefault(unit, [0] * len(runs))
        for place, each in enumerate(scored):
            sums[place] += each[key]
    right = [sum(each[key] for key in common) for each in scored]
    return outcomes, len(common), right
