"""
Accepting single changes of a candidate, for a baseline that stays what it is:
``harness baseline accept``.

What is accepted is one wrong answer to one case, with a reason and perhaps a last day. Gates count
such a pair as unchanged as long as the answer is the same, list it, and hold the number of all
accepted cases to the policy's ``accepted_budget``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from harness.errors import StoreError, UsageError
from harness.gating.decision import decide
from harness.gating.policy import Policy
from harness.provenance import date_today, now
from harness.runs.accepted import Acceptance, answer_digest, read_accepted, write_accepted
from harness.runs.store import StoredRun
from harness.runs.swap import lock_folder
from harness.scoring.results import CaseResult
from harness.wording import count, named, points, suggest
from harness.workflow.accepted import answers_to, raw_text, with_accepted
from harness.workflow.compare import compare


@dataclass(frozen=True, slots=True, kw_only=True)
class NewlyAccepted:
    """
    What `accept_changes` wrote.
    """

    baseline: StoredRun
    cases: tuple[str, ...]
    in_force: int
    """How many accepted cases the candidate has by now, these included."""
    of: int
    """How many cases both runs scored."""


def accept_changes(
    run: StoredRun,
    baseline: StoredRun,
    cases: Sequence[str],
    *,
    reason: str,
    policy: Policy,
    until: date | None = None,
    today: date | None = None,
) -> NewlyAccepted:
    """
    Accept the answers of *run* to *cases*, which are worse than those of *baseline*.

    Raises:
        UsageError: if there is no reason, or *until* has passed.
        StoreError: if the runs cannot be compared, a case did not get worse or must pass, or there
            would be more accepted cases than the policy's budget allows; then nothing is written.
    """
    today = today or date_today()
    reason = reason.strip()
    if not reason:
        raise UsageError("why is it accepted? say so with --reason TEXT")
    if until is not None and until < today:
        raise UsageError(f"--until {until} has passed")
    plain = decide(compare(baseline, run), policy, today=today)
    if plain.verdict.verdict == "not_comparable":
        raise StoreError(f"{run.folder}: not comparable: {plain.verdict.reasons[0]}")
    results = answers_to(run.record, set(cases))
    worse = {name for rate in plain.comparison.rates.values() for name in rate.broken}
    for case in dict.fromkeys(cases):
        _check(case, results.get(case, ()), worse, run, baseline)
    text = raw_text(run)
    fresh = [
        Acceptance(
            case=case,
            question=results[case][0].digest,
            answer=answer_digest(results[case], text),
            reason=reason,
            until=until,
            accepted=now(),
        )
        for case in dict.fromkeys(cases)
    ]
    with lock_folder(baseline.folder):
        kept = [each for each in read_accepted(baseline.folder) if each.case not in results]
        _, found = with_accepted(baseline.record, run, [*kept, *fresh], today)
        many = sum(each.state == "unchanged" for each in found)
        of = len(plain.comparison.rates["accuracy"].cases.names)
        if many > policy.accepted_budget * of:
            raise StoreError(
                f"{count(many, 'accepted case')} of {of} would be over the budget of "
                f"{points(policy.accepted_budget)} points; accept the whole run with `harness "
                f"baseline save`, or raise accepted_budget in {policy.source}"
            )
        write_accepted(baseline.folder, [*kept, *fresh])
    return NewlyAccepted(
        baseline=baseline, cases=tuple(each.case for each in fresh), in_force=many, of=of
    )


def _check(
    case: str, results: Sequence[CaseResult], worse: set[str], run: StoredRun, baseline: StoredRun
) -> None:
    if not results:
        known = {each.id for each in run.record.cases}
        raise StoreError(f"{run.folder} has no case {case!r}{suggest(case, known)}")
    if any(each.must_pass for each in results):
        raise StoreError(
            f"case {case!r} must pass, so no wrong answer to it can be accepted; take must_pass "
            "off it in the suite"
        )
    if case not in worse:
        broken = f"; broken: {named(sorted(worse))}" if worse else ""
        raise StoreError(
            f"case {case!r} is not worse than in {baseline.folder.name}, so there is nothing to "
            f"accept{broken}"
        )
