import math
import random
from fractions import Fraction
from itertools import product
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from scipy import stats as scipy_stats

from harness.stats import (
    beta_share,
    clopper_pearson,
    design_effect,
    hodges_lehmann,
    holm,
    holm_tarone,
    intraclass,
    median_interval,
    mid_p,
    sign_flip_mid_p,
    smallest_detectable_drop,
    studentised,
    t_tail,
    t_upper,
    tango_interval,
    tango_upper,
    wilson,
)

COUNTS = [(0, 1), (1, 1), (0, 20), (3, 20), (10, 20), (20, 20), (108, 120), (999, 1000)]

PAIRED = [(0, 0, 10), (1, 7, 21), (16, 2, 120), (0, 5, 60), (5, 0, 60), (20, 20, 100), (3, 4, 900)]


def paired_counts(most: int = 60) -> st.SearchStrategy[tuple[int, int, int]]:
    return st.tuples(st.integers(0, most), st.integers(0, most), st.integers(1, 3 * most)).map(
        lambda counts: (counts[0], counts[1], counts[0] + counts[1] + counts[2])
    )


# Rates


@pytest.mark.parametrize(("hits", "n"), COUNTS)
@pytest.mark.parametrize("confidence", [0.80, 0.95, 0.99])
def test_wilson_agrees_with_scipy(hits: int, n: int, confidence: float) -> None:
    expected = scipy_stats.binomtest(hits, n).proportion_ci(confidence, method="wilson")

    low, high = wilson(hits, n, confidence)

    assert expected.low == pytest.approx(low, abs=1e-12)
    assert expected.high == pytest.approx(high, abs=1e-12)


@pytest.mark.parametrize("n", [6, 7, 20, 41, 300])
def test_the_interval_of_a_median_agrees_with_scipy(n: int) -> None:
    values = [random.Random(n + place).random() for place in range(n)]
    expected = scipy_stats.quantile_test(values, p=0.5).confidence_interval(0.95)

    assert (expected.low, expected.high) == median_interval(values)


def test_five_values_have_no_interval_of_their_median_and_equal_ones_a_narrow_one() -> None:
    assert None is median_interval([1, 2, 3, 4, 5])
    assert (7, 7) == median_interval([7] * 30)


def test_wilson_over_a_design_effect_is_that_of_fewer_answers() -> None:
    assert wilson(3, 120) == pytest.approx(wilson(6, 240, effect=2.0), abs=1e-12)
    assert wilson(0, 40) == pytest.approx(wilson(0, 120, effect=3.0), abs=1e-12)


@pytest.mark.parametrize(("hits", "n"), COUNTS)
@pytest.mark.parametrize("confidence", [0.80, 0.95, 0.99])
def test_clopper_pearson_agrees_with_scipy(hits: int, n: int, confidence: float) -> None:
    expected = scipy_stats.binomtest(hits, n).proportion_ci(confidence, method="exact")

    low, high = clopper_pearson(hits, n, confidence)

    assert expected.low == pytest.approx(low, abs=1e-9)
    assert expected.high == pytest.approx(high, abs=1e-9)


def test_nothing_in_n_bounds_a_rate_by_about_three_in_n() -> None:
    assert 1 - 0.05 ** (1 / 300) == pytest.approx(clopper_pearson(0, 300, 0.90)[1])


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_a_rate_of_nothing_is_refused(interval, hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="not a rate"):
        interval(hits, n)


# Paired tests


@pytest.mark.parametrize(("broken", "fixed"), [(0, 0), (1, 0), (4, 0), (16, 2), (5, 9), (300, 250)])
def test_mid_p_is_the_binomial_tail_and_half_the_point(broken: int, fixed: int) -> None:
    flips = scipy_stats.binom(broken + fixed, 0.5)

    assert float(flips.sf(broken) + flips.pmf(broken) / 2) == pytest.approx(mid_p(broken, fixed))


def test_four_of_four_are_the_fewest_that_can_be_beyond_chance() -> None:
    assert 1 / 16 == mid_p(3, 0)
    assert 1 / 32 == mid_p(4, 0)


@given(st.integers(0, 80), st.integers(0, 80))
def test_mid_p_of_swapped_roles_is_the_rest(broken: int, fixed: int) -> None:
    """
    Mid-p splits the point at the observation, so both directions sum to one exactly.
    """
    assert mid_p(broken, fixed) + mid_p(fixed, broken) == pytest.approx(1.0, abs=1e-12)


