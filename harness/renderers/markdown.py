"""
A report as GitHub-flavoured Markdown for a pull request: a short summary, the rest folded.
"""

from harness.reports import escape as safe
from harness.reports.fitted import LIMIT, fitted
from harness.reports.report import Report
from harness.reports.sections import sections


def render(report: Report, *, limit: int = LIMIT) -> str:
    """
    Return *report* in at most *limit* characters, cut by whole rows, with the number left out.
    """
    return fitted([f"### {safe.prose(safe.cut(report.title))}"], sections(report), limit)
