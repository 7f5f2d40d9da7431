"""
What every renderer must do with every report, and with whatever a model may write.
"""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.renderers.base import Report
from harness.renderers.registry import names, renderer

HOSTILE = {
    "escape": "\x1b[2J\x1b[31mred\x1b[0m",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "c1": "\x9b31m and \x84",
    "bidi": "user\u202etxt.exe\u2066\u2069\u200f",
    "hidden": "a\u200bb\ufeffc\u00add\U000e0041",
    "html": "</details><script>alert(1)</script><img src=x onerror=y>",
    "backticks": "`a``b```c`",
    "only backticks": "``",
    "table": "a|b\\|c|--|\n|x|y|",
    "cdata": "]]><!-- --> &amp; <![CDATA[",
    "control": "nul\x00bell\x07back\x08del\x7f",
    "surrogate": "\ud800 and \udfff",
    "noncharacter": "\ufffe \uffff \U0001ffff",
    "lines": "one\ntwo\r\nthree\rfour\u2028five\x0bsix",
    "markdown": "# head\n* [link](http://evil.example) ![i](x) @all #1 org/r#2 $x$ :tada: ~~s",
    "blank": "   \t ",
    "json": '\\u003cscript>{"a": "\\"}], \\u2028//',
    "attribute": "\" onmouseover=alert(1) x=' style=color:red ",
    "template": "{{ 7 * 7 }}{% include '/etc/passwd' %}${alert(1)}",
    "commands": "::error::x\n::set-output name=a::b\n##[add-mask]x\n##vso[a.b]%0A::debug::",
    "url": "javascript:alert(1) data:text/html,<script>alert(1)</script>",
    "combining": "Z" + "\u0351\u0321" * 40,
    "wide": "\u6f22\u5b57\uff21\U0001f600",
    "tag": '<tool_call>{"name": "x"}</tool_call>',
}


@pytest.fixture(params=list(HOSTILE))
def hostile(request: pytest.FixtureRequest) -> str:
    return HOSTILE[request.param]


@pytest.fixture(params=["html", "json", "junit", "markdown", "terminal"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_members_are_known():
    assert names() == ("html", "json", "junit", "markdown", "terminal")


def test_an_unknown_renderer_is_an_error_that_lists_the_known():
    with pytest.raises(UsageError, match=r"'crayon'.*markdown"):
        renderer("crayon")


def test_a_name_offered_twice_is_an_error(monkeypatch: pytest.MonkeyPatch):
    class Point:
        name, value = "terminal", "elsewhere:render"

    monkeypatch.setattr("harness.families.entry_points", lambda group: [Point])

    with pytest.raises(UsageError, match=r"elsewhere:render"):
        names()


def test_a_renderer_that_cannot_be_loaded_is_an_error(monkeypatch: pytest.MonkeyPatch):
    class Point:
        name, value = "crayon", "no_such_package:render"

    monkeypatch.setattr("harness.families.entry_points", lambda group: [Point])

    with pytest.raises(UsageError, match=r"crayon.*cannot be loaded"):
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
        for each in ("json", "junit", "markdown", "terminal"):
            shown = renderer(each)(report)

            shown.encode("utf-8")
            assert [] == sorted({char for char in shown if not char.isprintable() and char != "\n"})
