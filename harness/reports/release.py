"""
Suites beside each other with one verdict: what a report on a release begins with.

Whatever the form, first comes the sentence that decided, then suite by suite what became of it.
"""

from collections.abc import Iterator

from harness.gating.release import Release, SuiteVerdict
from harness.reports import changes, evidence
from harness.reports.blocks import Block, Inline, Listing, Paragraph, Points, Quote, Section, Table
from harness.reports.escape import cut
from harness.reports.format import ABSENT, change, value
from harness.reports.report import Report


def head(release: Release) -> tuple[Block, ...]:
    """
    Return the verdict in one sentence, the table of suites, and what else speaks for the verdict.
    """
    first, *rest = release.reasons
    further = [reason for reason in rest if reason.verdict != "pass"]
    return (
        Paragraph(
            text=f"{changes.word(release)}: {cut(first.text, changes.REASON)}",
            mood=changes.MOODS[release.verdict],
        ),
        *changes.override(release),
        suites(release),
        Points(
            texts=(
                *(cut(reason.text, changes.REASON) for reason in further),
                *(f"note: {cut(note, changes.REASON)}" for note in release.notes),
            )
        ),
    )


def suites(release: Release) -> Table:
    """
    Return suite x verdict: those that decide first, and of these the worst.
    """
    return Table(
        header=("suite", "tier", "verdict", "accuracy", "change", "broken", "fixed", "pairs"),
        rows=tuple(_row(name, each) for name, each in release.suites.items()),
        right=frozenset({4, 5, 6, 7}),
    )


def sections(report: Report, release: Release) -> Iterator[Section]:
    """
    Yield the whole report: the head, then each suite with its limits and its broken cases.
    """
    yield Section(title="", blocks=head(release), open=True)
    for part in report.parts:
        yield Section(title=title_of(part, release), blocks=tuple(of_suite(part)))


def of_suite(part: Report) -> Iterator[Block]:
    """
    Yield what a release's report shows of one suite: its *part* of the report.
    """
    comparison = part.comparison
    if comparison is None:
        return
    yield from changes.summary(part, comparison)
    yield changes.metrics(comparison, part.verdict)
    yield changes.slices(part.verdict)
    yield changes.accepted(comparison)
    yield from changes.against_anchor(part.verdict)
    yield Listing(entries=evidence.named(part, comparison.must_pass_failed))
    yield Listing(entries=evidence.broken(part, comparison, besides=comparison.must_pass_failed))


def title_of(part: Report, release: Release) -> str:
    """
    Return the title of a suite's part of the report.
    """
    name = part.new.record.suite.name
    each = release.suites[name]
    aside = ", advisory" if each.tier == "advisory" else ""
    return f"{cut(name)}: {each.word.replace('_', ' ')}{aside}"


def _row(name: str, each: SuiteVerdict) -> tuple[Inline, ...]:
    start: tuple[Inline, ...] = (Quote(cut(name)), each.tier, each.word.replace("_", " "))
    if each.verdict is None:
        return (*start, "no run", ABSENT, ABSENT, ABSENT, ABSENT)
    accuracy = each.verdict.metrics.get("accuracy")
    moved, by, pairs = ABSENT, ABSENT, ABSENT
    if accuracy is not None and accuracy.old is not None and accuracy.new is not None:
        moved = f"{value('accuracy', accuracy.old)} → {value('accuracy', accuracy.new)}"
        by = change("accuracy", accuracy.new - accuracy.old, relative=False)
        pairs = f"{accuracy.pairs:,}"
    counts = (f"{len(each.verdict.broken):,}", f"{len(each.verdict.fixed):,}")
    return (*start, moved, by, *counts, pairs)
