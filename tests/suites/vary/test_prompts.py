"""
Other words for the same request: which words change, and which never do.
"""

import re

import pytest

from harness.suites.vary.draws import draws
from harness.suites.vary.prompts import CHANGES, lower, polite, reworded, typos

TEXT = (
    "Please remind Greta Baumann at 17:30 about her Dentist visit in Rue Cler, see a.B@example.org"
)
DRAW = draws(0, "case", 0)


def changed(text: str, other: str) -> list[tuple[str, str]]:
    return [(was, now) for was, now in zip(text.split(), other.split(), strict=True) if was != now]


def test_one_word_in_six_is_mistyped_inside_and_stays_close_to_itself():
    found = changed(TEXT, typos(TEXT, (), DRAW))

    assert 2 == len(found)
    for was, now in found:
        assert (was[0], was[-1]) == (now[0], now[-1])
        assert abs(len(was) - len(now)) <= 1
        assert set(was) >= set(now)


@pytest.mark.parametrize("seed", range(40))
def test_numbers_addresses_and_kept_words_are_never_mistyped(seed: int):
    wrong = typos(TEXT, ("dentist", "baumann"), draws(seed))

    for word in ("17:30", "a.B@example.org", "Dentist", "Baumann"):
        assert word in wrong


def test_a_message_of_short_words_has_no_typing_error():
    assert "Is it on?" == typos("Is it on?", (), DRAW)


def test_in_lower_case_only_capitals_change_and_kept_words_keep_them():
    said = lower(TEXT, ("greta", "cler"), DRAW)

    assert TEXT.casefold() == said.casefold()
    assert ["Greta", "Cler", "B"] == re.findall(r"[A-Z]\w*", said)


def test_a_polite_message_says_the_whole_request_between_other_words():
    frames = {polite("Torch on.", (), draws(seed)) for seed in range(30)}

    assert 4 == len(frames)
    for said in frames:
        assert "Torch on." in said
        assert not said.startswith("Torch on.")
        assert not said.endswith("Torch on.")


@pytest.mark.parametrize("name", CHANGES)
def test_what_the_expectation_names_is_left_alone_in_every_message_of_the_user(name: str):
    row = {
        "id": "c1",
        "messages": [
            {"role": "system", "content": "Answer BRIEFLY."},
            {"role": "user", "content": [{"type": "text", "text": "WHERE is Klaus"}]},
        ],
        "turns": [
            {
                "expect": {"calls": [{"tool": "find", "arguments": {"who": "Klaus"}}]},
                "then": [
                    {"role": "assistant", "content": "WHICH Klaus?"},
                    {"role": "user", "content": "Klaus WEBER from Zurich"},
                ],
            },
            {"expect": {"any_of": [{"abstain": True, "text": {"contains_any": ["Zurich"]}}]}},
        ],
    }

    done = reworded(row, CHANGES[name], 0)

    first, second = done["messages"][1]["content"], done["turns"][0]["then"][1]["content"]
    assert row["messages"][0] == done["messages"][0]
    assert row["turns"][0]["then"][0] == done["turns"][0]["then"][0]
    assert [turn["expect"] for turn in row["turns"]] == [turn["expect"] for turn in done["turns"]]
    assert "Klaus" in first
    assert "Klaus" in second
    assert "Zurich" in second
    assert ("WHERE is Klaus", "Klaus WEBER from Zurich") != (first, second)
