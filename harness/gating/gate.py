"""
Policy x Comparison x today -> Verdict: may the candidate replace the baseline?

`harness.gating.limits` judges limit by limit; here the limits, the cases that must pass and what
speaks against the comparison itself are put together. The worst decides. This module prints nothing
and reads no clock. The rules in words: docs/gate.md.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any

from harness.comparison.compare import Comparison
from harness.comparison.differences import Difference
from harness.comparison.paired import PairedRate
from harness.errors import ExitCode
from harness.gating.limits import judge_limits, not_comparable
from harness.gating.policy import Policy
from harness.gating.rates import effect, few_groups, units
from harness.gating.slices import Slices, conspicuous, judge_slices
from harness.gating.verdict import WORST_FIRST as WORST_FIRST
from harness.gating.verdict import MetricVerdict
from harness.gating.verdict import Verdict as Verdict
from harness.gating.verdict import Word as Word
from harness.gating.verdict import explain as explain
from harness.stats import smallest_detectable_drop
from harness.wording import count, named, percent, points

ERROR_SHARE = 0.02
"""A run with a larger share of broken answers is at best inconclusive."""

FEWEST_CASES = 60
"""With fewer, even a loss of 10 points is missed more than once in 5 tries."""


def gate(
    policy: Policy,
    comparison: Comparison,
    today: date,
    *,
    allow: Collection[str] = (),
    baseline: str | None = None,
) -> Verdict:
    """
    Decide. *allow* names fields that may differ though runs are not comparable for it.

    *today* is the day the verdict bears, *baseline* the name of what the candidate is compared
    with, for reports. Of two baselines, put the verdicts together with `Verdict.with_anchor`.
    """
    obstacles = list(_obstacles(comparison, allow))
    metrics: Mapping[str, MetricVerdict]
    slices: Slices
    if obstacles:
        metrics = {
            name: not_comparable(name, limit, comparison, obstacles[0])
            for name, limit in policy.limits.items()
        }
        slices = {
            tag: {
                name: not_comparable(name, limit, comparison, obstacles[0])
                for name, limit in limits.items()
            }
            for tag, limits in policy.slices.items()
        }
    else:
        metrics = judge_limits(policy, comparison)
        slices = judge_slices(policy, comparison)
    said: list[tuple[Word, str]] = []
    if failed := comparison.must_pass_failed:
        must = count(len(failed), "case") + " that must pass failed"
        said.append(("regressed", f"{must}: {named(failed)}"))
    said += [("not_comparable", obstacle) for obstacle in obstacles]
    said += [("inconclusive", doubt) for doubt in _doubts(comparison)]
    if not obstacles:
        said += _of_limits(metrics, slices)
    said.sort(key=lambda pair: WORST_FIRST.index(pair[0]))
    verdict = said[0][0]
    accuracy = _accuracy(comparison)
    return Verdict(
        verdict=verdict,
        exit=exit_code(verdict, policy),
        reasons=tuple(sentence for _, sentence in said),
        speaks_for=tuple(word for word, _ in said),
        against=(baseline,) * len(said),
        notes=tuple(_notes(comparison, {} if obstacles else metrics, policy, allow)),
        metrics=metrics,
        slices=slices,
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
        baseline=baseline,
    )


def exit_code(verdict: Word, policy: Policy) -> ExitCode:
    """
    Say what *verdict* exits with by *policy*.
    """
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
        yield f"{must}: {named(unknown)}"


def _of_limits(metrics: Mapping[str, MetricVerdict], slices: Slices) -> Iterator[tuple[Word, str]]:
    said = False
    for metric in [*metrics.values(), *(m for of_tag in slices.values() for m in of_tag.values())]:
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
    if metrics:
        yield from _about_format(comparison)
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
            yield f"left out, {what}: {count(len(ids), 'case')} ({named(ids)})"
    if comparison.unpaired:
        answers = count(comparison.unpaired, "answer")
        yield f"left out: {answers} to common cases, which the runs repeat differently often"
    if metrics:
        alike = effect(_accuracy(comparison))
        yield from _about_size(_accuracy(comparison), alike, policy.alpha)
        yield from _about_groups(_accuracy(comparison), alike)
        yield from conspicuous(comparison, policy)
    for metric in metrics.values():
        if metric.advisory:
            yield metric.reason


def _about_format(comparison: Comparison) -> Iterator[str]:
    """
    Say how many broken cases made the right calls in a form that the strict reading refuses.
    """
    broken = _accuracy(comparison).broken
    right = {name: comparison.right_leniently.get(name) for name in broken}
    repairs = [found for found in right.values() if found is not None]
    if repairs:
        what = ", ".join(dict.fromkeys(repair for found in repairs for repair in found))
        conclusion = ": format, not decisions" if 2 * len(repairs) > len(broken) else ""
        yield (
            f"{len(repairs)} of {count(len(broken), 'broken case')} "
            f"{'is' if len(repairs) == 1 else 'are'} right when read leniently "
            f"({what}){conclusion}"
        )


def _about_size(accuracy: PairedRate, alike: float, alpha: float) -> Iterator[str]:
    """
    Warn of what no verdict on so few cases, or so few changes, can show.
    """
    weigh = accuracy.pairs / alike
    if weigh < FEWEST_CASES:
        seen = smallest_detectable_drop(weigh, 0.0, alpha=alpha)
        yield (
            f"{count(accuracy.pairs, 'common answer')}"
            f"{f', worth {weigh:.0f} independent ones,' if alike > 1.05 else ''} cannot gate: "
            + (
                "no loss can be relied on to be seen"
                if seen is None
                else f"even without noise only a loss of {points(seen)} points or more is seen in "
                "4 of 5 tries"
            )
            + f"; from {FEWEST_CASES} on, one of 10"
        )
    changed = sum(unit.net != 0 for unit in units(accuracy))
    # Doubles halve to 0 before this ends, however small alpha is.
    fewest = next(many for many in range(1, 1100) if 0.5 ** (many + 1) < alpha)
    if 0 < changed < fewest:
        what = "case" if units(accuracy) is accuracy.cases or _alone(accuracy) else "group"
        yield (
            f"only {count(changed, what)} changed: under {fewest}, no loss of accuracy can be told "
            "from chance"
        )


def _alone(accuracy: PairedRate) -> bool:
    return len(accuracy.groups) == len(accuracy.cases)


def _about_groups(accuracy: PairedRate, alike: float) -> Iterator[str]:
    if len(accuracy.groups) == 1 < len(accuracy.cases):
        yield "all cases form one group: each case was taken as independent"
        return
    if few_groups(accuracy):
        yield (
            f"the cases form only {count(len(accuracy.groups), 'group')}, too few to test by: how "
            "alike their answers are was estimated from few, and counts against a finding"
        )
    if alike > 1.05:
        unit = "case" if _alone(accuracy) else "group"
        yield (
            f"answers of one {unit} changed together: {accuracy.pairs} pairs weigh as much as "
            f"{round(accuracy.pairs / alike)} independent ones"
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
