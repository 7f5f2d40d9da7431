"""
What every renderer must do with every report, and with whatever a model may write.
"""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.renderers.registry import names, renderer
from harness.reports.report import Report

from .hostile import HOSTILE

MEMBERS = ("github", "html", "json", "junit", "lm-eval", "markdown", "model-index", "terminal")


@pytest.fixture(params=list(HOSTILE))
def hostile(request: pytest.FixtureRequest) -> str:
    return HOSTILE[request.param]


@pytest.fixture(params=sorted(MEMBERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_members_are_known():
    assert names() == MEMBERS


def test_an_unknown_renderer_is_an_error_that_lists_the_known():
    with pytest.raises(UsageError, match=r"'crayon'.*markdown"):
        renderer("crayon")


def test_every_report_gives_the_same_text_twice(name: str, report: Report):
    render = renderer(name)
    text = render(report)

    assert text.strip()
    assert text == render(report)
    text.encode("utf-8")


def test_whatever_a_model_writes_can_be_shown(
    name: str, hostile: str, hostile_reports: Callable[[str], list[Report]]
):
    """
    No error, no control character, no hidden one, nothing that is not UTF-8.
    """
    reports = hostile_reports(hostile)
    # Pictures take half a second a page; two of the four have all there is.
    for report in reports[::3] if name == "html" else reports:
        text = renderer(name)(report)

        text.encode("utf-8")
        assert [] == sorted({char for char in text if not char.isprintable() and char != "\n"})


@pytest.mark.parametrize("each", ["html", "junit", "markdown", "terminal"])
@pytest.mark.parametrize("char", ["x", "\x1b", "`"])
def test_a_megabyte_is_cut_and_says_so(
    each: str, char: str, hostile_reports: Callable[[str], list[Report]]
):
    for report in hostile_reports(char * 1_000_000):
        text = renderer(each)(report)

        assert len(text) < (5_000_000 if each == "html" else 3_000_000)
        assert " characters)" in text


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(), min_size=1, max_size=40))
def test_any_text_can_be_shown(text: str, hostile_reports: Callable[[str], list[Report]]):
    for report in hostile_reports(text):
        for each in MEMBERS:
            if each == "html":
                continue  # its pictures take too long for so many examples; it is browsed instead
            shown = renderer(each)(report)

            shown.encode("utf-8")
            assert [] == sorted({char for char in shown if not char.isprintable() and char != "\n"})
