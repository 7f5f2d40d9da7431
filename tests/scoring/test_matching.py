"""
The cheapest pairing, against trying them all.
"""

from itertools import combinations, permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring.matching import assign, assign_in_order

COSTS = st.integers(0, 4).flatmap(
    lambda rows: st.integers(rows, 6).flatmap(
        lambda columns: st.lists(
            st.lists(st.integers(-5, 5), min_size=columns, max_size=columns),
            min_size=rows,
            max_size=rows,
        )
    )
)
ANY_SHAPE = st.integers(0, 5).flatmap(
    lambda columns: st.lists(
        st.lists(st.integers(-5, 5), min_size=columns, max_size=columns), min_size=1, max_size=4
    )
)


@settings(deadline=None)
@given(COSTS)
def test_no_pairing_of_all_is_cheaper(cost: list[list[int]]) -> None:
    paired = assign(cost)
    columns = range(len(cost[0]) if cost else 0)

    assert len(cost) == len(paired) == len(set(paired))
    assert min(
        sum(cost[row][column] for row, column in enumerate(chosen))
        for chosen in permutations(columns, len(cost))
    ) == sum(cost[row][column] for row, column in enumerate(paired))


@settings(deadline=None)
@given(COSTS)
def test_a_constant_on_every_cell_changes_no_sum_but_by_itself(cost: list[list[int]]) -> None:
    """
    Costs as far apart as judging uses them are added up exactly.
    """
    large = [[10**12 + cell for cell in row] for row in cost]

    assert sum(cost[row][column] for row, column in enumerate(assign(cost))) == sum(
        cost[row][column] for row, column in enumerate(assign(large))
    )


def test_greedy_would_pay_more() -> None:
    # Greedily row 0 takes column 0 for 1 and leaves 100 to row 1.
    assert [1, 0] == assign([[1, 2], [1, 100]])


@settings(deadline=None)
@given(ANY_SHAPE, st.integers(-3, 8))
def test_no_pairing_in_order_is_cheaper(cost: list[list[int]], unpaired: int) -> None:
    paired = assign_in_order(cost, unpaired)
    places = [column for column in paired if column is not None]
    rows, columns = range(len(cost)), range(len(cost[0]))

    assert sorted(set(places)) == places
    assert min(
        sum(cost[row][column] for row, column in zip(some, chosen, strict=True))
        + unpaired * (len(cost) - size)
        for size in range(min(len(cost), len(cost[0])) + 1)
        for some in combinations(rows, size)
        for chosen in combinations(columns, size)
    ) == sum(unpaired if column is None else cost[row][column] for row, column in enumerate(paired))


def test_in_order_leaves_out_rather_than_crosses() -> None:
    assert [1, None] == assign_in_order([[9, 0], [3, 9]], 1)
