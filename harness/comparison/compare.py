"""
Two runs -> what differs between them, answer by answer and in how they were made.

Answers are paired by equal case id, repeat and digest; everything else is listed as added, removed
or changed. Each metric is taken again over the pairs that are eligible for it in both runs, so that
old and new are about the same questions. Nothing is decided here: `harness.gating.gate` does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.comparison.accepted import Accepted
from harness.comparison.differences import Difference, differences
from harness.comparison.paired import PairedRate, PairedValues, Unit, Units, paired_rate
from harness.errors import RecordError
from harness.runs.record import MetricValue, RunRecord
from harness.scoring.breakdowns import Confusion, confusion_of
from harness.scoring.columns import Columns, objects
from harness.scoring.metrics import (
    PERCENTILES,
    RATES,
    TURN,
    InAllRepeats,
    Percentile,
    Rate,
    applicable,
)
from harness.scoring.results import CaseResult

if TYPE_CHECKING:
    from harness.scoring.columns import Bools, Ints

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
    accepted: tuple[Accepted, ...] = ()
    """Cases of which a wrong answer was accepted (`harness.workflow.accepted`)."""
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
    before, after = old.columns, new.columns
    _check_once(before, "the baseline")
    _check_once(after, "the candidate")
    old_digests = dict(zip(before.ids, before.digests, strict=True))
    new_digests = dict(zip(after.ids, after.digests, strict=True))
    common = {
        identity for identity, digest in new_digests.items() if old_digests.get(identity) == digest
    }
    paired = _pair(before, after)
    answers = sum(identity in common for ids in (before.ids, after.ids) for identity in ids)
    scored = paired.where(before.scored[paired.old] & after.scored[paired.new])
    must_pass = after.ways.flags(lambda case: case.must_pass and not case.quarantined)
    failed = after.named(must_pass & after.ways.flags(_failed))
    before_failed = paired.where(before.ways.flags(_failed)[paired.old])
    failed_before = {before.ids[place] for place in before_failed.old.tolist()}
    quarantined = (
        before.ways.flags(lambda case: case.quarantined)[paired.old]
        | after.ways.flags(lambda case: case.quarantined)[paired.new]
    )
    return Comparison(
        pairs=len(paired.new),
        scored_pairs=len(scored.new),
        unpaired=answers - 2 * len(paired.new),
        added=tuple(identity for identity in new_digests if identity not in old_digests),
        removed=tuple(identity for identity in old_digests if identity not in new_digests),
        changed=tuple(
            identity
            for identity, digest in new_digests.items()
            if old_digests.get(identity, digest) != digest
        ),
        quarantined=_ids(paired.where(quarantined)),
        differences=tuple(differences(old, new)),
        rates=_rates(scored),
        values={
            name: _values(each, scored) for name, each in applicable(PERCENTILES, after).items()
        },
        old_run=old.metrics,
        new_run=new.metrics,
        tags=_tags(scored),
        right_leniently=_right_leniently(scored, new.cases),
        wrong_leniently=_wrong_leniently(scored, new.cases),
        must_pass_failed=failed,
        must_pass_still_failing=tuple(name for name in failed if name in failed_before),
        must_pass_unknown=after.named(
            must_pass & after.ways.flags(lambda case: case.status == "error")
        ),
        old_confusion=confusion_of(before, scored.old),
        new_confusion=confusion_of(after, scored.new),
        old_complete=old.selection.complete,
        new_complete=new.selection.complete,
        old_error_share=old.errors / len(before) if len(before) else 0.0,
        new_error_share=new.errors / len(after) if len(after) else 0.0,
        same_hardware=bool(old.environment.hardware)
        and old.environment.hardware == new.environment.hardware,
        one_draw=old.one_draw or new.one_draw,
        drifts=tuple(sorted(_drifts(scored), key=lambda each: (each.new - each.old, each.name))),
    )


def in_common(records: Sequence[RunRecord]) -> set[tuple[str, int, str]]:
    """
    Return id, repeat and digest of the answers that all of *records* hold.
    """
    columns = [record.columns for record in records]
    keys = (
        set(zip(each.ids, each.repeats.tolist(), each.digests, strict=True)) for each in columns
    )
    return set.intersection(*keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    """
    Answers of two runs in pairs, in the order of the new run.
    """

    before: Columns
    after: Columns
    old: "Ints"
    new: "Ints"
    """The place of each in its run."""

    def where(self, flags: "Bools") -> "_Pairs":
        return replace(self, old=self.old[flags], new=self.new[flags])


def _pair(before: Columns, after: Columns) -> _Pairs:
    """
    Raises:
        RecordError: if the same case has another number of turns.
    """
    import numpy as np

    places = {key: place for place, key in enumerate(before.keys)}
    found = np.fromiter((places.get(key, -1) for key in after.keys), np.int64, len(after))
    same = np.fromiter(
        (
            place >= 0 and before.digests[place] == digest
            for place, digest in zip(found.tolist(), after.digests, strict=True)
        ),
        bool,
        len(after),
    )
    paired = _Pairs(before=before, after=after, old=found[same], new=same.nonzero()[0])
    was, now = np.diff(before.first)[paired.old], np.diff(after.first)[paired.new]
    for place in (was != now).nonzero()[0].tolist():
        raise RecordError(
            f"case {after.ids[paired.new[place]]!r} has {was[place]} turns in the baseline and "
            f"{now[place]} in the candidate, though its digest is the same; "
            "judge both again with harness score"
        )
    return paired


def _failed(case: CaseResult) -> bool:
    return case.status not in ("correct", "error")


def _check_once(cases: Columns, which: str) -> None:
    seen: set[tuple[str, int]] = set()
    for key in cases.keys:
        if key in seen:
            raise RecordError(
                f"{which}: run.json holds case {key[0]!r}, repeat {key[1]}, twice; "
                "judge its transcripts again with harness score"
            )
        seen.add(key)


def _ids(pairs: _Pairs) -> tuple[str, ...]:
    """
    Return the ids of *pairs*, each once.
    """
    return tuple(dict.fromkeys(pairs.after.ids[place] for place in pairs.new.tolist()))


def _tags(scored: _Pairs) -> dict[str, tuple[str, ...]]:
    tags = scored.after.tags
    known = sorted({tag for each in tags.values for tag in each})
    found = {
        tag: _ids(scored.where(tags.flags(lambda each, tag=tag: tag in each)[scored.new]))  # type: ignore[misc]
        for tag in known
    }
    return {tag: ids for tag, ids in found.items() if ids}


def _right_leniently(scored: _Pairs, cases: Sequence[CaseResult]) -> dict[str, tuple[str, ...]]:
    """
    Find the cases all of whose broken answers are correct when read leniently.
    """
    broken = scored.where(scored.before.correct[scored.old] & ~scored.after.correct[scored.new])
    right = scored.after.ways.flags(lambda case: case.status_lenient == "correct")
    places = _by_id(broken)
    return {
        identity: _repairs(cases[place] for place in found)
        for identity, found in places.items()
        if all(right[place] for place in found)
    }


def _wrong_leniently(scored: _Pairs, cases: Sequence[CaseResult]) -> dict[str, tuple[str, ...]]:
    """
    Find the cases of which some new answer is correct, and is not when read leniently.
    """
    wrong = scored.after.ways.flags(
        lambda case: case.status == "correct" and case.status_lenient != "correct"
    )
    places = _by_id(scored.where(wrong[scored.new]))
    return {
        identity: _repairs(cases[place] for place in found) for identity, found in places.items()
    }


def _by_id(pairs: _Pairs) -> dict[str, list[int]]:
    """
    Return the places of the new answers by the id of their case.
    """
    found: dict[str, list[int]] = {}
    for place in pairs.new.tolist():
        found.setdefault(pairs.after.ids[place], []).append(place)
    return found


def _repairs(cases: Iterable[CaseResult]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            finding.detail
            for case in cases
            for turn in case.turns
            for finding in turn.findings
            if finding.code == "repaired"
        )
    )


def _turns(pairs: _Pairs) -> tuple["Ints", "Ints", "Ints"]:
    """
    Return the places of all turns of *pairs* in the old and in the new run, and their pair.
    """
    import numpy as np

    many = np.diff(pairs.after.first)[pairs.new]
    pair = np.repeat(np.arange(len(many)), many)
    turn = np.arange(len(pair)) - np.repeat(np.cumsum(many) - many, many)
    old, new = pairs.before.first[pairs.old], pairs.after.first[pairs.new]
    return old[pair] + turn, new[pair] + turn, pair


def _drifts(scored: _Pairs) -> Iterator[Drift]:
    import numpy as np

    old, new, pair = _turns(scored)
    was, now = scored.before.margins[old], scored.after.margins[new]
    both = (~np.isnan(was) & ~np.isnan(now)).nonzero()[0]
    before, after = scored.before.tools, scored.after.tools
    for place in both.tolist():
        tool = before.values[before.codes[old[place]]]
        if tool is not None and tool == after.values[after.codes[new[place]]]:
            name = scored.after.ids[scored.new[pair[place]]]
            yield Drift(name=name, old=float(was[place]), new=float(now[place]))


# What the runs gave


def _rates(scored: _Pairs) -> dict[str, PairedRate]:
    """
    Return every rate over its pairs. Each two ways to be judged that occur together are asked
    about once.
    """
    import numpy as np

    before, after = scored.before.ways, scored.after.ways
    many = max(1, len(after.values))
    both = before.codes[scored.old] * many + after.codes[scored.new]
    kinds, of = np.unique(both, return_inverse=True)
    pairs = [(before.values[kind // many], after.values[kind % many]) for kind in kinds.tolist()]
    names = objects(scored.after.ids)[scored.new]
    groups = scored.after.groups.objects()[scored.new]
    rates = {}
    for name, rate in applicable(RATES, scored.after).items():
        if isinstance(rate, InAllRepeats):
            rates[name] = _in_all(rate, scored)
            continue
        counts = np.array([_counts(rate, *pair) for pair in pairs], np.int64).reshape(-1, 5)[of]
        kept = counts[:, 2] > 0
        rates[name] = paired_rate(
            Units(names=names[kept], groups=groups[kept], counts=counts[kept])
        )
    return rates


def _in_all(rate: InAllRepeats, scored: _Pairs) -> PairedRate:
    """
    Return a rate of cases, each a unit, over those that both runs answered in all their repeats.
    """
    before, after = rate.by_case(scored.before), rate.by_case(scored.after)
    groups = dict(zip(scored.after.ids, scored.after.groups.objects().tolist(), strict=True))
    paired = dict.fromkeys(scored.after.ids[place] for place in scored.new.tolist())
    same = scored.before.repeats.max(initial=0) == scored.after.repeats.max(initial=0)
    units = [
        Unit(
            name=name,
            broken=int(before[name] and not after[name]),
            fixed=int(after[name] and not before[name]),
            pairs=1,
            old_hits=int(before[name]),
            new_hits=int(after[name]),
            group=groups[name],
        )
        for name in paired
        if same and name in before and name in after
    ]
    return paired_rate(Units.of(units))


def _counts(rate: Rate[Any], old: CaseResult, new: CaseResult) -> tuple[int, int, int, int, int]:
    """
    Return how many items broke, were fixed, were paired, were hits and are hits.
    """
    items = list(rate.pair(old, new))
    lost = sum(was and not now for was, now in items)
    won = sum(now and not was for was, now in items)
    broken, fixed = (lost, won) if rate.higher_is_better else (won, lost)
    return broken, fixed, len(items), sum(was for was, _ in items), sum(now for _, now in items)


def _values(percentile: Percentile, scored: _Pairs) -> PairedValues:
    """
    Pair a length or a margin over answers that are correct in both runs: a wrong answer is long or
    short, or sure of itself, for other reasons. Times are of the machine, so every answer counts.
    """
    import numpy as np

    if percentile.kind != "time":
        scored = scored.where(scored.before.correct[scored.old] & scored.after.correct[scored.new])
    old, new, pair = scored.old, scored.new, np.arange(len(scored.new))
    if percentile.per is TURN:
        old, new, pair = _turns(scored)
    was, now = percentile.column(scored.before)[old], percentile.column(scored.after)[new]
    kept = ~np.isnan(was) & ~np.isnan(now)
    before, after = was[kept].tolist(), now[kept].tolist()
    places = scored.new[pair[kept]].tolist()
    groups = scored.after.groups.objects()[places]
    return PairedValues(
        old=percentile.of(before).value,
        new=percentile.of(after).value,
        values=tuple(zip(before, after, strict=True)),
        groups=tuple(
            f"case {scored.after.ids[place]}" if group is None else f"group {group}"
            for place, group in zip(places, groups, strict=True)
        ),
    )
