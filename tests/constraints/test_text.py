"""
Texts that nobody who types them can tell apart.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.constraints.constraint import compile_constraint
from harness.constraints.text import fold, typed

SIGNS = {
    "an apostrophe": ("don't", "don\u2019t"),
    "an apostrophe before": ("'tis", "\u2018tis"),
    "quotation marks": ('say "hi"', "say \u201chi\u201d"),
    "quotation marks of German": ('sag "hallo"', "sag \u201ehallo\u201c"),
    "quotation marks of Italian": ('dico "ciao"', "dico \u00abciao\u00bb"),
    "a hyphen": ("well-known", "well\u2010known"),
    "a hyphen that breaks no line": ("covid-19", "covid\u201119"),
    "an en dash": ("Monday - Friday", "Monday \u2013 Friday"),
    "an em dash": ("wait--what", "wait\u2014what"),
    "a minus": ("-5 degrees", "\u22125 degrees"),
    "an ellipsis": ("well...", "well\u2026"),
    "a no-break space": ("10 km", "10\u00a0km"),
    "a narrow no-break space": ("3:00 PM", "3:00\u202fPM"),
    "a ligature": ("file", "\ufb01le"),
}


@pytest.mark.parametrize(("plain", "corrected"), SIGNS.values(), ids=SIGNS.keys())
@pytest.mark.parametrize("keyword", ["contains_any", "contains_all", "equals_ignoring_case"])
def test_what_auto_correction_does_is_no_difference(keyword: str, plain: str, corrected: str):
    for wanted, said in ((plain, corrected), (corrected, plain), (corrected, corrected.upper())):
        spec = {keyword: wanted if keyword == "equals_ignoring_case" else [wanted]}

        assert [] == compile_constraint(spec).check(said)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("re-sign", "resign"),
        ("its", "it's"),
        ("--force", "-force"),
        ('"hi"', "'hi'"),
        ("a b", "ab"),
        ("e", "\u00e9"),
    ],
)
def test_other_texts_are_still_different(one: str, two: str):
    [fault] = compile_constraint({"equals_ignoring_case": one}).check(two)

    assert "wrong_value" == fault.code


def test_a_constant_is_compared_to_the_letter():
    assert compile_constraint("don't").check("don\u2019t")


@pytest.mark.parametrize(
    "spelled",
    ["2026\u201103\u201104 3:00\u202fPM", "2026\u201303\u201304T15:00", "2026-03-04 3\u00a0pm"],
)
def test_dates_may_hold_typographic_signs(spelled: str):
    assert [] == compile_constraint({"same_moment_as": "2026-03-04T15:00"}).check(spelled)


@given(text=st.text())
def test_folding_again_changes_nothing(text: str):
    assert typed(typed(text)) == typed(text)


@given(text=st.text(st.characters(max_codepoint=127)))
def test_what_a_keyboard_has_stays(text: str):
    assert (text, text.lower()) == (typed(text), fold(text))
