"""
Policy x Comparison x today -> Verdict: may the candidate replace the baseline?

`harness.gating.limits` judges each limit; here the limits, the cases that must pass and doubts
about the comparison itself are put together. The worst decides. What else a person should know is
in `harness.gating.notes`. This module prints nothing and reads no clock. The rules in words:
docs/gate.md.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date

from harness.comparison.compare import NOTHING_IN_COMMON, Comparison
from harness.errors import ExitCode
from harness.gating.limits import judge_limits, limits_on, not_comparable
from harness.gating.notes import changed, notes
from harness.gating.policy import ERROR_SHARE, Policy
from harness.gating.shares import Shares, share
from harness.gating.slices import Slices, judge_slices
from harness.gating.verdict import WORST_FIRST, MetricVerdict, Reason, Verdict, Word, worst
from harness.scoring.metrics import METRICS
from harness.wording import count, named, percent, points


def gate(
    policy: Policy,
    comparison: Comparison,
    today: date,
    *,
    allow: Collection[str] = (),
    baseline: str | None = None,
    shares: Shares | None = None,
) -> Verdict:
    """
    Return the verdict on a comparison.

    *allow* names fields that may differ although runs that differ in them are not comparable.
    *today* is the date of the verdict; *baseline* is the name of what the candidate was compared
    with, for reports. `Verdict.with_anchor` combines the verdicts against two baselines. *shares*
    is what the limits have of alpha beside those of other suites (default: there are none).
    """
    obstacles = obstacles_to(comparison, allow)
    metrics: Mapping[str, MetricVerdict]
    slices: Slices
    if obstacles:
        metrics = {
            name: not_comparable(name, limit, comparison, obstacles[0])
            for name, limit in limits_on(policy, comparison).items()
        }
        slices = {
            tag: {
                name: not_comparable(name, limit, comparison, obstacles[0])
                for name, limit in limits.items()
            }
            for tag, limits in policy.slices.items()
        }
    else:
        shares = shares or share({"": (policy, comparison)})[""]
        metrics = judge_limits(policy, comparison, shares)
        slices = judge_slices(policy, comparison, shares)
    said: list[Reason] = []
    still = comparison.must_pass_still_failing
    failed = [name for name in comparison.must_pass_failed if name not in still]
    if failed:
        must = count(len(failed), "case") + " that must pass failed"
        said.append(Reason(text=f"{must}: {named(failed)}", verdict="regressed"))
    if still:
        must = count(len(still), "case") + " that must pass failed in both runs"
        said.append(Reason(text=f"{must}: {named(still)}", verdict="still_failing"))
    must_pass = tuple(said)
    said += (Reason(text=obstacle, verdict="not_comparable") for obstacle in obstacles)
    doubts = list(_doubts(comparison))
    # A doubt may head the verdict: it must not hide what happened to the cases there are.
    if doubts and not obstacles and (moved := _accuracy_moved(metrics)):
        doubts[0] = f"{moved}; but {doubts[0]}"
    said += (Reason(text=doubt, verdict="inconclusive") for doubt in doubts)
    if not obstacles:
        said += _of_limits(metrics, slices)
    said += _over_budget(comparison, policy)
    said.sort(key=lambda reason: WORST_FIRST.index(reason.verdict))
    accuracy = comparison.rates["accuracy"]
    # Nor may a case that decides hide what happened to the others.
    if said[0] in must_pass and {*accuracy.broken} - {*failed} and (lost := _loss(metrics)):
        said[0] = replace(said[0], text=f"{said[0].text}; {lost}")
    verdict = said[0].verdict
    return Verdict(
        verdict=verdict,
        exit=exit_code(verdict, policy, measured=not _broke(comparison)),
        reasons=tuple(replace(reason, baseline=baseline) for reason in said),
        notes=tuple(notes(comparison, accuracy, {} if obstacles else metrics, policy, allow)),
        metrics=metrics,
        slices=slices,
        broken=accuracy.broken,
        fixed=accuracy.fixed,
        must_pass_failed=comparison.must_pass_failed,
        must_pass_still_failing=still,
        added=comparison.added,
        removed=comparison.removed,
        changed=comparison.changed,
        quarantined=comparison.quarantined,
        differences=comparison.differences,
        accepted=comparison.accepted,
        policy=policy.source,
        date=today,
        baseline=baseline,
    )


def exit_code(verdict: Word, policy: Policy, *, measured: bool = True) -> ExitCode:
    """
    Return the exit code of *verdict* by *policy*.

    A policy may let an inconclusive gate through, but not if the reason is that answers broke: with
    *measured* false, nothing was found because little was measured.
    """
    if verdict in ("regressed", "still_failing"):
        return ExitCode.REGRESSED
    if verdict == "not_comparable":
        return ExitCode.UNDECIDED
    if verdict == "inconclusive" and (policy.on_inconclusive == "block" or not measured):
        return ExitCode.UNDECIDED
    return ExitCode.PASS


def _broke(comparison: Comparison) -> bool:
    return max(comparison.old_error_share, comparison.new_error_share) > ERROR_SHARE


def obstacles_to(comparison: Comparison, allow: Collection[str] = ()) -> list[str]:
    """
    Return the reasons why the runs cannot be compared.
    """
    return list(_obstacles(comparison, allow))


def _obstacles(comparison: Comparison, allow: Collection[str]) -> Iterator[str]:
    for difference in comparison.differences:
        if difference.allowed_by(allow):
            continue
        if difference.effect == "not_comparable":
            yield (
                f"{changed(difference)}; measure both alike, or add "
                f"--allow-mismatch {difference.field}"
            )
        elif difference.effect == "rejudge":
            yield f"{changed(difference)}; judge the older run again with harness score"
    if not comparison.pairs:
        yield NOTHING_IN_COMMON
    elif not comparison.scored_pairs:
        yield "no common case was scored in both runs: all broke or are quarantined"


def _over_budget(comparison: Comparison, policy: Policy) -> Iterator[Reason]:
    """
    Yield that more cases were accepted than may be: each by itself was, but not what they come to.
    """
    many = sum(each.state == "unchanged" for each in comparison.accepted)
    of = len(comparison.rates["accuracy"].cases.names)
    if many > policy.accepted_budget * of:
        text = (
            f"{count(many, 'accepted case')} of {of}, and accepted_budget allows "
            f"{points(policy.accepted_budget)} points; accept the whole run with `harness baseline "
            "save`, or remove lines of accepted.jsonl"
        )
        yield Reason(text=text, verdict="regressed")


def _doubts(comparison: Comparison) -> Iterator[str]:
    """
    Yield the reasons for being inconclusive at best, whatever was measured.
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


