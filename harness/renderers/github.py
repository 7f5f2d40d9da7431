"""
A report for GitHub Actions: annotations, and the outputs of the step.

Annotations are workflow commands, one per line; GitHub keeps ten errors and ten warnings per step.
Outputs are ``name=value`` lines for ``$GITHUB_OUTPUT``.
https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from collections.abc import Iterator
from typing import Literal

from harness.errors import ExitCode
from harness.reports import changes
from harness.reports import escape as safe
from harness.reports.blocks import Entry, plain
from harness.reports.evidence import broken
from harness.reports.report import Report
from harness.reports.stack import outcome

SUMMARY_LIMIT = 1_000_000
"""A step's summary may have 1 MiB."""

_MOST = 9
"""Cases with an annotation of their own: the tenth is the verdict."""
_LONGEST = 1_000

Level = Literal["error", "warning", "notice"]


def render(report: Report) -> str:
    """
    Return *report* as annotations, one workflow command per line.
    """
    return "".join(f"{line}\n" for line in _annotations(report))


def outputs(report: Report) -> str:
    """
    Return the outputs for later steps, for ``$GITHUB_OUTPUT``: verdict, exit, reason, and how many
    cases are broken and fixed, and how many answers a serving stack lost and gained, as far as
    *report* has them.
    """
    lines = []
    decided = report.release or report.verdict
    if decided is not None:
        lines += [
            f"verdict={decided.verdict}",
            f"exit={int(decided.exit)}",
            f"reason={_line(decided.reasons[0].text)}",
        ]
        if decided.override is not None:
            lines.append(f"override={_line(str(decided.override))}")
    if report.verdict is not None and report.verdict.export is not None:
        lines.append(f"export={_line(str(report.verdict.export))}")
    compared = [part.comparison for part in report.parts if part.comparison is not None]
    if compared:
        rates = [each.rates["accuracy"] for each in compared]
        lines += [
            f"broken={sum(len(rate.broken) for rate in rates)}",
            f"fixed={sum(len(rate.fixed) for rate in rates)}",
        ]
    if report.comparison is not None:
        rate = report.comparison.rates["accuracy"]
        lines += [f"broken={len(rate.broken)}", f"fixed={len(rate.fixed)}"]
        lines.append(f"accepted={len(report.comparison.accepted)}")
    if report.stack is not None:
        lines += [f"lost={len(report.stack.lost)}", f"gained={len(report.stack.gained)}"]
    # A value is always one line, so that none can begin another output.
    return "".join(f"{line}\n" for line in lines)


def _annotations(report: Report) -> Iterator[str]:
    decided = report.release or report.verdict
    blocked = decided is not None and decided.exit != ExitCode.PASS
    if report.stack is not None:
        yield _command("notice", "harness stack", f"{report.title}: {outcome(report.stack)}")
    elif decided is None:
        yield _command("notice", "harness", report.title)
    else:
        doubtful: Level = "notice" if decided.verdict == "pass" else "warning"
        beside = (*changes.override(decided), *changes.exported(report.verdict))
        why = "".join(f"\n{plain(each.text)}" for each in beside)
        said = f"harness gate: {changes.word(decided)}"
        yield _command("error" if blocked else doubtful, said, decided.reasons[0].text + why)
    compared = [
        (f"{part.new.record.suite.name}: " if report.parts else "", part, part.comparison)
        for part in report.parts or (report,)
        if part.comparison is not None
    ]
    listed = [
        f"{suite}{each.case} ({changes.ACCEPTED[each.state]}): {each.reason}"
        for suite, _, comparison in compared
        for each in comparison.accepted
    ]
    if listed:
        yield _command("notice", f"{len(listed)} accepted", "\n".join(listed))
    found = [
        (suite, entry) for suite, part, comparison in compared for entry in broken(part, comparison)
    ]
    for suite, entry in found[:_MOST]:
        title = f"broken: {safe.cut(suite + entry.name)} ({entry.note})"
        yield _command("error" if blocked else "warning", title, _said(entry))


def _said(entry: Entry) -> str:
    return "\n".join(f"{label}: {_line(plain(text))}" for label, text in entry.fields)


def _command(level: Level, title: str, text: str) -> str:
    kept = "\n".join(map(_line, text.split("\n")))
    escaped = _line(title).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={escaped}::{kept.replace('%', '%25').replace(chr(10), '%0A')}"


def _line(text: str) -> str:
    return safe.line(safe.cut(text, _LONGEST))
