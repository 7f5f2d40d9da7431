"""
The short form of a report: the verdict, what decided, what moved, and the broken cases, one a line.

It is a part of what `harness.reports.sections` shows, and says what it leaves out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from harness.comparison.compare import Comparison
from harness.comparison.stack import PARTS, StackCost
from harness.gating.release import Release
from harness.gating.verdict import Reason, Verdict
from harness.lazy import MadeOf
from harness.reports import changes, evidence, ranked, release, stack, tables
from harness.reports.blocks import (
    Block,
    Entry,
    Inline,
    Listing,
    Paragraph,
    Points,
    Section,
    Table,
    plain,
)
from harness.reports.escape import cut
from harness.reports.format import plural, title, value
from harness.reports.report import Report, RunView
from harness.reports.sections import says_something
from harness.scoring.results import PRECEDENCE
from harness.wording import named

FIRST = 20
"""How many cases are listed where there is room."""

_REASONS = 3
_SENTENCE = 280
"""How much of a reason is said, in characters."""
_ROWS = 8


def brief(report: Report) -> tuple[Section, ...]:
    """
    Return the parts of *report* that decide, in reading order.
    """
    if report.release is not None:
        found = _release(report, report.release)
    elif report.stack is not None:
        found = _stack(report, report.stack)
    elif report.comparison is not None:
        found = _compared(report, report.comparison)
    elif len(report.runs) > 1:
        found = _side_by_side(report)
    else:
        found = _one_run(report.new)
    return tuple(
        Section(title=section.title, blocks=kept, open=section.open)
        for section in found
        if (kept := tuple(block for block in section.blocks if says_something(block)))
    )


def outcome(report: Report) -> str:
    """
    Return what *report* comes to, in a few words: its verdict, or its counts if there is none.
    """
    decided = report.release or report.verdict
    if decided is not None:
        return changes.word(decided)
    if report.stack is not None:
        return stack.outcome(report.stack)
    if report.comparison is not None:
        if not report.comparison.pairs:
            return "not comparable"
        rate = report.comparison.rates["accuracy"]
        return f"{plural(len(rate.broken), 'case')} broken, {len(rate.fixed):,} fixed"
    if len(report.runs) > 1:
        return _first(report)
    return f"accuracy {value('accuracy', report.new.record.metrics['accuracy'].value)}"


def _first(report: Report) -> str:
    ranking = report.ranking
    if ranking is None:
        return plural(len(report.runs), "run")
    if not ranking.answers:
        return "not comparable"
    alike = [report.runs[place].name for place in ranking.places[0].alike]
    best = report.runs[0].name
    return f"no clear best: {named([best, *alike])}" if alike else f"best: {best}"


def _compared(report: Report, comparison: Comparison) -> Iterator[Section]:
    verdict = report.verdict
    left_out: list[str] = []
    if verdict is not None:
        decisive = _decisive(verdict)
        first, *further = decisive[:_REASONS]
        head: list[Block] = [
            Paragraph(
                text=f"{changes.word(verdict)}: {_shortened(first.text)}",
                mood=changes.MOODS[verdict.verdict],
            ),
            *changes.override(verdict),
            *changes.exported(verdict),
            Points(texts=tuple(_shortened(reason.text) for reason in further)),
            changes.summary(report, comparison)[-1],
        ]
        if hidden := len(verdict.reasons) - 1 - len(further):
            left_out.append(plural(hidden, "further reason"))
        if verdict.notes:
            left_out.append(plural(len(verdict.notes), "note"))
        yield Section(title="", blocks=tuple(head))
    else:
        yield Section(title="", blocks=changes.summary(report, comparison))
    yield Section(title="Metrics that moved", blocks=tuple(_moved(comparison, verdict)))
    failed = comparison.must_pass_failed
    yield Section(
        title=f"Must pass and did not ({len(failed)})",
        blocks=(_lines(evidence.named(report, failed)),),
    )
    broken = evidence.broken(report, comparison)
    others = evidence.broken(report, comparison, besides=failed)
    above = len(broken) - len(others)
    part = f", {above:,} of them above" if above and others else ""
    yield Section(
        title=f"Broken ({len(broken)}{part})",
        blocks=(
            _lines(others),
            Paragraph(text="All of them must pass: listed above." if above and not others else ""),
        ),
    )
    yield Section(
        title=f"Accepted ({len(comparison.accepted)})", blocks=(changes.accepted(comparison),)
    )
    apart = report.divergences
    looked = apart is not None and any(each.token for each in apart.first)
    yield Section(
        title="Answers that differ", blocks=changes.divergences(apart, _ROWS if looked else 0)
    )
    yield Section(title="What the export changed", blocks=changes.departures(verdict, _ROWS))
    fixed = len(comparison.rates["accuracy"].fixed)
    said = [plural(fixed, "fixed case")] if fixed else []
    yield _rest([*left_out, *said, "every metric", "the answers"])


def _stack(report: Report, cost: StackCost) -> Iterator[Section]:
    yield Section(title="", blocks=stack.summary(cost))
    for part, name in PARTS.items():
        entries = stack.lost_by(report, cost, part)
        yield Section(title=f"Lost by {name} ({len(cost.by(part))})", blocks=(_lines(entries),))
    said = [plural(len(cost.findings), "finding") + " of the preflight"] if cost.findings else []
    yield _rest([*said, "the answers", "every metric", "the runs' settings"])


def _release(report: Report, found: Release) -> Iterator[Section]:
    said, *between, further = release.head(found)
    if isinstance(said, Paragraph):
        said = replace(said, text=_shortened(plain(said.text)))
    points: list[Inline] = []
    if isinstance(further, Points):
        points = [_shortened(plain(text)) for text in further.texts[: _REASONS - 1]]
    yield Section(title="", blocks=(said, *between, Points(texts=tuple(points))))
    hidden = 0
    for part in report.parts:
        blocked = found.suites[part.new.record.suite.name].word in ("regressed", "still_failing")
        if part.comparison is None or not blocked:
            hidden += 1
            continue
        broken = evidence.broken(part, part.comparison)
        yield Section(
            title=f"Broken in {release.title_of(part, found)} ({len(broken)})",
            blocks=(_lines(broken),),
        )
    said_too = [plural(hidden, "further suite")] if hidden else []
    yield _rest(["every reason", *said_too, "every metric", "the answers"])


def _decisive(verdict: Verdict) -> list[Reason]:
    """
    Return the reasons for the verdict, and those that would block by themselves; of a pass only the
    first, as every limit passed.
    """
    first, *rest = verdict.reasons
    if verdict.verdict == "pass":
        return [first]
    said = (verdict.verdict, "still_failing", "not_comparable")
    return [first, *(reason for reason in rest if reason.verdict in said)]


def _shortened(reason: str) -> str:
    """
    Return the first clauses of *reason* that fit, as it names what matters most first.
    """
    first, *further = reason.split("; ")
    kept = cut(first, _SENTENCE)
    for clause in further:
        if len(kept) + len(clause) > _SENTENCE:
            return f"{kept}; …"
        kept += f"; {clause}"
    return kept


def _moved(comparison: Comparison, verdict: Verdict | None) -> Iterator[Block]:
    judged = verdict.metrics if verdict else {}
    rows: list[tuple[Inline, ...]] = []
    # Those with a limit come first: they decide.
    names = sorted(comparison.metrics, key=lambda name: name not in judged)
    for name in names:
        paired, limit = comparison.metrics[name], judged.get(name)
        blamed = limit is not None and limit.verdict not in ("pass", "not_measured")
        if not paired.pairs or (paired.old == paired.new and not blamed):
            continue
        judgement = changes.outcome(name, limit)[1:] if verdict else ()
        rows.append((title(name), *changes.values(name, paired), *judgement))
    header: tuple[Inline, ...] = ("metric", "old", "new", "change")
    if verdict is not None:
        header = (*header, "limit", "verdict")
    yield Table(header=header, rows=tuple(rows[:_ROWS]), right=frozenset({1, 2, 3, 4}))
    if len(rows) > _ROWS:
        yield Paragraph(text=f"… and {len(rows) - _ROWS:,} more")
    if not rows:
        yield Paragraph(text="None.")


def _side_by_side(report: Report) -> Iterator[Section]:
    if report.ranking is not None:
        yield Section(title="", blocks=ranked.order(report.runs, report.ranking))
    yield Section(title="Metrics", blocks=(tables.metrics_side_by_side(report.runs),))
    count = len(tables.disagreements(report.runs).rows)
    yield _rest([f"{plural(count, 'answer')} on which they differ", "the runs' settings"])


def _one_run(run: RunView) -> Iterator[Section]:
    counts = Counter[str]()
    for case, many in run.record.columns.judged(lambda case: True):
        counts["quarantined" if case.quarantined else case.status] += many
    said = ", ".join(
        f"{counts[status]:,} {status}"
        for status in (*reversed(PRECEDENCE), "quarantined")
        if counts[status]
    )
    yield Section(
        title="",
        blocks=(
            Paragraph(text=said, mood="title"),
            Paragraph(text=() if run.record.selection.complete else tables.selected(run.record)),
            Paragraph(text=tables.drawn_once(run.record)),
        ),
    )
    yield Section(title="Metrics", blocks=(tables.metrics_of(run.record),))
    repeats = tables.in_all_repeats((run,), ("pass^k",))
    yield Section(title="Right in k of k repeats", blocks=(repeats,))
    failed = evidence.failures(run)
    yield Section(title=f"Not correct ({plural(len(failed), 'answer')})", blocks=(_lines(failed),))
    yield _rest(["the answers", "tags", "the run's settings"])


def _lines(entries: Sequence[Entry]) -> Listing:
    """
    Return cases with the first thing that is wrong with each.
    """
    return Listing(
        entries=MadeOf(entries, lambda each: replace(each, note=_with_fault(each), fields=())),
        first=FIRST,
    )


def _with_fault(entry: Entry) -> str:
    # What broke comes first: it is why the case has no other answer.
    named = sorted(entry.fields, key=lambda field: not field[0].startswith("broke"))
    faults = (plain(text) for label, text in named if label.startswith(("wrong", "broke")))
    return ": ".join([entry.note.removeprefix("correct → "), *islice(faults, 1)])


def _rest(what: list[str]) -> Section:
    return Section(title="", blocks=(Paragraph(text=f"-v also shows: {', '.join(what)}."),))
