"""
What was accepted for a baseline, held against a candidate: pairs that count as unchanged.
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from datetime import date
from functools import cache

from harness.canonical import canonical_json
from harness.comparison.accepted import Accepted
from harness.runs.accepted import Acceptance, answer_digest
from harness.runs.record import RunRecord
from harness.runs.store import StoredRun
from harness.scoring.results import CaseResult
from harness.transcript import Key


def with_accepted(
    old: RunRecord, new: StoredRun, acceptances: Iterable[Acceptance], today: date
) -> tuple[RunRecord, tuple[Accepted, ...]]:
    """
    Return the record of *new* with the outcomes of *old* where its answer was accepted, and what
    became of each acceptance that is about an answer of it.
    """
    wanted = {each.case: each for each in acceptances}
    if not wanted:
        return new.record, ()
    before = {
        (case.id, case.repeat): case for cases in answers_to(old, wanted).values() for case in cases
    }
    after, text = answers_to(new.record, wanted), raw_text(new)
    found: list[Accepted] = []
    instead: dict[tuple[str, int], CaseResult] = {}
    for name, results in after.items():
        acceptance = wanted[name]
        pairs = [(before.get((name, each.repeat)), each) for each in results]
        if any(
            was is None or not (was.scored and now.scored) or now.digest != acceptance.question
            for was, now in pairs
        ):
            continue
        same = answer_digest(results, text) == acceptance.answer
        if not same and not any(
            was is not None and was.status == "correct" != now.status for was, now in pairs
        ):
            continue  # it is right again
        expired = acceptance.expired(today)
        found.append(
            Accepted(
                case=name,
                state="changed_again" if not same else "expired" if expired else "unchanged",
                reason=acceptance.reason,
                until=acceptance.until,
            )
        )
        if same and not expired:
            instead |= {
                (name, now.repeat): _as_before(was, now) for was, now in pairs if was is not None
            }
    if not instead:
        return new.record, tuple(found)
    cases = tuple(instead.get((case.id, case.repeat), case) for case in new.record.cases)
    return replace(new.record, cases=cases), tuple(found)


def _as_before(was: CaseResult, now: CaseResult) -> CaseResult:
    """
    Return *now* as it would be judged with the outcome of *was*; what it took is its own.
    """
    turns = tuple(
        replace(
            before,
            output_tokens=after.output_tokens,
            latency_ms=after.latency_ms,
            ttft_ms=after.ttft_ms,
            margin=after.margin,
        )
        for before, after in zip(was.turns, now.turns, strict=True)
    )
    return replace(now, turns=turns)


def raw_text(run: StoredRun) -> Callable[[Key], str]:
    """
    Return the function that returns raw answers of *run*, which are read when it is first called.
    """
    answers = cache(run.answers)

    def text(key: Key) -> str:
        answer = answers()[key]
        return answer.said if isinstance(answer.said, str) else canonical_json(answer.said)

    return text


def answers_to(record: RunRecord, names: Container[str]) -> dict[str, list[CaseResult]]:
    """
    Return the answers to the cases *names*, by case.
    """
    found: dict[str, list[CaseResult]] = {}
    # A case is decoded when it is looked at.
    for place, identity in enumerate(record.columns.ids):
        if identity in names:
            found.setdefault(identity, []).append(record.cases[place])
    return found
