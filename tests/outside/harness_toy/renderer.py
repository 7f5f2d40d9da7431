"""
A line for each run: what it is called and how many answers were right.
"""

from harness.reports.escape import cut, line
from harness.reports.report import Report


def render(report: Report) -> str:
    """
    Spell *report*.
    """
    lines = [line(cut(report.title))]
    for run in report.runs:
        accuracy = run.record.metrics["accuracy"]
        lines.append(f"{line(cut(run.name))}: {accuracy.hits} of {accuracy.eligible} are right")
    return "\n".join(lines) + "\n"
