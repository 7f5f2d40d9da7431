"""
A report as the one comment on a pull request that is kept up to date: what decided in an alert,
the suites or limits, ten broken cases with both answers; the rest is folded.

It begins with a marker that nobody sees, by which `harness comment` finds it again. Alerts are
GitHub's
(https://docs.github.com/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#alerts);
where they are unknown, they are shown as a quotation.
"""

from collections.abc import Iterator
from dataclasses import replace

from harness.gating.release import Release
from harness.gating.verdict import Decided, Word
from harness.reports import changes, evidence
from harness.reports import escape as safe
from harness.reports.blocks import Block, Entry, Listing, Paragraph, Section, plain
from harness.reports.fitted import LIMIT, fitted
from harness.reports.format import plural
from harness.reports.release import suites
from harness.reports.report import Report
from harness.reports.sections import sections
from harness.workflow.comment import KEPT, MARKER

FIRST = 10
"""How many broken cases are shown unfolded."""

_ALERTS: dict[Word, str] = {
    "regressed": "CAUTION",
    "still_failing": "CAUTION",
    "not_comparable": "WARNING",
    "inconclusive": "WARNING",
    "pass": "NOTE",
}


def render(report: Report, *, limit: int = LIMIT) -> str:
    """
    Return *report* as GitHub-flavoured Markdown in at most *limit* characters.
    """
    decided = report.release or report.verdict
    word = "none" if decided is None else decided.verdict
    head = [f"{MARKER} verdict={word} -->"]
    if decided is None:
        return fitted([*head, f"### {safe.prose(safe.cut(report.title))}"], sections(report), limit)
    head += (_alert(decided), *_override(decided))
    head += (safe.prose(plain(said.text)) for said in changes.exported(report.verdict))
    return fitted(head, [*_first(report), *_folded(report)], limit)


def _alert(decided: Decided) -> str:
    kind = _ALERTS[decided.verdict] if decided.override is None else "WARNING"
    reason = safe.prose(safe.cut(decided.reasons[0].text, changes.REASON))
    return f"> [!{kind}]\n> **{changes.word(decided)}**: {reason}"


def _override(decided: Decided) -> Iterator[str]:
    for said in changes.override(decided):
        yield f"{safe.prose(plain(said.text))} {KEPT}"


def _first(report: Report) -> Iterator[Section]:
    yield Section(title="", blocks=_shown(report, report.release), open=True)
    found = list(_broken(report))
    if found:
        shown = f", {FIRST} of them shown" if len(found) > FIRST else ""
        yield Section(
            title=f"Broken ({plural(len(found), 'case')}{shown})",
            blocks=(Listing(entries=tuple(found[:FIRST])),),
            open=True,
        )


def _shown(report: Report, release: Release | None) -> tuple[Block, ...]:
    """
    Return what is not folded: the suites, or the limits.
    """
    if release is not None:
        return (suites(release),)
    assert report.comparison is not None  # or there would be no verdict
    table = changes.metrics(report.comparison, report.verdict)
    return (table, *changes.notes(report.comparison, report.verdict))


def _broken(report: Report) -> Iterator[Entry]:
    for part in report.parts or (report,):
        if part.comparison is None:
            continue
        suite = f"{part.new.record.suite.name}: " if report.parts else ""
        for entry in evidence.broken(part, part.comparison):
            yield replace(entry, name=f"{suite}{entry.name}")


def _folded(report: Report) -> Iterator[Section]:
    shown = _shown(report, report.release)
    for section in sections(report):
        # The alert has said the first sentence.
        said = () if section.title else (Paragraph,)
        blocks = tuple(
            each for each in section.blocks if each not in shown and not isinstance(each, said)
        )
        if blocks:
            yield Section(title=section.title or "All reasons and notes", blocks=blocks)