@given(st.lists(st.integers(-6, 6), max_size=9))
def test_the_sign_flip_test_is_an_enumeration_of_all_flips(sums: list[int]) -> None:
    observed = sum(sums)
    flipped = [
        sum(f * s for f, s in zip(flips, sums, strict=True))
        for flips in product((1, -1), repeat=len(sums))
    ]
    above = sum(total > observed for total in flipped)
    equal = sum(total == observed for total in flipped)

    assert float(Fraction(2 * above + equal, 2 * len(flipped))) == sign_flip_mid_p(sums)


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_sign_flip_test_only_sees_the_sums(sums: list[int], shuffle) -> None:
    """
    Order, and units in which nothing changed, mean nothing.
    """
    shuffled = [*sums, 0, 0]
    shuffle.shuffle(shuffled)

    assert sign_flip_mid_p(sums) == sign_flip_mid_p(shuffled)


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=12), st.integers(0, 11))
def test_one_more_broken_answer_never_raises_p(sums: list[int], where: int) -> None:
    worse = list(sums)
    worse[where % len(sums)] += 1

    assert sign_flip_mid_p(worse) <= sign_flip_mid_p(sums)


def test_cases_that_change_together_are_one_piece_of_evidence() -> None:
    """
    Ten answers in two groups are not ten independent ones.
    """
    assert mid_p(10, 0) < 0.001
    assert 0.125 == sign_flip_mid_p([5, 5])


# Tango's interval


def brute_score(broken: int, fixed: int, n: int, drop: float) -> float:
    """
    The score statistic with the restricted likelihood maximised by search, not by formula.
    """

    def loss(fixes: float) -> float:
        rest = 1 - 2 * fixes - drop
        terms = [(broken, fixes + drop), (fixed, fixes), (n - broken - fixed, rest)]
        return -sum(k * math.log(max(share, 1e-300)) for k, share in terms if k)

    low, high = max(0.0, -drop), (1 - drop) / 2
    q = optimize.minimize_scalar(
        loss, bounds=(low, high), method="bounded", options={"xatol": 1e-13}
    ).x
    return (broken - fixed - n * drop) / math.sqrt(n * (2 * q + drop - drop * drop))


@pytest.mark.parametrize(("broken", "fixed", "n"), PAIRED)
def test_tango_ends_lie_where_the_score_statistic_is_the_quantile(
    broken: int, fixed: int, n: int
) -> None:
    low, high = tango_interval(broken, fixed, n)

    assert brute_score(broken, fixed, n, high) == pytest.approx(-1.959964, abs=2e-3)
    assert brute_score(broken, fixed, n, low) == pytest.approx(1.959964, abs=2e-3)


def test_tango_gives_the_published_interval() -> None:
    """
    Airway reactivity before and after a transplant; Fagerland, Lydersen and Laake 2014, Stat Med
    33:2850: 1 against 7 of 21, -0.517 to -0.026.
    """
    low, high = tango_interval(1, 7, 21)

    assert (-0.517, -0.026) == (round(low, 3), round(high, 3))


@given(paired_counts())
def test_tango_mirrors_when_the_roles_are_swapped(counts: tuple[int, int, int]) -> None:
    broken, fixed, n = counts
    low, high = tango_interval(broken, fixed, n)

    assert (-high, -low) == pytest.approx(tango_interval(fixed, broken, n), abs=1e-9)
    assert low <= (broken - fixed) / n <= high


@given(paired_counts())
@settings(max_examples=200)
def test_the_upper_bound_never_falls_when_an_answer_gets_worse(
    counts: tuple[int, int, int],
) -> None:
    broken, fixed, n = counts
    bound = tango_upper(broken, fixed, n)

    if broken + fixed < n:
        assert bound <= tango_upper(broken + 1, fixed, n) + 1e-9
    if fixed:
        assert bound <= tango_upper(broken, fixed - 1, n) + 1e-9


@pytest.mark.parametrize(("margin", "least"), [(0.01, 299), (0.03, 99), (0.05, 59)])
def test_equal_answers_exclude_a_drop_from_so_many_on(margin: float, least: int) -> None:
    assert tango_upper(0, 0, least) < margin <= tango_upper(0, 0, least - 1)


def test_the_one_sided_bound_is_the_end_of_the_ninety_percent_interval() -> None:
    assert tango_interval(16, 2, 120, 0.90)[1] == pytest.approx(tango_upper(16, 2, 120))


