"""
How many cases a question takes: exact, and what the gate itself does with so many.
"""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from harness.comparison.paired import Unit, rate_of
from harness.gating.policy import Limit
from harness.gating.power import (
    Chances,
    cases_to_clear,
    cases_to_detect,
    cases_to_settle,
    chances,
    smallest_rise,
)
from harness.gating.rates import judge_rate
from harness.workflow.need import need


@cache
def gate(broken: int, fixed: int, n: int, margin: float, name: str) -> str:
    paired = rate_of(
        Unit(
            name=f"{k}",
            broken=int(k < broken),
            fixed=int(broken <= k < broken + fixed),
            pairs=1,
            old_hits=1,
            new_hits=1,
        )
        for k in range(n)
    )
    return judge_rate(name, Limit(margin=margin, text=""), paired, 0.05).verdict


def simulated(
    n: int, broken: float, fixed: float, margin: float, name: str = "accuracy"
) -> Chances:
    """
    What the gate says of 4,000 draws, the same counts asked once.
    """
    dice = np.random.default_rng([n, round(1e4 * broken), round(1e4 * fixed)])
    drawn = dice.multinomial(n, [broken, fixed, 1 - broken - fixed], 4000)
    words: Counter[str] = Counter()
    for (b, c, _), many in Counter(map(tuple, drawn.tolist())).items():
        words[gate(b, c, n, margin, name)] += many
    return Chances(passes=words["pass"] / 4000, regresses=words["regressed"] / 4000)


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("n", "broken", "fixed", "margin"),
    [
        (31, 0.025, 0.025, 0.10),
        (120, 0.0, 0.0, 0.03),
        (120, 0.055, 0.025, 0.03),
        (250, 0.02, 0.05, 0.03),
        (20, 0.2, 0.0, 0.05),
    ],
)
def test_the_chances_are_those_of_the_gate(n: int, broken: float, fixed: float, margin: float):
    exact, drawn = chances(n, broken, fixed, margin), simulated(n, broken, fixed, margin)

    assert exact.passes == pytest.approx(drawn.passes, abs=0.025)
    assert exact.regresses == pytest.approx(drawn.regresses, abs=0.025)


@pytest.mark.simulation
@pytest.mark.parametrize(("n", "broken", "fixed"), [(120, 0.035, 0.0), (250, 0.04, 0.01)])
def test_the_chances_at_a_zero_margin_are_those_of_the_gate(n: int, broken: float, fixed: float):
    drawn = simulated(n, broken, fixed, 0.0, "second_call_rate")

    assert chances(n, broken, fixed, 0.0).regresses == pytest.approx(drawn.regresses, abs=0.025)


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("margin", "discordance", "too_few"),
    [(0.10, 0.05, 31), (0.03, 0.01, 99), (0.05, 0.05, 124), (0.03, 0.05, 344), (0.05, 0.15, 371)],
)
def test_so_many_cases_pass_an_equal_model_in_4_of_5_tries(
    margin: float, discordance: float, too_few: int
):
    """
    The normal formula gave *too_few*, which passed in 52 to 79 of 100.
    """
    n, half = cases_to_clear(margin, discordance), discordance / 2

    assert simulated(n, half, half, margin).passes >= 0.78
    assert chances(n, half, half, margin).passes >= 0.80
    assert chances(too_few, half, half, margin).passes < 0.80
    assert too_few < n < 2 * too_few


@pytest.mark.parametrize(
    ("drop", "discordance"), [(0.03, 0.05), (0.10, 0.05), (0.05, 0.15), (0.10, 0.20)]
)
def test_so_many_cases_find_a_drop_in_4_of_5_tries(drop: float, discordance: float):
    n, half = cases_to_detect(drop, discordance), discordance / 2

    assert chances(n, half + drop, half, None).regresses >= 0.80
    assert chances(n - max(5, n // 20), half + drop, half, None).regresses < 0.81


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("broken", "fixed", "n"), [(3, 1, 120), (1, 0, 120), (3, 3, 120), (5, 3, 250), (4, 1, 60)]
)
def test_so_many_cases_settle_it_in_4_of_5_tries(broken: int, fixed: int, n: int):
    """
    "About 140 cases would settle it", said of 1 broken in 120, settled 34 of 100.
    """
    most = cases_to_settle(n, broken / n, fixed / n, 0.03)

    assert most > n
    assert simulated(most, broken / n, fixed / n, 0.03).settled >= 0.78


@pytest.mark.simulation
def test_a_rise_that_would_be_seen_is_seen_in_4_of_5_tries():
    rise = smallest_rise(120, 0.0)

    assert rise is not None
    assert 0.03 < rise < 0.04
    assert simulated(120, rise, 0.0, 0.0, "second_call_rate").regresses == pytest.approx(
        0.8, abs=0.03
    )
    assert smallest_rise(2, 0.0) is None


def test_more_power_takes_more_cases():
    assert cases_to_detect(0.03, 0.05) < cases_to_detect(0.03, 0.05, power=0.9)
    assert cases_to_clear(0.03, 0.05) < cases_to_clear(0.03, 0.05, power=0.9)
    assert cases_to_detect(0.03, 0.05) < cases_to_detect(0.03, 0.05, alpha=0.01)


def test_without_noise_as_many_cases_as_the_exact_bound_takes():
    assert [299, 149, 99, 59] == [cases_to_clear(m, 0.0) for m in (0.01, 0.02, 0.03, 0.05)]


@pytest.mark.parametrize("question", [cases_to_detect, cases_to_clear])
@pytest.mark.parametrize("share", [0.0, -0.03, 1.5])
def test_a_question_without_a_share_is_refused(question, share: float):
    with pytest.raises(ValueError, match="is not above 0"):
        question(share, 0.05)


def test_several_suites_take_more_cases_and_say_what_they_risk():
    alone, seven = need(0.03, 0.05), need(0.03, 0.05, 7)

    assert "block an equal release in up to 30 of 100" in seven[2]
    assert f"{cases_to_detect(0.03, 0.05, alpha=0.05 / 7)} cases in each suite" in seven[0]
    assert f"{cases_to_clear(0.03, 0.05, power=0.8 ** (1 / 7))} cases in each suite" in seven[1]
    assert not any("suite" in line for line in alone)
