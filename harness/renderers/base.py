"""
What a renderer is: a function from a `Report` to text.

A renderer decides nothing: it writes what is in the `Report`, and escapes every text that comes
from a model, a suite or a file name with `harness.reports.escape`.
"""

from typing import Protocol

from harness.reports.report import Report


class Renderer(Protocol):
    """
    One form of report.

    The contract, which `harness.testing` holds every member to:

    - any `Report`, of one run, a comparison or many runs, becomes text and never raises;
    - the same report makes the same text;
    - the text can be written as UTF-8, whatever a model wrote.
    """

    def __call__(self, report: Report) -> str:
        """
        Return *report* as text.
        """