def test_a_design_effect_counts_as_fewer_cases() -> None:
    assert tango_upper(5, 1, 100) == pytest.approx(tango_upper(10, 2, 200, effect=2.0))
    assert tango_interval(5, 1, 100) == pytest.approx(tango_interval(10, 2, 200, effect=2.0))


@pytest.mark.parametrize(("broken", "fixed", "n"), [(1, 0, 0), (-1, 0, 5), (3, 3, 5)])
def test_impossible_counts_are_refused(broken: int, fixed: int, n: int) -> None:
    with pytest.raises(ValueError, match="not paired counts"):
        tango_upper(broken, fixed, n)


def test_everything_broken_is_bounded_by_everything() -> None:
    assert 1.0 == tango_upper(5, 0, 5)


def test_design_effect_is_one_for_cases_by_themselves() -> None:
    assert 1.0 == design_effect([1, -1, 1] + [0] * 97, [1] * 100, 3)


def test_design_effect_is_the_group_size_where_groups_change_as_one() -> None:
    sums = [5, -5, 5, -5] + [0] * 36

    assert 5.0 == pytest.approx(design_effect(sums, [5] * 40, 20), rel=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_design_effect_is_the_ratio_of_two_sample_variances(seed: int) -> None:
    """
    For groups of one size: of the mean of the groups' means, over that of the mean of all answers.
    """
    dice = np.random.default_rng(seed)
    answers = dice.choice([-1, 0, 0, 0, 1], (30, 1)) * (dice.random((30, 4)) < 0.7)
    of_groups = answers.mean(1).var(ddof=1) / 30
    of_answers = answers.ravel().var(ddof=1) / 120

    found = design_effect(answers.sum(1).tolist(), [4] * 30, int(np.count_nonzero(answers)))

    assert max(1.0, of_groups / of_answers) == pytest.approx(found)


def test_design_effect_is_never_below_one() -> None:
    """
    A group that loses one and gains one gives no more reason to trust the drop.
    """
    assert 1.0 == design_effect([0] * 20, [5] * 20, 20)
    assert 1.0 == design_effect([0, 0], [5, 5], 0)
    assert 1.0 == design_effect([4], [9], 4)


# How many cases


@pytest.mark.parametrize(
    ("n", "discordance", "drop"), [(617, 0, 0.01), (548, 0.05, 0.03), (369, 0.10, 0.05)]
)
def test_the_smallest_detectable_drop_is_that_of_connors_formula(
    n: int, discordance: float, drop: float
) -> None:
    assert drop == pytest.approx(smallest_detectable_drop(n, discordance) or 0.0, rel=0.02)


def test_too_few_cases_detect_nothing() -> None:
    assert smallest_detectable_drop(2, 0.0) is None
    assert smallest_detectable_drop(100, 1.0) is None


# Hodges-Lehmann


def walsh(values: list[float]) -> list[float]:
    return [(a + b) / 2 for i, a in enumerate(values) for b in values[i:]]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_the_estimate_is_the_median_of_walsh_averages(values: list[float]) -> None:
    assert median(walsh(values)) == hodges_lehmann(values).estimate


@pytest.mark.parametrize("n", [6, 10, 25, 50, 51, 90])
def test_the_interval_holds_what_the_signed_rank_test_does_not_reject(n: int) -> None:
    """
    A shift just inside the interval is not rejected at 5 %, one just outside is.
    """
    values = [math.sin(7.3 * k) + 0.3 + 1e-3 * k for k in range(n)]
    shift = hodges_lehmann(values)
    method = "exact" if n <= 50 else "approx"

    def p(location: float) -> float:
        moved = [value - location for value in values]
        return scipy_stats.wilcoxon(moved, method=method, correction=False).pvalue

    assert shift.low is not None
    assert shift.high is not None
    assert shift.low < shift.estimate < shift.high
    for end, outward in ((shift.low, -1e-6), (shift.high, 1e-6)):
        assert p(end - outward) > 0.05
        assert p(end + outward) <= 0.05 + (0.002 if method == "approx" else 0)


def test_five_pairs_give_no_interval_at_95_percent() -> None:
    """
    The most extreme of 2^5 signs has a two-sided p of 1/16.
    """
    shift = hodges_lehmann([0.1, 0.2, 0.3, 0.4, 0.5])

    assert shift.low is None
    assert shift.high is None
    assert hodges_lehmann([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).low is not None


def test_a_stall_does_not_pull_the_estimate() -> None:
    assert hodges_lehmann([0.0] * 20 + [9.0]).estimate == 0.0


def test_an_estimate_from_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no difference"):
        hodges_lehmann([])


# Several tests


def test_holm_by_hand() -> None:
    """
    Holm 1979: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1, each at least the one before.
    """
    assert [0.06, 0.04, 0.06, 0.06] == pytest.approx(holm([0.03, 0.01, 0.02, 0.04]))
    assert [1.0, 1.0] == holm([0.9, 0.8])
    assert [] == holm([])


def test_holm_rejects_what_stepping_down_by_hand_rejects() -> None:
    """
    An adjusted p is below alpha exactly where the smallest p-values pass alpha / m, alpha / (m - 1)
    and so on without a miss.
    """
    for p_values in product((0.001, 0.012, 0.02, 0.04, 0.3), repeat=4):
        rejected, order = set(), sorted(range(4), key=lambda index: p_values[index])
        for rank, index in enumerate(order):
            if p_values[index] >= 0.05 / (4 - rank):
                break
            rejected.add(index)

        assert rejected == {k for k, adjusted in enumerate(holm(p_values)) if adjusted < 0.05}


def test_tarone_leaves_out_what_could_not_be_significant() -> None:
    """
    Ten tests of which two could reach 0.001 and eight 0.25 at best: the two are adjusted as two.
    """
    least = [0.001, 0.001] + [0.25] * 8
    p_values = [0.02, 0.03] + [0.25] * 8

    assert [0.04, 0.03] == pytest.approx(holm_tarone(p_values, least)[:2])
    assert 0.2 == pytest.approx(holm(p_values)[0])


def test_tarone_raises_the_number_until_so_many_are_left() -> None:
    """
    By hand: below 0.05 are four, more than 1; below 0.05 / 2 three; below 0.05 / 3 two, so K = 3.
    Then, of the two that are left, one is below 0.05 / 2: K = 2.
    """
    least = [0.01, 0.011, 0.02, 0.04]

    assert [0.036, 0.036, 0.06, 0.1] == pytest.approx(
        holm_tarone([0.012, 0.012, 0.03, 0.05], least)
    )
    assert [0.06, 0.06, 0.09, 0.15] == pytest.approx(holm_tarone([0.02, 0.02, 0.03, 0.05], least))
    assert [] == holm_tarone([], [])


def test_tarone_is_holm_where_all_could_be_significant() -> None:
    for p_values in product((0.001, 0.012, 0.02, 0.04, 0.3), repeat=4):
        both = zip(holm(p_values), holm_tarone(p_values, [0.0] * 4), strict=True)

        assert all((plain < 0.05) == (adjusted < 0.05) for plain, adjusted in both)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12))
