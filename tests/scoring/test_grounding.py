"""
Facts of a final text that nothing holds.
"""

import json
from pathlib import Path

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


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("Ring 07700 900733.", "Out of hours: 07700-900733"),
        ("Ring 0770 090 0733.", "phone 07700900733"),
        ("At 10 o'clock.", "It opens at 10:00."),
        ("At ten o'clock.", "It opens at 10 am."),
        ("At 22:00.", "It closes at ten o'clock."),
    ],
)
def test_phone_numbers_and_hours_are_supported_in_any_spelling(text: str, source: str):
    assert () == unsupported(text, [source])


@pytest.mark.parametrize(
    ("text", "fact", "source"),
    [
        ("Ring 07700 900734.", "07700 900734", "Out of hours: 07700 900733"),
        ("Ring 07700 900733.", "07700 900733", "7700 people, 900733 pumps"),
        ("At 10 o'clock.", "10 o'clock", "It opens at 9:00, for 10.5 hours."),
        ("1 alarm is set.", "1", "No one has set an alarm."),
    ],
)
def test_other_numbers_and_hours_and_the_pronoun_one_support_nothing(
    text: str, fact: str, source: str
):
    assert (fact,) == unsupported(text, [source])


def test_a_part_of_an_identifier_supports_nothing():
    assert ("204",) == unsupported("Form 204.", ["Form HR-204."])
    assert ("R-20",) == unsupported("Form R-20.", ["Form HR-204."])


def test_precision_and_recall_on_labelled_sentences_are_those_in_the_docs():
    """
    200 sentences labelled by hand: ``ok`` follows from the sources, ``bad`` has a number, date,
    time, identifier or quotation that does not, ``other`` is wrong in another way.
    """
    data = json.loads(Path(__file__).with_name("grounded.json").read_text("utf-8"))
    found: dict[tuple[str, bool], int] = {}
    for row in data["sentences"]:
        flagged = bool(unsupported(row["text"], data["sources"][row["sources"]]))
        found[row["label"], flagged] = found.get((row["label"], flagged), 0) + 1
    page = (Path(__file__).parents[2] / "docs" / "executed.md").read_text("utf-8")

    flagged = found["bad", True] + found.get(("other", True), 0)
    precision = flagged / (flagged + found["ok", True])
    of_its_kinds = found["bad", True] / (found["bad", True] + found["bad", False])
    of_all = flagged / (flagged + found["bad", False] + found["other", False])
    assert 200 == sum(found.values())
    said = f"precision {precision:.2f}, recall {of_its_kinds:.2f}"
    assert said in page
    assert f"{of_all:.2f} of all" in page