def _accuracy_moved(metrics: Mapping[str, MetricVerdict]) -> str | None:
    """
    Return how accuracy moved, in the words that its own reason begins with; None if not measured.
    """
    accuracy = metrics.get("accuracy")
    if accuracy is None or accuracy.verdict == "not_measured":
        return None
    return accuracy.reason.split("; ")[0]


def _loss(metrics: Mapping[str, MetricVerdict]) -> str | None:
    """
    Return how accuracy fell, if it is not shown to be within its limit; else None.
    """
    accuracy = metrics.get("accuracy")
    fell = accuracy is not None and accuracy.verdict != "pass" and (accuracy.delta or 0) < 0
    return _accuracy_moved(metrics) if fell else None


def _of_limits(metrics: Mapping[str, MetricVerdict], slices: Slices) -> Iterator[Reason]:
    """
    Yield what each limit says. Lengths and times come last and never speak before accuracy: how
    long answers are or take is not the headline for a model whose answers changed.
    """
    costs = {name: metric for name, metric in metrics.items() if METRICS[name].kind != "rate"}
    others = [metric for name, metric in metrics.items() if name not in costs]
    of_slices = [metric for of_tag in slices.values() for metric in of_tag.values()]
    moved = _accuracy_moved(metrics)
    said = False
    for metric in [*others, *of_slices, *costs.values()]:
        # The notes say what was not measured, and that times are of another machine.
        if metric.advisory or metric.verdict == "not_measured":
            continue
        said = True
        text = metric.reason
        if metric in costs.values() and moved and _worse(metric, metrics["accuracy"]):
            text = f"{moved}; but {text}"
        yield Reason(text=text, verdict=metric.verdict)
    if not said:
        yield Reason(text="none of the policy's limits could be measured", verdict="inconclusive")


def _worse(one: MetricVerdict, other: MetricVerdict) -> bool:
    return worst([one.verdict, other.verdict]) != other.verdict