@settings(max_examples=60)
def test_tarone_never_costs_beside_holm(changes: list[int]) -> None:
    """
    For discrete tests at their best: every p is the least there can be.
    """
    least = [0.5 ** (many + 1) for many in changes]
    both = zip(holm(least), holm_tarone(least, least), strict=True)

    assert all(tarone < 0.05 for plain, tarone in both if plain < 0.05)


# Published examples


def test_mid_p_gives_the_published_value() -> None:
    """
    Airway reactivity, 1 against 7: Fagerland, Lydersen and Laake 2013, BMC Med Res Methodol 13:91,
    table 5, two-sided: exact conditional 0.0703, mid-p 0.0391.
    """
    assert 0.0391 == pytest.approx(2 * mid_p(7, 1), abs=5e-5)


def test_wilson_gives_the_published_interval() -> None:
    """
    Newcombe 1998, Stat Med 17:857, table I: 81 of 263 and 15 of 148.
    """
    assert (0.2553, 0.3662) == tuple(round(end, 4) for end in wilson(81, 263))
    assert (0.0624, 0.1605) == tuple(round(end, 4) for end in wilson(15, 148))


def test_clopper_pearson_gives_the_published_interval() -> None:
    """
    The same rates in the same table.
    """
    assert (0.2527, 0.3676) == tuple(round(end, 4) for end in clopper_pearson(81, 263))
    assert (0.0578, 0.1617) == tuple(round(end, 4) for end in clopper_pearson(15, 148))


