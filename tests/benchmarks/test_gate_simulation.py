"""
The bounds the gate is held to, on the simulation that makes docs/gate-simulation.md.

Some minutes on one core. Seeded: the same numpy gives the same figures.
"""

from pathlib import Path

import pytest

from . import gate_simulation as simulation

PAGE = Path(__file__).parents[2] / "docs" / "gate-simulation.md"

MID_P = {
    (0.05, 0.01): (0, 3, 8, 13, 23, 36),
    (0.05, 0.03): (2, 11, 24, 44, 78, 96),
    (0.05, 0.05): (4, 22, 46, 74, 98, 100),
    (0.05, 0.10): (16, 55, 86, 99, 100, 100),
    (0.02, 0.03): (1, 9, 30, 59, 93, 100),
    (0.02, 0.05): (3, 24, 58, 89, 100, 100),
    (0.10, 0.03): (3, 11, 20, 32, 58, 84),
    (0.10, 0.05): (6, 19, 36, 58, 90, 99),
}
"""
(d, D) -> per cent of gates in which McNemar's mid-p finds the drop, by n; simulated elsewhere, with
another program (20,000 draws a cell).
"""


def once(benchmark, simulate):
    return benchmark.pedantic(simulate, rounds=1)


def test_one_metric_rarely_cries_wolf(benchmark):
    found = once(benchmark, simulation.false_alarms)

    assert max(found.values()) <= 0.055


def test_second_calls_rarely_cry_wolf(benchmark):
    found = once(benchmark, simulation.zero_false_alarms)

    assert max(found.values()) <= 0.055


def test_groups_rarely_cry_wolf(benchmark):
    found = once(benchmark, simulation.grouped_false_alarms)

    assert max(found.values()) <= 0.055


def test_the_default_policy_rarely_cries_wolf(benchmark):
    found = once(benchmark, simulation.whole_policy)

    assert max(each.any for each in found.values()) <= 0.10


def test_a_drop_of_the_whole_margin_rarely_passes(benchmark):
    found = once(benchmark, simulation.false_passes)

    assert max(found.values()) <= 0.065


def test_drops_are_found_as_often_as_mid_p_finds_them(benchmark):
    """
    Beyond the margin what is beyond chance regresses; at it and within, it may be shown to be
    within.
    """
    found = once(benchmark, simulation.power)

    for (d, drop), expected in MID_P.items():
        for n, per_cent in zip(simulation.SIZES, expected, strict=True):
            beyond_chance, regressed = found[d, drop, n]
            assert per_cent == pytest.approx(100 * beyond_chance, abs=2), (d, drop, n)
            if drop > simulation.MARGIN:
                assert per_cent == pytest.approx(100 * regressed, abs=2), (d, drop, n)


def test_the_page_is_what_the_simulation_gives(benchmark):
    assert PAGE.read_text("utf-8") == once(benchmark, simulation.page)
