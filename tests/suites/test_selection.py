"""
Which cases are chosen: by id, expression, tags, failure, sample and limit.
"""

import itertools
from collections import Counter

import pytest
from _pytest.mark.expression import Expression
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.suites.parse import parse_suite
from harness.suites.selection import Choice, Sample, matcher, select
from harness.suites.suite import Suite


def suite(*cases: tuple[str, tuple[str, ...]]) -> Suite:
    document = {
        "format": 1,
        "name": "ask",
        "version": "1.0.0",
        "tools": [],
        "cases": [
            {"id": name, "prompt": name, "tags": list(tags), "expect": {"abstain": True}}
            for name, tags in cases
        ],
    }
    return parse_suite(document, "here")


SUITE = suite(
    ("kb-1", ("internal",)),
    ("kb-2", ("internal", "slow")),
    ("web-1", ("public",)),
    ("web-2", ("public", "slow")),
    ("web-3", ("public",)),
)


def ids(choice: Choice, failed: set[str] | None = None) -> list[str]:
    return [case.id for case in select(SUITE, choice, failed)]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(), ["kb-1", "kb-2", "web-1", "web-2", "web-3"]),
        (Choice(cases=("web-2", "kb-1")), ["kb-1", "web-2"]),
        (Choice(tags=("internal",)), ["kb-1", "kb-2"]),
        (Choice(tags=("!slow",)), ["kb-1", "web-1", "web-3"]),
        (Choice(tags=("public", "!slow")), ["web-1", "web-3"]),
        (Choice(expression="web"), ["web-1", "web-2", "web-3"]),
        (Choice(expression="WEB and not slow"), ["web-1", "web-3"]),
        (Choice(expression="kb-1 or (public and slow)"), ["kb-1", "web-2"]),
        (Choice(expression="not not intern"), ["kb-1", "kb-2"]),
        (Choice(limit=2), ["kb-1", "kb-2"]),
        (Choice(tags=("public",), limit=2), ["web-1", "web-2"]),
        (Choice(cases=("kb-1", "web-1"), expression="web"), ["web-1"]),
    ],
)
def test_the_parts_of_a_choice_narrow_each_other(choice: Choice, expected: list[str]):
    assert expected == ids(choice)


def test_what_failed_is_chosen_before_it_is_limited():
    assert ["web-1", "web-3"] == ids(Choice(), {"web-3", "web-1", "gone"})
    assert ["web-1"] == ids(Choice(limit=1), {"web-3", "web-1"})


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice(cases=("kb-9",)), "no case 'kb-9'; did you mean 'kb-"),
        (Choice(tags=("intrnal",)), "no case tagged intrnal; did you mean 'internal'"),
        (Choice(tags=("!slwo",)), "no case tagged slwo; did you mean 'slow'"),
        (Choice(tags=("internal", "public")), "fits all of these tags: internal, public"),
        (Choice(expression="intrnal"), "no id or tag contains 'intrnal'; did you mean 'internal'"),
        (Choice(expression="kb and web"), "-k 'kb and web' matches no case$"),
        (Choice(expression=""), "-k '', column 1: expected a word, .* found the end"),
        (Choice(expression="kb or"), "column 6: expected a word, not or .* found the end"),
        (Choice(expression="kb web"), "column 4: expected the end, and, or or, found 'web'"),
        (Choice(expression="(kb"), "column 4: expected a closing parenthesis, found the end"),
        (Choice(expression="kb & web"), "column 4: .* found '&'"),
        (Choice(limit=0), "--limit 0 leaves no case"),
    ],
)
def test_a_choice_of_nothing_is_an_error_that_says_why(choice: Choice, said: str):
    with pytest.raises(UsageError, match=said):
        ids(choice)


def test_nothing_chosen_that_failed_is_an_error():
    with pytest.raises(UsageError, match="no case of suite ask that is chosen failed"):
        ids(Choice(tags=("internal",)), {"web-1"})


EXPRESSIONS = st.recursive(
    st.sampled_from(["kb", "KB-1", "slow", "a[1]", "x::y", "nothing", "or-not"]),
    lambda inner: st.one_of(
        st.builds("not {}".format, inner),
        st.builds("({})".format, inner),
        st.builds("{} and {}".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
    ),
)


@given(EXPRESSIONS, st.sets(st.sampled_from(["kb-1", "slow", "Sl", "a[1]", "x::y", "or-not"])))
def test_an_expression_means_what_pytest_takes_it_for(text: str, names: set[str]):
    def pytest_matches(word: str, /, **_: object) -> bool:
        return any(word.lower() in name.lower() for name in names)

    assert Expression.compile(text).evaluate(pytest_matches) == matcher(text)(names)


@given(st.lists(st.sampled_from(["kb", "and", "or", "not", "(", ")", "&"]), max_size=6))
def test_an_expression_is_refused_where_pytest_refuses_it(words: list[str]):
    text = " ".join(words)
    try:
        Expression.compile(text)
        valid = bool(words)
    except Exception:  # a SyntaxError from pytest 9 on
        valid = False
    try:
        matcher(text)
    except UsageError:
        assert not valid
    else:
        assert valid


MIXED = suite(
    *((f"a{n}", ("plain",)) for n in range(60)),
    *((f"b{n}", ("plain", "slow")) for n in range(30)),
    *((f"c{n}", ()) for n in range(10)),
)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 7, 20, 99])
def test_a_sample_has_of_every_combination_of_tags_its_share(size: int, seed: int):
    chosen = select(MIXED, Choice(sample=Sample(size=size, seed=seed)))

    assert size == len(chosen) == len({case.id for case in chosen})
    many = Counter(case.id[0] for case in chosen)
    for letter, share in (("a", 0.6), ("b", 0.3), ("c", 0.1)):
        assert abs(many[letter] - share * size) < 1


def test_a_sample_is_the_same_by_its_seed_and_another_by_another():
    drawn = [
        tuple(case.id for case in select(MIXED, Choice(sample=Sample(size=10, seed=seed))))
        for seed in (0, 0, 1, 2)
    ]

    assert drawn[0] == drawn[1]
    assert 3 == len(set(drawn))
    order = [case.id for case in MIXED.cases]
    assert all(a < b for one in drawn for a, b in itertools.pairwise(map(order.index, one)))


def test_every_case_is_in_some_sample():
    seen = {
        case.id
        for seed in range(200)
        for case in select(MIXED, Choice(sample=Sample(size=5, seed=seed)))
    }

    assert {case.id for case in MIXED.cases} == seen


def test_a_sample_larger_than_the_suite_is_the_suite():
    assert SUITE.cases == select(SUITE, Choice(sample=Sample(size=50)))


@pytest.mark.parametrize(
    "choice",
    [
        Choice(),
        Choice(tags=("a", "!b"), limit=3),
        Choice(
            cases=("a",), expression="a", failed="reports/x", sample=Sample(size=4, seed=2), limit=1
        ),
    ],
)
def test_a_choice_is_read_as_it_was_written(choice: Choice):
    assert choice == Choice.from_json(choice.to_json())


def test_what_was_not_chosen_by_is_not_written():
    assert {"limit": None, "tags": []} == Choice().to_json()
