"""
Cases with their evidence: what was asked, what was answered, and what was wrong with it.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

from harness.comparison.compare import Comparison
from harness.lazy import MadeOf
from harness.reports.blocks import Entry, Inline, Mood, Quote
from harness.reports.conversation import conversation, faults
from harness.reports.escape import cut
from harness.reports.format import calls, case_name, finding, plural
from harness.reports.report import Report, RunView
from harness.scoring.results import WARNINGS, CaseResult, Finding, TurnResult
from harness.transcript import Key

_FINDINGS = 5
"""How many findings of one answer are written out."""

Field = tuple[str, Inline]


def failures(run: RunView) -> Sequence[Entry]:
    """
    Return the cases of *run* that are not correct; those that must pass come first.
    """
    cases = run.record.columns
    failed = cases.ways.flags(lambda case: case.status != "correct" and not case.quarantined)
    must = cases.ways.flags(lambda case: case.must_pass)
    places = [*(failed & must).nonzero()[0].tolist(), *(failed & ~must).nonzero()[0].tolist()]

    def entry(place: int) -> Entry:
        case = run.record.cases[place]
        return Entry(
            name=case_name(case),
            note=_note(case),
            mood="doubtful" if case.status == "error" else "bad",
            fields=(*_asked(run, case), *_failed_turns(run, case)),
        )

    return MadeOf(places, entry)


def broken(
    report: Report, comparison: Comparison, *, besides: Collection[str] = ()
) -> Sequence[Entry]:
    """
    Return the cases that were correct and no longer are, without those in *besides*.
    """
    names = [name for name in comparison.rates["accuracy"].broken if name not in besides]
    return _flips(report, names, was_correct=True)


def broken_answer(report: Report, name: str, repeat: int) -> Sequence[Entry]:
    """
    Return one repeat of a case that was correct and no longer is.
    """
    return _flips(report, [name], was_correct=True, repeat=repeat)


def fixed(report: Report, comparison: Comparison) -> Sequence[Entry]:
    """
    Return the cases that are correct and were not.
    """
    return _flips(report, comparison.rates["accuracy"].fixed, was_correct=False)


def named(report: Report, names: Sequence[str]) -> tuple[Entry, ...]:
    """
    Return the cases with these ids, as the new run answered them.
    """
    results = _by_id(report.new)
    return tuple(
        Entry(
            name=name,
            note=_note(case),
            mood="bad",
            fields=(*_asked(report.new, case), *_failed_turns(report.new, case)),
        )
        for name in names
        if (case := _worst(results(name))) is not None
    )


def _flips(
    report: Report, names: Sequence[str], *, was_correct: bool, repeat: int | None = None
) -> Sequence[Entry]:
    old_results, new_results = _by_id(report.old), _by_id(report.new)

    def entry(name: str) -> Entry:
        before = {case.repeat: case for case in old_results(name)}
        pairs = [
            (before[case.repeat], case)
            for case in new_results(name)
            if case.scored
            and repeat in (None, case.repeat)
            and case.repeat in before
            and before[case.repeat].scored
            and (before[case.repeat].status == "correct") is was_correct
            and (case.status == "correct") is not was_correct
        ]
        old, new = pairs[0]
        note = f"{old.status} → {new.status}"
        if len(before) > 1:
            note += f" in {plural(len(pairs), 'repeat')} of {len(before)}"
        if new.must_pass:
            note += ", must pass"
        mood: Mood = "bad" if was_correct else "good"
        fields = (*_asked(report.new, new, report.old), *_both_turns(report, old, new))
        return Entry(name=case_name(new), note=note, mood=mood, fields=fields)

    return MadeOf(names, entry)


def _both_turns(report: Report, old: CaseResult, new: CaseResult) -> Iterator[Field]:
    if old.executed is not None and new.executed is not None:
        yield from conversation(report.old, old, "old")
        yield from conversation(report.new, new, "new")
        faulty_case, label = (old, "was wrong") if new.status == "correct" else (new, "wrong")
        yield from ((label, fault) for fault in faults(faulty_case))
        return
    for index, (was, now) in enumerate(zip(old.turns, new.turns, strict=False)):
        if (was.status == "correct") == (now.status == "correct") and len(new.turns) > 1:
            continue
        where = _where(new, index)
        yield f"old{where}", _answer(report.old, old, index, was)
        yield f"new{where}", _answer(report.new, new, index, now)
        faulty, label = (was, "was wrong") if now.status == "correct" else (now, "wrong")
        yield from _findings(faulty, label)


def _failed_turns(run: RunView, case: CaseResult) -> Iterator[Field]:
    if case.executed is not None:
        yield from conversation(run, case)
        yield from (("wrong", fault) for fault in faults(case))
        return
    for index, turn in enumerate(case.turns):
        if turn.status == "correct" and len(case.turns) > 1:
            continue
        where = _where(case, index)
        key = Key(case.id, case.repeat, index)
        if turn.status == "error":
            yield f"broke{where}", Quote(cut(run.errors.get(key, "the answer could not be made")))
            continue
        if turn.calls:
            yield f"called{where}", calls(turn.calls)
        # The calls say it all, unless something in the answer could not be read.
        if not turn.calls or turn.status in ("malformed", "truncated"):
            yield f"answered{where}", _answer(run, case, index, turn)
        yield from _findings(turn, "wrong")


def _asked(run: RunView, case: CaseResult, other: RunView | None = None) -> Iterator[Field]:
    prompt = run.prompts.get(case.id) or (other.prompts.get(case.id) if other else None)
    if prompt:
        yield "asked", Quote(cut(prompt))


def _answer(run: RunView, case: CaseResult, index: int, turn: TurnResult) -> Inline:
    key = Key(case.id, case.repeat, index)
    if turn.status == "error":
        return ("error: ", Quote(cut(run.errors.get(key, "the answer could not be made"))))
    if key in run.answers:
        return Quote(cut(run.answers[key])) if run.answers[key] else "nothing at all"
    return calls(turn.calls)


def _findings(turn: TurnResult, label: str) -> Iterator[Field]:
    # A warning next to a fault explains it; alone it is not a fault.
    found: Sequence[Finding] = sorted(turn.findings, key=lambda each: each.code in WARNINGS)
    for each in found[:_FINDINGS]:
        yield ("noted" if each.code in WARNINGS else label), finding(each)
    if len(found) > _FINDINGS:
        yield label, f"… and {plural(len(found) - _FINDINGS, 'more finding')}"


def _note(case: CaseResult) -> str:
    notes: list[str] = [case.status]
    if case.status_lenient != case.status:
        notes.append(f"{case.status_lenient} if read leniently")
    if case.must_pass:
        notes.append("must pass")
    return ", ".join(notes)


def _where(case: CaseResult, index: int) -> str:
    return f", turn {index + 1}" if len(case.turns) > 1 else ""


def _by_id(run: RunView) -> Callable[[str], Sequence[CaseResult]]:
    """
    Return what finds the results of a case by its id.
    """
    places, cases = run.record.columns.places, run.record.cases
    return lambda name: [cases[place] for place in places.get(name, ())]


def _worst(results: Sequence[CaseResult]) -> CaseResult | None:
    return next((case for case in results if case.status != "correct"), None)
