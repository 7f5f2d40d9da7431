"""
Policy x Comparison x today -> Verdict: may the candidate replace the baseline?

`harness.limits` judges limit by limit; here the limits, the cases that must pass and what speaks
against the comparison itself are put together. The worst decides. This module prints nothing and
reads no clock. The rules in words: docs/gate.md.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from harness.compare import Comparison, Difference, PairedRate
from harness.errors import ExitCode
from harness.limits import (
    FEWEST_GROUPS,
    count,
    effect,
    judge,
    mended,
    not_comparable,
    percent,
    units,
)
from harness.limits import MetricVerdict as MetricVerdict
from harness.policy import Policy
from harness.stats import holm, sign_flip_mid_p

Word = Literal["regressed", "not_comparable", "inconclusive", "pass"]

WORST_FIRST: tuple[Word, ...] = ("regressed", "not_comparable", "inconclusive", "pass")
"""A shown regression stands, whatever else could not be compared."""

ERROR_SHARE = 0.02
"""A run with a larger share of broken answers is at best inconclusive."""

LISTED = 8
"""How many ids a sentence names before it counts the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What a policy makes of a comparison.
    """

    verdict: Word
    exit: ExitCode
    reasons: tuple[str, ...]
    """Sentences for a person; what decided comes first."""
    notes: tuple[str, ...]
    """What else should be known: what was left out, allowed, judged again."""
    metrics: Mapping[str, MetricVerdict]
    """One for each limit of the policy."""
    broken: tuple[str, ...]
    fixed: tuple[str, ...]
    """Ids of the cases that were correct and are not, and the other way round."""
    must_pass_failed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    quarantined: tuple[str, ...]
    differences: tuple[Difference, ...]
    policy: str
    """Where the policy was read."""
    date: date

    def to_json(self) -> dict[str, Any]:
        """
        Spell the verdict in JSON types.
        """
        data: dict[str, Any] = _json(self)
        return data | {"exit": int(self.exit), "date": self.date.isoformat()}


def gate(
    policy: Policy, comparison: Comparison, today: date, *, allow: Collection[str] = ()
) -> Verdict:
    """
    Decide. *allow* names fields that may differ though runs are not comparable for it.

    *today* is the day the verdict bears.
    """
    obstacles = list(_obstacles(comparison, allow))
    metrics = {
        name: not_comparable(name, limit, comparison, obstacles[0])
        if obstacles
        else judge(name, limit, comparison, policy.alpha)
        for name, limit in policy.limits.items()
    }
    said: list[tuple[Word, str]] = []
    if failed := comparison.must_pass_failed:
        must = count(len(failed), "case") + " that must pass failed"
        said.append(("regressed", f"{must}: {_named(failed)}"))
    said += [("not_comparable", obstacle) for obstacle in obstacles]
    said += [("inconclusive", doubt) for doubt in _doubts(comparison)]
    if not obstacles:
        said += _of_limits(metrics)
    said.sort(key=lambda pair: WORST_FIRST.index(pair[0]))
    verdict = said[0][0]
    accuracy = _accuracy(comparison)
    return Verdict(
        verdict=verdict,
        exit=_exit(verdict, policy),
        reasons=tuple(sentence for _, sentence in said),
        notes=tuple(_notes(comparison, {} if obstacles else metrics, policy, allow)),
        metrics=metrics,
        broken=accuracy.broken,
        fixed=accuracy.fixed,
        must_pass_failed=comparison.must_pass_failed,
        added=comparison.added,
        removed=comparison.removed,
        changed=comparison.changed,
        quarantined=comparison.quarantined,
        differences=comparison.differences,
        policy=policy.source,
        date=today,
    )


def explain(verdict: Verdict) -> list[str]:
    """
    Say which rule decided and why, a line each: first of the whole, then limit by limit.
    """
    lines = [
        f"{verdict.verdict} (exit {int(verdict.exit)}), {verdict.policy}: {verdict.reasons[0]}",
        f"rule: the worst decides, in the order {', '.join(WORST_FIRST)}",
    ]
    for name, metric in verdict.metrics.items():
        aside = ", without weight" if metric.advisory else ""
        lines += [
            f'{name} = "{metric.limit}": {metric.verdict}{aside}',
            f"  rule: {metric.rule}",
            f"  {metric.reason}",
        ]
    return lines


def _exit(verdict: Word, policy: Policy) -> ExitCode:
    if verdict == "regressed":
        return ExitCode.REGRESSED
    if verdict == "not_comparable":
        return ExitCode.UNDECIDED
    if verdict == "inconclusive" and policy.on_inconclusive == "block":
        return ExitCode.UNDECIDED
    return ExitCode.PASS


def _obstacles(comparison: Comparison, allow: Collection[str]) -> Iterator[str]:
    """
    What forbids to compare at all.
    """
    for difference in comparison.differences:
        if difference.allowed_by(allow):
            continue
        if difference.effect == "not_comparable":
            yield (
                f"{_was(difference)}; measure both alike, or add "
                f"--allow-mismatch {difference.field}"
            )
        elif difference.effect == "rejudge":
            yield f"{_was(difference)}; judge the older run again with harness score"
    if not comparison.pairs:
        yield "the runs have no case in common (equal id, repeat and digest)"
    elif not comparison.scored_pairs:
        yield "no common case was scored in both runs: all broke or are quarantined"


def _doubts(comparison: Comparison) -> Iterator[str]:
    """
    What allows no better than inconclusive, whatever was measured.
    """
    for which, complete, errors in (
        ("baseline", comparison.old_complete, comparison.old_error_share),
        ("candidate", comparison.new_complete, comparison.new_error_share),
    ):
        if not complete:
            yield f"the {which} was asked only a part of its suite"
        if errors > ERROR_SHARE:
            yield (
                f"{percent(errors)} of the {which}'s answers broke for infrastructure reasons; at "
                f"most {percent(ERROR_SHARE)} may"
            )
    if unknown := comparison.must_pass_unknown:
        must = count(len(unknown), "case") + " that must pass broke for infrastructure reasons"
        yield f"{must}: {_named(unknown)}"


def _of_limits(metrics: Mapping[str, MetricVerdict]) -> Iterator[tuple[Word, str]]:
    said = False
    for metric in metrics.values():
        # What was not measured, and times of another machine, stand in the notes.
        if not metric.advisory and metric.verdict != "not_measured":
            said = True
            yield metric.verdict, metric.reason
    if not said:
        yield "inconclusive", "none of the policy's limits could be measured"


def _notes(
    comparison: Comparison,
    metrics: Mapping[str, MetricVerdict],
    policy: Policy,
    allow: Collection[str],
) -> Iterator[str]:
    """
    What else should be known; *metrics* is empty where the runs were not compared.
    """
    for difference in comparison.differences:
        if difference.effect == "rejudged":
            yield f"{_was(difference)}; both runs were judged again from their stored text"
        elif difference.effect == "not_comparable" and difference.allowed_by(allow):
            yield f"{_was(difference)}; this was allowed"
    for what, ids in (
        ("not in the baseline", comparison.added),
        ("not in the candidate", comparison.removed),
        ("another question now", comparison.changed),
        ("quarantined", comparison.quarantined),
    ):
        if ids:
            yield f"left out, {what}: {count(len(ids), 'case')} ({_named(ids)})"
    if comparison.unpaired:
        answers = count(comparison.unpaired, "answer")
        yield f"left out: {answers} to common cases, which the runs repeat differently often"
    if metrics:
        yield from _about_groups(_accuracy(comparison))
        yield from _slices(comparison, policy.alpha)
    for metric in metrics.values():
        if metric.advisory:
            yield metric.reason


def _about_groups(accuracy: PairedRate) -> Iterator[str]:
    if len(accuracy.groups) < min(FEWEST_GROUPS, len(accuracy.cases)):
        yield (
            f"the cases form only {count(len(accuracy.groups), 'group')}, too few to test by: "
            "each case was taken as independent"
        )
    elif (alike := effect(accuracy)) > 1.05:
        unit = "group" if len(units(accuracy)) < len(accuracy.cases) else "case"
        yield (
            f"answers of one {unit} changed together: {accuracy.pairs} pairs weigh as much as "
            f"{round(accuracy.pairs / alike)} independent ones"
        )


def _slices(comparison: Comparison, alpha: float) -> Iterator[str]:
    """
    Where a loss is concentrated: tags whose own paired test is beyond chance, for several (Holm).

    This points and does not decide: broad losses show in the whole, local ones here.
    """
    cases = {unit.name: unit for unit in _accuracy(comparison).cases}
    slices = {
        tag: [cases[identity] for identity in ids if identity in cases]
        for tag, ids in comparison.tags.items()
        if len(ids) < len(cases)
    }
    p_values = [sign_flip_mid_p([unit.net for unit in found]) for found in slices.values()]
    for (tag, found), p in zip(slices.items(), holm(p_values), strict=True):
        if p < alpha:
            broken = sum(unit.broken for unit in found)
            fixed = sum(unit.fixed for unit in found)
            yield (
                f"look at tag {tag}: {broken} of its {sum(unit.pairs for unit in found)} answers "
                f"broke and {mended(fixed)}, beyond chance for {count(len(slices), 'tag')}"
            )


def _accuracy(comparison: Comparison) -> PairedRate:
    paired = comparison.metrics["accuracy"]
    if not isinstance(paired, PairedRate):
        raise TypeError("accuracy is a rate")
    return paired


def _was(difference: Difference) -> str:
    return f"{difference.field} was {_short(difference.old)} and is {_short(difference.new)}"


def _short(value: Any) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _named(ids: Collection[str]) -> str:
    names = list(ids)
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + rest


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, MetricVerdict | Difference | Verdict):
        return {name: _json(getattr(value, name)) for name in value.__slots__}
    return value
