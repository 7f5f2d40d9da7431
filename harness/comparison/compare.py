"""
Two runs -> what differs between them, answer by answer and in how they were made.

Answers are paired by equal case id, repeat and digest; everything else is listed as added, removed
or changed. Each metric is taken again over the pairs that are eligible for it in both runs, so that
old and new are about the same questions. Nothing is decided here: `harness.gating.gate` does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.comparison.differences import Difference, differences
from harness.comparison.paired import PairedRate, PairedValues, Unit, rate_of
from harness.errors import RecordError
from harness.runs.record import MetricValue, RunRecord
from harness.scoring.breakdowns import Confusion, confusion
from harness.scoring.metrics import PERCENTILES, RATES, Percentile, Rate
from harness.scoring.results import CaseResult

NOTHING_IN_COMMON = "the runs have no case in common (equal id, repeat and digest)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """
    How sure both runs were of the tool that both called first in one turn (`Transcript.margin`).
    """

    name: str
    """The case's id."""
    old: float
    new: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """
    Two runs, side by side.
    """

    pairs: int
    """Answers with equal case id, repeat and digest, whatever became of them."""
    scored_pairs: int
    """Those scored in both runs: neither an error nor quarantined."""
    unpaired: int
    """Answers to common cases without a partner: the runs repeat cases differently often."""
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Cases of the same id that are another question now."""
    quarantined: tuple[str, ...]
    """Common cases quarantined in either run."""
    differences: tuple[Difference, ...]
    rates: Mapping[str, PairedRate]
    values: Mapping[str, PairedValues]
    """Every metric of `harness.scoring.metrics`, over its pairs."""
    old_run: Mapping[str, MetricValue]
    new_run: Mapping[str, MetricValue]
    """The same over each whole run."""
    tags: Mapping[str, tuple[str, ...]]
    """Tag -> ids of the common cases that have it in the new run."""
    right_leniently: Mapping[str, tuple[str, ...]]
    """Broken cases that the lenient reading finds right -> what it had to repair."""
    wrong_leniently: Mapping[str, tuple[str, ...]]
    """Cases of the new run that are right, and wrong when read leniently -> what it repaired."""
    must_pass_failed: tuple[str, ...]
    """Cases that must pass and failed, in the baseline too or not."""
    must_pass_unknown: tuple[str, ...]
    """Cases that must pass and broke for infrastructure reasons."""
    old_confusion: Confusion
    new_confusion: Confusion
    """Over the scored pairs (`harness.scoring.breakdowns`)."""
    old_complete: bool
    new_complete: bool
    """Whether the whole suite was asked."""
    old_error_share: float
    new_error_share: float
    same_hardware: bool
    """Whether both runs name their hardware and it is the same."""
    must_pass_still_failing: tuple[str, ...] = ()
    """Those of `must_pass_failed` that failed in the old run as well."""
    one_draw: bool = False
    """Whether a run answered each case once by sampling."""
    unchanged: bool = False
    """Whether every scored answer is the same to the token; False where the text was not read."""
    drifts: tuple[Drift, ...] = ()
    """Of every pair of scored answers that call the same tool and have a margin in both runs, the
    one that became least sure first: on its way to another tool before it is there."""

    @property
    def metrics(self) -> dict[str, PairedRate | PairedValues]:
        """
        Every metric, in the order reports show them, for what only asks for old, new and pairs.
        """
        return {**self.rates, **self.values}

    def with_rejudged(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> "Comparison":
        """
        List that the runs were judged again, having been judged by *old* and *new* before.
        """
        paths = {"dialect_version": "checkpoint.dialect_version"}
        done = (
            Difference(field=paths.get(name, name), old=was, new=new.get(name), effect="rejudged")
            for name, was in old.items()
            if was != new.get(name)
        )
        return replace(self, differences=(*self.differences, *done))


def compare(old: RunRecord, new: RunRecord) -> Comparison:
    """
    Pair *new* with *old*, the accepted one.

    Runs of different suites are compared too: their names are a difference of effect
    ``not_comparable``, like any other setting.

    Raises:
        RecordError: if a run holds the same case and repeat twice, or the runs hold the same
            case with another number of turns.
    """
    before, after = _by_key(old, "the baseline"), _by_key(new, "the candidate")
    old_digests = {case.id: case.digest for case in old.cases}
    new_digests = {case.id: case.digest for case in new.cases}
    common = [
        identity for identity, digest in new_digests.items() if old_digests.get(identity) == digest
    ]
    pairs = [
        (before[key], case)
        for key, case in after.items()
        if key in before and before[key].digest == case.digest
    ]
    for was, now in pairs:
        if len(was.turns) != len(now.turns):
            raise RecordError(
                f"case {now.id!r} has {len(was.turns)} turns in the baseline and "
                f"{len(now.turns)} in the candidate, though its digest is the same; "
                "judge both again with harness score"
            )
    known = set(common)
    answers = sum(case.id in known for case in (*old.cases, *new.cases))
    scored = [pair for pair in pairs if pair[0].scored and pair[1].scored]
    units: dict[tuple[int, bool, bool, bool], Unit] = {}
    must_pass = [case for case in new.cases if case.must_pass and not case.quarantined]
    failed = _unique(case.id for case in must_pass if _failed(case))
    failed_before = {was.id for was, _ in pairs if _failed(was)}
    return Comparison(
        pairs=len(pairs),
        scored_pairs=len(scored),
        unpaired=answers - 2 * len(pairs),
        added=tuple(identity for identity in new_digests if identity not in old_digests),
        removed=tuple(identity for identity in old_digests if identity not in new_digests),
        changed=tuple(
            identity
            for identity, digest in new_digests.items()
            if old_digests.get(identity, digest) != digest
        ),
        quarantined=_unique(b.id for a, b in pairs if a.quarantined or b.quarantined),
        differences=tuple(differences(old, new)),
        rates={name: _rate(rate, scored, units) for name, rate in RATES.items()},
        values={name: _values(each, scored) for name, each in PERCENTILES.items()},
        old_run=old.metrics,
        new_run=new.metrics,
        tags=_tags(case for _, case in scored),
        right_leniently=_right_leniently(scored),
        wrong_leniently=_wrong_leniently(scored),
        must_pass_failed=failed,
        must_pass_still_failing=tuple(name for name in failed if name in failed_before),
        must_pass_unknown=_unique(case.id for case in must_pass if case.status == "error"),
        old_confusion=confusion(was for was, _ in scored),
        new_confusion=confusion(now for _, now in scored),
        old_complete=old.selection.complete,
        new_complete=new.selection.complete,
        old_error_share=old.errors / len(old.cases) if old.cases else 0.0,
        new_error_share=new.errors / len(new.cases) if new.cases else 0.0,
        same_hardware=bool(old.environment.hardware)
        and old.environment.hardware == new.environment.hardware,
        one_draw=old.one_draw or new.one_draw,
        drifts=tuple(sorted(_drifts(scored), key=lambda each: (each.new - each.old, each.name))),
    )


def in_common(records: Sequence[RunRecord]) -> set[tuple[str, int, str]]:
    """
    Return id, repeat and digest of the answers that all of *records* hold.
    """
    keys = ({(case.id, case.repeat, case.digest) for case in each.cases} for each in records)
    return set.intersection(*keys)


def _failed(case: CaseResult) -> bool:
    return case.status not in ("correct", "error")


def _by_key(record: RunRecord, which: str) -> dict[tuple[str, int], CaseResult]:
    cases: dict[tuple[str, int], CaseResult] = {}
    for case in record.cases:
        if cases.setdefault((case.id, case.repeat), case) is not case:
            raise RecordError(
                f"{which}: run.json holds case {case.id!r}, repeat {case.repeat}, twice; "
                "judge its transcripts again with harness score"
            )
    return cases


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _tags(cases: Iterable[CaseResult]) -> dict[str, tuple[str, ...]]:
    tags: dict[str, dict[str, None]] = {}
    for case in cases:
        for tag in case.tags:
            tags.setdefault(tag, {})[case.id] = None
    return {tag: tuple(tags[tag]) for tag in sorted(tags)}


def _right_leniently(scored: Iterable["Pair"]) -> dict[str, tuple[str, ...]]:
    """
    Find the cases all of whose broken answers are correct when read leniently.
    """
    broken: dict[str, list[CaseResult]] = {}
    for was, now in scored:
        if was.status == "correct" and now.status != "correct":
            broken.setdefault(now.id, []).append(now)
    return {
        identity: _repairs(cases)
        for identity, cases in broken.items()
        if all(case.status_lenient == "correct" for case in cases)
    }


def _wrong_leniently(scored: Iterable["Pair"]) -> dict[str, tuple[str, ...]]:
    """
    Find the cases of which some new answer is correct, and is not when read leniently.
    """
    found: dict[str, list[CaseResult]] = {}
    for _, now in scored:
        if now.status == "correct" and now.status_lenient != "correct":
            found.setdefault(now.id, []).append(now)
    return {identity: _repairs(cases) for identity, cases in found.items()}


def _repairs(cases: Iterable[CaseResult]) -> tuple[str, ...]:
    return _unique(
        finding.detail
        for case in cases
        for turn in case.turns
        for finding in turn.findings
        if finding.code == "repaired"
    )


def _drifts(scored: Iterable["Pair"]) -> Iterator[Drift]:
    for was, now in scored:
        for before, after in zip(was.turns, now.turns, strict=True):
            called = [turn.calls[0]["tool"] for turn in (before, after) if turn.calls]
            if len(called) < 2 or called[0] != called[1]:
                continue
            if before.margin is not None and after.margin is not None:
                yield Drift(name=now.id, old=before.margin, new=after.margin)


# What the runs gave

Pair = tuple[CaseResult, CaseResult]


def _rate(
    rate: Rate[Any], scored: Sequence[Pair], known: dict[tuple[int, bool, bool, bool], Unit]
) -> PairedRate:
    """
    *known* keeps what was made for other rates: most cases are the same unit in all of them.
    """
    better = rate.higher_is_better
    answers = []
    for place, (old, new) in enumerate(scored):
        for was, now in rate.pair(old, new):
            key = (place, was, now, better)
            unit = known.get(key)
            if unit is None:
                unit = known[key] = _unit(new, was, now, better)
            answers.append(unit)
    return rate_of(answers)


def _unit(case: CaseResult, was: bool, now: bool, better: bool) -> Unit:
    bad = was > now if better else now > was
    return Unit(
        name=case.id,
        broken=int(bad),
        fixed=int(was != now and not bad),
        pairs=1,
        old_hits=int(was),
        new_hits=int(now),
        group=case.group,
    )


def _values(percentile: Percentile, scored: Iterable[Pair]) -> PairedValues:
    """
    Pair a length over answers that are correct in both runs: a wrong answer is long or short for
    other reasons. Times are of the machine, so every answer counts.
    """
    kept = [
        (new, was, now)
        for old, new in scored
        if percentile.kind == "time" or old.status == new.status == "correct"
        for before, after in zip(old.turns, new.turns, strict=True)
        if (was := percentile.value(before)) is not None
        and (now := percentile.value(after)) is not None
    ]
    both = tuple((was, now) for _, was, now in kept)
    return PairedValues(
        old=percentile.of([was for was, _ in both]).value,
        new=percentile.of([now for _, now in both]).value,
        values=both,
        groups=tuple(
            f"case {case.id}" if case.group is None else f"group {case.group}" for case, *_ in kept
        ),
    )
