"""
A trend over a chain of releases: found where each lost a little, and rarely where none did.
"""

import pytest

from harness.gating.drift import trend

from ..benchmarks.drift_simulation import alarms, share_by


def test_the_slope_is_what_is_lost_a_release():
    found = trend({"a": [10, 9, 8, 7], "b": [5, 5, 5, 5]})

    assert -1.0 == pytest.approx(found.per_release)


def test_many_cases_that_break_one_after_the_other_drift_and_their_mirror_does_not():
    broken = {f"c{n}": [1] * (1 + n % 4) + [0] * (4 - n % 4) for n in range(12)}
    fixed = {name: each[::-1] for name, each in broken.items()}

    assert trend(broken).drifts
    assert not trend(fixed).drifts
    assert 1.0 == pytest.approx((trend(broken).p or 0) + (trend(fixed).p or 0))


def test_a_group_that_breaks_together_is_one_piece_of_evidence():
    assert not trend({"group": [40, 30, 20, 0]}).drifts
    assert 0.25 == trend({"group": [40, 30, 20, 0]}).p


@pytest.mark.parametrize("outcomes", [{}, {"a": [1]}, {"a": [1, 0]}])
def test_of_fewer_than_three_releases_there_is_no_p(outcomes: dict[str, list[int]]):
    assert trend(outcomes).p is None
    assert not trend(outcomes).drifts


def test_what_changes_back_and_forth_is_no_trend():
    assert not trend({f"c{n}": [1, 0, 1, 0, 1] for n in range(200)}).drifts


@pytest.mark.simulation
@pytest.mark.slow
def test_half_a_point_a_release_is_found_by_the_eighth_and_flat_chains_rarely_alarm():
    assert share_by(alarms(1_300, 0.005, 40), 8) >= 0.8
    assert share_by(alarms(1_300, 0.0, 100), 10) <= 0.05
