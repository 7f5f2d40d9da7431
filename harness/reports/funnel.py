"""
Where executed cases are lost: called at all, found given called, answered given found.

The first is routing, the second the query that the model wrote, the third reading. Each share is of
the cases that the stage before left.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.canonical import canonical_json
from harness.reports.blocks import Inline, Quote, Table
from harness.reports.escape import cut
from harness.reports.report import Report, RunView
from harness.runs.record import RunRecord
from harness.scoring.results import CaseResult, Change, Execution
from harness.stats import wilson

Stage = Callable[[Execution], bool]

STAGES: Mapping[str, Stage] = {
    "called": lambda executed: executed.called,
    "found": lambda executed: bool(executed.found),
    "answered": lambda executed: bool(executed.answered),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """
    One stage: of the cases that came there, how many passed.
    """

    name: str
    came: int
    passed: int


def passages(record: RunRecord) -> tuple[Passage, ...]:
    """
    Return the stages of the scored cases that a document answers; empty if there are none.
    """
    ways = record.columns.judged(lambda case: case.scored and _answerable(case))
    came = sum(many for _, many in ways)
    found = []
    for name, passes in STAGES.items():
        if name == "answered":
            ways = [each for each in ways if _execution(each[0]).answered is not None]
            came = sum(many for _, many in ways)
        ways = [each for each in ways if passes(_execution(each[0]))]
        passed = sum(many for _, many in ways)
        found.append(Passage(name=name, came=came, passed=passed))
        came = passed
    return tuple(found) if found and found[0].came else ()


def _answerable(case: CaseResult) -> bool:
    return case.executed is not None and bool(case.executed.relevant)


def _execution(case: CaseResult) -> Execution:
    assert case.executed is not None
    return case.executed


def funnel(runs: tuple[RunView, ...], names: tuple[Inline, ...]) -> Table:
    """
    Return the stages of each run, with 95% intervals; of two runs also which cases each stage lost
    and won.
    """
    found = [passages(run.record) for run in runs]
    if not any(found):
        return Table(header=(), rows=())
    header: list[Inline] = ["stage"]
    for name in names:
        header += [(*_parts(name), " of" if len(names) > 1 else "cases"), "share", "interval"]
    rows: list[tuple[Inline, ...]] = []
    flips = _flips(runs) if len(runs) == 2 else None
    for place, stage in enumerate(STAGES):
        row: list[Inline] = [stage]
        for each in found:
            row += _cells(each[place]) if each else ["–", "–", ""]
        if flips is not None:
            row += [f"{flips[stage][0]:,}", f"{flips[stage][1]:,}"]
        rows.append(tuple(row))
    if flips is not None:
        header += ["lost", "won"]
    return Table(header=tuple(header), rows=tuple(rows), right=frozenset(range(1, len(header))))


def _parts(name: Inline) -> tuple[Quote | str, ...]:
    return name if isinstance(name, tuple) else (name,)


def _cells(passage: Passage) -> list[Inline]:
    if not passage.came:
        return [f"{passage.passed:,}/0", "–", ""]
    low, high = wilson(passage.passed, passage.came)
    share = passage.passed / passage.came
    return [
        f"{passage.passed:,}/{passage.came:,}",
        f"{share:.1%}",
        f"{100 * low:.1f}–{100 * high:.1f}%",
    ]


def _flips(runs: tuple[RunView, ...]) -> dict[str, tuple[int, int]]:
    """
    Return how many pairs of answers each stage lost and won: that passed it before and no longer
    do, whatever the stages before made of them, and the other way round.
    """
    old = {(case.id, case.repeat): case for case in runs[0].record.cases if _answerable(case)}
    counts = {stage: [0, 0] for stage in STAGES}
    for case in runs[1].record.cases:
        was = old.get((case.id, case.repeat))
        if was is None or was.digest != case.digest or not (was.scored and case.scored):
            continue
        for stage, passes in STAGES.items():
            before, after = passes(_execution(was)), passes(_execution(case))
            counts[stage][0] += before and not after
            counts[stage][1] += after and not before
    return {stage: (lost, won) for stage, (lost, won) in counts.items()}


def states(report: Report, names: tuple[str, ...]) -> Table:
    """
    Return how the end states of the cases with these ids differ between the two runs of *report*:
    each change that not both of them made.
    """
    wanted = set(names)
    sides: list[dict[tuple[str, str], Change]] = [{}, {}]
    for side, run in zip(sides, (report.old, report.new), strict=True):
        for case in run.record.cases:
            if case.id in wanted and case.executed is not None and not case.repeat:
                for change in case.executed.changes:
                    what = f"{change.table} {change.row} {change.column or change.kind}"
                    side[case.id, what] = change
    rows: list[tuple[Inline, ...]] = []
    for key in sorted({*sides[0], *sides[1]}):
        old, new = sides[0].get(key), sides[1].get(key)
        if old is not None and new is not None and old.new == new.new:
            continue
        either = old or new
        assert either is not None
        rows.append(
            (
                Quote(cut(key[0], 40)),
                Quote(cut(key[1], 60)),
                _value(either.old),
                _value(old.new) if old is not None else "unchanged",
                _value(new.new) if new is not None else "unchanged",
            )
        )
    return Table(header=("case", "state", "before", "old", "new"), rows=tuple(rows))


def _value(value: object) -> Inline:
    return "–" if value is None else Quote(cut(canonical_json(value), 60))
