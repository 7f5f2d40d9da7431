"""
Dates and times in any unambiguous spelling, and nothing that could be two.
"""

import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.constraints.datetimes import read_moment


@pytest.mark.parametrize(
    "texts",
    [
        [
            "2026-03-04",
            "20260304",
            "2026/03/04",
            "2026.3.4",
            "2026-03-04T00:00",
            "March 4, 2026",
            "4 March 2026",
            "4th of Mar 2026",
            " 2026-03-04 ",
        ],
        ["2026-03-04T15:00", "2026-03-04 3pm", "2026-03-04 3:00 PM", "March 4, 2026 at 3 PM"],
        ["15:00", "3pm", "3 PM", "15:00:00"],
        ["2026-03-04T15:00Z", "2026-03-04T16:00+01:00", "March 4, 2026 3pm UTC"],
        ["10:00Z", "10:00 UTC", "12:00+02:00"],
        ["25/12/2026", "12/25/2026", "Dec 25 2026"],
        ["March 4", "4 March"],
    ],
    ids=lambda texts: texts[0],
)
def test_spellings_of_one_moment_are_equal(texts: list[str]) -> None:
    moments = {read_moment(text) for text in texts}

    assert 1 == len(moments)
    assert None not in moments


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("2026-03-04", "2026-04-03"),
        ("2026-03-04", "2026-03-04T15:00"),
        ("2026-03-04", "March 4"),
        ("15:00", "2026-03-04T15:00"),
        ("3pm", "3am"),
        ("10:00", "10:00 UTC"),
        ("2026-03-04T15:00", "2026-03-04T15:00Z"),
        ("March 2026", "2026-03-01"),
    ],
)
def test_different_moments_differ(one: str, two: str) -> None:
    assert read_moment(one) is not None
    assert read_moment(two) is not None
    assert read_moment(one) != read_moment(two)


@pytest.mark.parametrize(
    "text",
    [
        "03/04/2026",
        "04.03.2026",
        "03/04/26 3pm",
        "10-11",
        "2026",
        "5",
        "March",
        "Friday",
        "Friday 3pm",
        "Friday March 2026",
        "5th 3pm",
        "tomorrow",
        "",
        "31 February 2026",
        "2026-13-45",
        "25:00",
        "2026-03-04 10:00 EST",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:00-05:00",
        "²",
        "2026-03-04 " + "x" * 60,
    ],
)
def test_too_little_or_two_things_at_once_is_not_a_moment(text: str) -> None:
    assert read_moment(text) is None


def test_a_moment_does_not_depend_on_the_zone_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    read_moment.cache_clear()
    try:
        found = read_moment("March 4, 2026 10:00 CET")
    finally:
        monkeypatch.undo()
        time.tzset()
        read_moment.cache_clear()

    assert found is None


PIECES = st.sampled_from(
    [
        *("0", "1", "12", "31", "99", "2026", "0001", "9999", "²", "e1", "inf", "nan"),
        *("/", "-", ".", ":", "T", "Z", "+", ",", " ", "am", "pm", "of", "th", "W"),
        *("Mar", "Friday", "UTC", "CET"),
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=10).map("".join) | st.text(max_size=70))
def test_any_text_is_read_or_refused(text: str) -> None:
    moment = read_moment(text)

    assert moment is None or moment == read_moment(f" {text} ")


@settings(deadline=None)
@given(
    st.dates(min_value=date(1000, 1, 1)),
    st.sampled_from(["%Y-%m-%d", "%Y/%m/%d", "%d %B %Y", "%B %d, %Y", "%b %d %Y"]),
)
def test_every_unambiguous_date_is_read_as_itself(day: date, form: str) -> None:
    assert read_moment(day.isoformat()) == read_moment(day.strftime(form))
