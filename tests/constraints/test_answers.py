"""
What the final text of an executed case must hold.
"""

from typing import Any

import pytest

from harness.constraints.answers import check_answer, holds, make_answer


@pytest.mark.parametrize(
    ("spec", "text", "met"),
    [
        ("25 days", "You get 25 days a year.", True),
        ("25 days", "You get 125 days.", False),
        ("3 weeks", "After three weeks.", True),
        (15, "It is 15.0 percent.", True),
        (15, "It is 1.5 percent.", False),
        (15, "It is -15 degrees.", False),
        (15, "See HR-15.", False),
        (1200, "1,200 euros", True),
        (0.5, "half is 0.50", True),
        (1e-7, "0.0000001", True),
        ("hr-15", "See HR-15.", True),
        ("art", "The party starts.", False),
        ({"contains_any": ["noon", "12:00"]}, "At 12:00 sharp.", True),
        ({"contains_any": ["noon", "12:00"]}, "At 1 pm.", False),
        ({"contains_all": ["Ada", 3]}, "Ada has three.", True),
        ({"contains_all": ["Ada", 3]}, "Ada has two.", False),
        ({"close_to": 20, "tolerance": 0.5}, "About 20.4 km, in 7 days.", True),
        ({"close_to": 20, "tolerance": 0.5}, "About 21 km.", False),
        ({"same_moment_as": "2026-03-04"}, "On 4 March.", True),
        ({"same_moment_as": "2026-03-04"}, "On March 4, 2025.", False),
        ({"same_moment_as": "2026-03-04T15:00"}, "On March 4, at 3 pm.", True),
        ({"same_moment_as": "2026-03-04T15:00"}, "On March 4, at 4 pm.", False),
        ({"same_moment_as": "15:00"}, "At 3 pm.", True),
        ({"pattern": "^No\\b"}, "No, never.", True),
        ({"pattern": "^No\\b"}, "Yes.", False),
        ({"anyOf": [25, "none"]}, "There is none.", True),
        ({"anyOf": [25, "none"]}, "There are some.", False),
        ({"allOf": [25, {"not": "hours"}]}, "25 days", True),
        ({"allOf": [25, {"not": "hours"}]}, "25 hours", False),
        ({"contains_any": [25], "max_words": 3}, "You get\n25.", True),
        ({"contains_any": [25], "max_words": 3}, "You get 25 days.", False),
    ],
)
def test_an_answer_is_searched_for_numbers_and_whole_words(spec: Any, text: str, met: bool):
    check_answer(spec)

    assert met is (make_answer(spec).fault(text) is None)


@pytest.mark.parametrize(
    "spec",
    [
        *(True, None, [], {}, "", "?!", float("nan")),
        {"contains": ["x"]},
        *({"max_words": 0}, {"max_words": 2.5}, {"max_words": "3"}, {"max_words": True}),
        {"contains_any": []},
        {"contains_any": "x"},
        {"contains_all": [{"close_to": 1, "tolerance": 1}]},
        {"close_to": 3},
        {"tolerance": 3},
        {"close_to": 3, "tolerance": -1},
        {"close_to": "3", "tolerance": 1},
        {"same_moment_as": "03/04/2026"},
        {"pattern": "("},
        {"anyOf": []},
        {"not": {"contains": "x"}},
    ],
)
def test_what_is_not_a_constraint_on_an_answer_is_refused(spec: Any):
    with pytest.raises(ValueError):  # noqa: PT011
        check_answer(spec)


def test_signs_and_points_are_never_removed():
    assert not holds("1.5", "15")
    assert not holds("-5", "5")
    assert holds("1,500", "1500")