def test_hodges_lehmann_gives_the_published_estimate() -> None:
    """
    Hamilton depression scores of nine patients; Hollander, Wolfe and Chicken 2014, example 3.3:
    estimate -0.46, and at 96.1 % the interval from -0.786 to -0.010.
    """
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]

    shift = hodges_lehmann([y - x for x, y in zip(before, after, strict=True)], 0.96)

    assert -0.46 == pytest.approx(shift.estimate, abs=0.005)
    assert (-0.786, -0.010) == (round(shift.low or 0, 3), round(shift.high or 0, 3))


# Students t, the incomplete beta function, correlation within units


def test_the_incomplete_beta_function_is_that_of_scipy():
    dice = random.Random(1)
    for _ in range(300):
        a, b, x = 10 ** dice.uniform(-1, 4), 10 ** dice.uniform(-1, 4), dice.random()

        assert special.betainc(a, b, x) == pytest.approx(beta_share(a, b, x), abs=1e-10)


@pytest.mark.parametrize("degrees", [1, 2, 5, 30])
def test_students_t_is_that_of_scipy(degrees: int):
    for t in (-3.0, -0.5, 0.0, 0.7, 2.0, 9.0):
        assert scipy_stats.t.sf(t, degrees) == pytest.approx(t_tail(t, degrees), abs=1e-12)
    assert scipy_stats.t.isf(0.05, degrees) == pytest.approx(t_upper(0.05, degrees))


def test_correlation_within_units_by_hand():
    """
    Means 1, 0.5 and 0 of units of two: between 2 * 0.5 / 2 = 0.5, within 0.5 / 3; (1/2 - 1/6) /
    (1/2 + 1/6) = 1/2.
    """
    assert 0.5 == pytest.approx(intraclass({(1, 1): 1, (1, 0): 1, (0, 0): 1}))
    assert 1 == intraclass({(1, 1): 1, (0, 0): 1})
    assert 0 == intraclass({(1, 1): 2})
    assert 0 == intraclass({(1,): 1, (0,): 1})


def test_a_studentised_loss_by_hand():
    """
    Four units of two that lost 1, 1, 1 and 0: net 3, residuals 1/4 thrice and -3/4, so k < 0. The
    spread 4/3 * 3/4 = 1 is below that of single answers, 3 - 9/8 = 1.875.
    """
    t, k = 3 / 1.875**0.5, (3 / 64 - 27 / 64) / 1.875**1.5

    assert t + k * t * t / 3 + k * k * t**3 / 27 + k / 6 == pytest.approx(
        studentised([1, 1, 1, 0], [2] * 4, 3)
    )
    assert 3 / 3.75**0.5 > studentised([1, 1, 1, 0], [2] * 4, 3, effect=2)


def test_no_spread_is_no_doubt():
    assert math.inf == studentised([2, 2, 2], [2, 2, 2], 6)
    assert 0 == studentised([0, 0], [2, 2], 0)


def test_a_few_units_take_a_wider_interval():
    assert tango_upper(5, 0, 100, degrees=4) > tango_upper(5, 0, 100)
    low, high = tango_interval(5, 0, 100, degrees=4)
    assert low < tango_interval(5, 0, 100)[0]
    assert high > tango_interval(5, 0, 100)[1]


@pytest.mark.parametrize("n", [121, 400])
@pytest.mark.parametrize("ties", [0.0, 0.6])
def test_the_typical_difference_of_many_is_selected_as_it_would_be_found_among_all(
    n: int, ties: float
):
    dice = random.Random(n)
    values = [0.0 if dice.random() < ties else dice.gauss(0.1, 1) for _ in range(n)]
    walsh = sorted((a + b) / 2 for i, a in enumerate(values) for b in values[i:])

    found = hodges_lehmann(values)

    assert median(walsh) == found.estimate
    assert {found.low, found.high} <= set(walsh)
    assert found.low == -(hodges_lehmann([-value for value in values]).high or 0.0)


def test_many_flips_are_told_as_if_they_were_counted(monkeypatch: pytest.MonkeyPatch):
    dice = random.Random(4)
    ones = [1] * 830 + [-1] * 770
    groups = [dice.choice([-5, -2, -1, 1, 1, 2, 3, 5]) for _ in range(500)]
    counted = [sign_flip_mid_p(units) for units in (ones, groups)]
    monkeypatch.setattr("harness.stats._ALL_FLIPS", 0)

    assert counted[0] == pytest.approx(sign_flip_mid_p(ones), abs=1e-9)
    assert counted[1] == pytest.approx(sign_flip_mid_p(groups), abs=1e-3)
