"""
The facts in a text, whatever their spelling.
"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.constraints.facts import quotations, same, tokens


def facts(text: str) -> list[tuple[str, str]]:
    return [
        (token.kind, str(token.value))
        for token in tokens(text)
        if token.kind in ("number", "identifier", "time")
    ]


def dates(text: str) -> list[object]:
    return [token.value for token in tokens(text) if token.kind == "date"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("25 days", ["25"]),
        ("1,200 or 1,200,000.50", ["1200", "1200000.50"]),
        ("1,2 and 12,34", ["1", "2", "12", "34"]),
        ("minus -5 and (-0.5), but a 3-day trip", ["-5", "-0.5", "3"]),
        ("10-15 people", ["10", "15"]),
        ("three of twenty, on the 3rd", ["3", "20", "3"]),
        ("5GB, 10k, 25% of $1,200", ["5", "10", "25", "1200"]),
        ("in 2026.", ["2026"]),
        ("I may 5", ["5"]),
    ],
)
def test_numbers_are_read_with_their_signs_and_points(text: str, expected: list[str]):
    assert [("number", value) for value in expected] == facts(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HR-204 and COVID-19", ["hr-204", "covid-19"]),
        ("v2.1, A4, 2024-Q3", ["v2.1", "a4", "2024-q3"]),
        ("call 555-0134 or +49 30 901820", ["5550134", "+4930901820"]),
        (
            "ada@mail.example, https://x.example/a?b=1.",
            ["ada@mail.example", "https://x.example/a?b=1"],
        ),
        ("release 2.4.1", ["2.4.1"]),
        ("well-known and/or open", []),
    ],
)
def test_letters_and_digits_that_belong_together_are_one_identifier(text: str, expected: list[str]):
    assert [("identifier", value) for value in expected] == facts(text)


@pytest.mark.parametrize(
    "text", ["07700 900733", "07700900733", "07700-900-733", "(07700) 900733", "0770 090 0733"]
)
def test_a_phone_number_is_its_digits_however_they_are_grouped(text: str):
    assert [("identifier", "07700900733")] == facts(f"Ring {text}, please.")


@pytest.mark.parametrize("text", ["room 012 from 9", "in 0.5 or 1 000 000", "at 007 30 times"])
def test_numbers_beside_each_other_are_not_one_phone_number(text: str):
    assert {"number"} == {kind for kind, _ in facts(text)}


@pytest.mark.parametrize(
    "text", ["10 o'clock", "10 o’clock", "ten o'clock", "10 oclock", "10 O'Clock"]
)
@pytest.mark.parametrize("other", ["10:00", "22:00", "10 pm", "10am", "10"])
def test_an_hour_by_the_clock_is_of_either_half_of_the_day(text: str, other: str):
    (hour,) = tokens(text)

    assert same(hour, tokens(other)[0])
    assert same(tokens(other)[0], hour)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("10 o'clock", "10:30"),
        ("10 o'clock", "11:00"),
        ("10 o'clock", "34"),
        ("10 o'clock pm", "10:00"),
    ],
)
def test_another_hour_is_not_the_hour_by_the_clock(text: str, other: str):
    (hour,) = tokens(text)

    assert not same(hour, tokens(other)[0])


@pytest.mark.parametrize(
    "text",
    [
        "No one knows.",
        "no-one knows",
        "the new one, please",
        "one's own",
        "one must ask",
        "one another",
    ],
)
def test_the_pronoun_one_is_no_number(text: str):
    assert [] == facts(text)


@pytest.mark.parametrize(
    "text",
    ["one day", "You get one.", "One may be carried over.", "the one-day trip", "one of them"],
)
def test_one_that_counts_is_a_number(text: str):
    assert [("number", "1")] == facts(text)


@pytest.mark.parametrize("text", ["14:30", "2:30 pm", "2:30 p.m."])
def test_a_time_is_the_same_in_every_spelling(text: str):
    assert [("time", "14:30")] == facts(f"at {text} sharp")


@pytest.mark.parametrize(
    "text", ["2026-03-04", "4 March 2026", "March 4, 2026", "the 4th of March 2026", "Mar 4th 2026"]
)
def test_a_date_is_the_same_in_every_spelling(text: str):
    assert [(2026, 3, 4)] == dates(f"from {text} on")


@pytest.mark.parametrize("text", ["2026-03-04T14:30", "2026-03-04T14:30:00Z", "2026-03-04 14:30"])
def test_a_moment_is_a_date_and_a_time(text: str):
    assert [("time", "14:30")] == facts(text)
    assert [(2026, 3, 4)] == dates(text)


def test_a_date_without_its_year_is_that_day_of_any_year():
    short, one, other = (tokens(text)[0] for text in ("March 4", "2026-03-04", "4 March 2025"))

    assert same(short, one)
    assert same(other, short)
    assert not same(one, other)


def test_a_date_that_could_be_two_is_none():
    assert [] == dates("03/04/2026")
    assert [(2026, 12, 25)] == dates("25/12/2026")


def test_quotations_have_three_words_or_more():
    said = 'It says “no later than noon” and "ok then".'

    assert ("no later than noon",) == quotations(said)


@given(st.integers(-(10**9), 10**9))
def test_thousands_separators_do_not_change_a_number(number: int):
    assert tokens(f"x {number}")[-1].value == tokens(f"x {number:,}")[-1].value == Decimal(number)


@given(st.text(max_size=80))
def test_every_text_can_be_read(text: str):
    for token in tokens(text):
        assert token.text
