"""
A report as GitHub-flavoured Markdown for a pull request: a short summary, the rest folded.
"""

from harness.reports import escape as safe
from harness.reports.blocks import Section
from harness.reports.fitted import LIMIT, fitted
from harness.reports.report import Report
from harness.reports.sections import sections
from harness.reports.sheet import Sheet


def render(report: Report, *, limit: int = LIMIT) -> str:
    """
    Return *report* in at most *limit* characters, cut by whole rows, with the number left out.
    """
    return fitted([f"### {safe.prose(safe.cut(report.title))}"], sections(report), limit)


def render_sheet(sheet: Sheet, *, limit: int = LIMIT) -> str:
    """
    Return the words and tables of *sheet*, as `render` does a report; its curves need a page.
    """
    head = Section(title="", blocks=sheet.summary, open=True)
    title = f"### {safe.prose(safe.cut(sheet.title))}"
    return fitted([title], (head, *sheet.sections), limit)
