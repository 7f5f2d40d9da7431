"""
The contract of renderers, held by every one of this package.
"""

from collections.abc import Callable

import pytest

from harness.errors import UsageError
from harness.renderers.registry import names, renderer
from harness.reports.report import Report
from harness.testing import RendererContract

SLOW = ("html",)
"""Its pictures take half a second a page."""


class TestEveryRenderer(RendererContract):
    samples = tuple(name for name in names() if name not in SLOW)


class TestEverySlowRenderer(RendererContract):
    samples = SLOW
    every = 3
    test_any_characters_can_be_shown = None  # browsed instead: test_html_in_browser


def test_an_unknown_renderer_is_an_error_that_lists_the_known():
    with pytest.raises(UsageError, match=r"'crayon'.*markdown"):
        renderer("crayon")


@pytest.mark.parametrize("each", ["html", "junit", "markdown", "terminal"])
@pytest.mark.parametrize("char", ["x", "\x1b", "`"])
def test_a_megabyte_is_cut_and_says_so(
    each: str, char: str, hostile_reports: Callable[[str], list[Report]]
):
    for report in hostile_reports(char * 1_000_000):
        text = renderer(each)(report)

        assert len(text) < (5_000_000 if each == "html" else 3_000_000)
        assert " characters)" in text
