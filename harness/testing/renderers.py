"""
What every renderer promises (`harness.renderers.base.Renderer`), as tests.
"""

from typing import Any, ClassVar

import pytest

from harness.renderers.registry import names, renderer
from harness.reports.report import Report
from harness.testing.contract import Contract
from harness.testing.examples import Examples, on_examples
from harness.testing.reports import REPORTS, hostile_reports
from harness.testing.texts import HOSTILE


class RendererContract(Contract):
    """
    Held by every renderer. A subclass lists the names of renderers in ``samples``.
    """

    every: ClassVar[int] = 1
    """Of the reports full of hostile text the first is rendered, and every so many after it: there
    are four, and some renderers take long."""

    def parameters(self, metafunc: pytest.Metafunc) -> dict[str, list[Any]]:
        """
        Return the names, and the reports or texts that a test asks for.
        """
        found = super().parameters(metafunc)
        if "kind" in metafunc.fixturenames:
            found["kind"] = list(REPORTS)
        if "hostile" in metafunc.fixturenames:
            found["hostile"] = list(HOSTILE)
        return found

    def test_is_found_by_its_name(self, sample: str) -> None:
        assert sample in names()
        assert callable(renderer(sample))

    def test_the_same_report_gives_the_same_text(self, sample: str, kind: str) -> None:
        render = renderer(sample)
        report = REPORTS[kind]()

        text = render(report)

        assert text.strip()
        assert text == render(report)
        assert text == text.encode("utf-8").decode("utf-8")

    def test_whatever_a_model_writes_can_be_shown(self, sample: str, hostile: str) -> None:
        for report in hostile_reports(HOSTILE[hostile])[:: self.every]:
            check_text(sample, report)

    @on_examples
    def test_any_characters_can_be_shown(self, sample: str, examples: Examples) -> None:
        for report in hostile_reports(examples.characters()):
            check_text(sample, report)


def check_text(name: str, report: Report) -> None:
    """
    Assert that a renderer returns text that is UTF-8 without control characters.
    """
    text = renderer(name)(report)

    text.encode("utf-8")
    assert [] == sorted({char for char in text if not char.isprintable() and char != "\n"})
