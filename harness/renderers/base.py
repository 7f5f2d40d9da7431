"""
What a renderer is given, and what it is.

A renderer decides nothing: it spells what is in the `Report`, and every text in it that a model, a
suite or a file name brought goes through `harness.reports.escape`.
"""

from typing import Protocol

from harness.reports.report import Report


class Renderer(Protocol):
    """
    One form of report.

    The contract, held by one test for all members:

    - any `Report` gives text, of one run, of a comparison or of many runs, and never an error;
    - the same report gives the same text;
    - the text can be written as UTF-8, whatever a model wrote.
    """

    def __call__(self, report: Report) -> str:
        """
        Spell *report*.
        """
