"""
Notes on a verdict: what was left out, allowed or judged again, and where to look first.

They inform and never decide; that is done in `harness.gating.gate`.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from harness.comparison.compare import Comparison
from harness.comparison.differences import Difference
from harness.comparison.paired import PairedRate
from harness.gating.evidence import FEWEST_GROUPS, FEWEST_TO_PASS, effect, few_groups, flipped
from harness.gating.policy import Policy
from harness.gating.ranking import told_apart, two_sided
from harness.gating.slices import losses_by_tag
from harness.gating.verdict import MetricVerdict
from harness.runs.record import RunRecord
from harness.stats import smallest_detectable_drop
from harness.wording import chance, count, named, points

FEWEST_CASES = 60
"""With fewer cases, even a loss of 10 points is missed more than once in 5 tries."""


def notes(
    comparison: Comparison,
    accuracy: PairedRate,
    metrics: Mapping[str, MetricVerdict],
    policy: Policy,
    allow: Collection[str],
) -> Iterator[str]:
    """
    Yield what a person should know besides the verdict; nothing here changes it.

    *accuracy* is the comparison's, *metrics* are the verdicts of the limits, empty if the runs
    could not be compared, and *allow* names the fields that may differ.
    """
    if metrics:
        yield from _about_format(comparison, accuracy)
    for difference in comparison.differences:
        if difference.effect == "rejudged":
            yield f"{changed(difference)}; both runs were judged again from their stored text"
        elif difference.effect == "not_comparable" and difference.allowed_by(allow):
            yield f"{changed(difference)}; this was allowed"
    yield from _about_export(comparison, policy)
    yield from _about_accepted(comparison)
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
        alike = effect(accuracy)
        if comparison.one_draw:
            yield (
                "answers were sampled, and of each case there is one draw: another run may answer "
                "otherwise; --repeats 3 asks three times and pairs by case"
            )
        yield from _about_size(accuracy, alike, policy.alpha)
        yield from _about_groups(accuracy, alike)
        yield from losses_by_tag(comparison, policy)
        yield from _about_headroom(accuracy)
    for metric in metrics.values():
        if metric.advisory:
            yield metric.reason


def noise(old: RunRecord, new: RunRecord) -> Iterator[str]:
    """
    Yield notes on servers that answered one prompt otherwise when they were asked again, before the
    run: so may they have answered its cases, which then flip by chance.
    """
    for name, record in (("baseline", old), ("candidate", new)):
        seen = record.environment.extra.get("noise")
        if not isinstance(seen, Mapping):
            continue
        asked, differing = seen.get("asked"), seen.get("differing")
        if isinstance(asked, int) and isinstance(differing, int) and differing > 0:
            yield (
                f"the {name}'s server answered one prompt otherwise {differing} of {asked} times, "
                "so flips may be chance; `harness aa` measures how many"
            )


def _about_export(comparison: Comparison, policy: Policy) -> Iterator[str]:
    """
    Yield in what an export differs on purpose, and that it may not be asked as its parent is.
    """
    if on_purpose := [each for each in comparison.differences if each.effect == "exported"]:
        yield f"an export differs on purpose in: {'; '.join(map(changed, on_purpose))}"
    fields = {each.field for each in comparison.differences}
    if policy.kind == "export" and "checkpoint.template" in fields:
        yield (
            "the chat templates differ, so the export may be asked otherwise than what it was made "
            "of: what changed may be the prompt's"
        )


def _about_headroom(accuracy: PairedRate) -> Iterator[str]:
    """
    Yield that the candidate is better beyond chance: against a baseline that stays as it is, a
    later loss of as much is none.
    """
    if accuracy.new_hits > accuracy.old_hits and told_apart(p := two_sided(accuracy)):
        gained = points((accuracy.new_hits - accuracy.old_hits) / accuracy.pairs)
        yield (
            f"better by {gained} points, beyond chance ({chance(p)}): while the baseline stays, a "
            "later loss of as much goes unseen; `harness baseline save RUN --name NAME --replace` "
            "makes this run the baseline"
        )


def _about_accepted(comparison: Comparison) -> Iterator[str]:
    of: dict[str, list[str]] = {}
    for each in comparison.accepted:
        of.setdefault(each.state, []).append(each.case)
    for state, said in (
        ("unchanged", "accepted as it is and counted as unchanged"),
        ("changed_again", "accepted once and changed again, so broken again"),
        ("expired", "accepted until a day that has passed, so broken again"),
    ):
        if ids := of.get(state):
            yield f"{count(len(ids), 'case')} {said}: {named(ids)}"


def _about_format(comparison: Comparison, accuracy: PairedRate) -> Iterator[str]:
    """
    Yield notes on broken cases that made the right calls in a form the strict reading refuses, and
    on right ones that hold calls in such a form.
    """
    broken = accuracy.broken
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
    if hidden := comparison.wrong_leniently:
        what = ", ".join(dict.fromkeys(repair for found in hidden.values() for repair in found))
        yield (
            f"{count(len(hidden), 'case')} of the candidate {'is' if len(hidden) == 1 else 'are'} "
            f"right only as read strictly, and wrong when read leniently ({what}): "
            f"{named(hidden)}"
        )


def _about_size(accuracy: PairedRate, alike: float, alpha: float) -> Iterator[str]:
    """
    Yield warnings about what no verdict on so few cases, or so few changes, can show.
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
    changed = int((flipped(accuracy).net != 0).sum())
    # This ends: doubles halve to 0, however small alpha is.
    fewest = next(many for many in range(1, 1100) if 0.5 ** (many + 1) < alpha)
    if 0 < changed < fewest:
        what = "case" if flipped(accuracy) is accuracy.cases or _alone(accuracy) else "group"
        yield (
            f"only {count(changed, what)} changed: under {fewest}, no loss of accuracy can be told "
            "from chance"
        )


def _alone(accuracy: PairedRate) -> bool:
    return len(accuracy.groups) == len(accuracy.cases)


def _about_groups(accuracy: PairedRate, alike: float) -> Iterator[str]:
    groups = len(accuracy.groups)
    if groups == 1 < len(accuracy.cases):
        yield (
            "all cases form one group: each was taken as independent to find a loss, and nothing "
            "is ruled out"
        )
        return
    if few_groups(accuracy):
        under = FEWEST_TO_PASS if groups < FEWEST_TO_PASS else FEWEST_GROUPS
        what = "rule out a loss" if groups < FEWEST_TO_PASS else "flip: t decides"
        yield f"the cases form only {count(groups, 'group')}; under {under} are too few to {what}"
    if alike > 1.05:
        unit = "case" if _alone(accuracy) else "group"
        yield (
            f"answers of one {unit} count together: {accuracy.pairs} pairs weigh as much as "
            f"{round(accuracy.pairs / alike)} independent ones"
        )


def changed(difference: Difference) -> str:
    """
    Return the beginning of a sentence about a difference: the field, its old and its new value.
    """
    return f"{difference.field} was {_short(difference.old)} and is {_short(difference.new)}"


def _short(value: Any) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
