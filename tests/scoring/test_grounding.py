"""
Facts of a final text that nothing holds.
"""

import pytest

from harness.scoring.grounding import unsupported

SOURCES = [
    "How many days off do I get, and where is form HR-204?",
    "[leave] Full-time staff have 25 days of leave from 4 March 2026. The fee is 1,200 euros.",
    'The notice says: "Hand it in no later than noon".',
]


@pytest.mark.parametrize(
    "text",
    [
        "You get 25 days.",
        "You get twenty-five days, or 25.",
        "The fee is €1200.",
        "From March 4 on, use hr-204.",
        "It changed in 2026.",
        'It says "no later than noon".',
        "One of them is free.",
        "1. Fill in HR-204.\n2. Pay 1200.",
        "Nothing that could be checked.",
        "",
    ],
)
def test_what_a_source_holds_is_supported_in_any_spelling(text: str):
    assert () == unsupported(text, SOURCES)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("You get 30 days.", ("30",)),
        ("You get three days.", ("three",)),
        ("You get 2.5 days.", ("2.5",)),
        ("You owe -25.", ("-25",)),
        ("Use HR-205.", ("HR-205",)),
        ("From March 5, 2026.", ("March 5, 2026",)),
        ("From March 4, 2025.", ("March 4, 2025",)),
        ("At 9:30 or 9:30.", ("9:30",)),
        ('It says "no later than midnight".', ('"no later than midnight"',)),
        ("Write to x@mail.example.", ("x@mail.example",)),
    ],
)
def test_what_no_source_holds_is_named(text: str, facts: tuple[str, ...]):
    assert facts == unsupported(text, SOURCES)


def test_a_part_of_an_identifier_supports_nothing():
    assert ("204",) == unsupported("Form 204.", ["Form HR-204."])
    assert ("R-20",) == unsupported("Form R-20.", ["Form HR-204."])
