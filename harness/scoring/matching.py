"""
The cheapest way to pair rows with columns, in any order or in order.

In any order: the Hungarian algorithm with potentials and shortest augmenting paths (Kuhn 1955;
Jonker and Volgenant 1987), O(rows^2 x columns). scipy has it too, but judging must import neither
scipy nor numpy, and these matrices are only a handful of calls wide.

In order, where no two pairs may cross: sequence alignment (Needleman and Wunsch 1970),
O(rows x columns).
"""

from collections.abc import Sequence

_INFINITE = 1 << 62


def assign(cost: Sequence[Sequence[int]]) -> list[int]:
    """
    Return for each row the column it is paired with, so that the sum of costs is minimal.

    *cost* has at least as many columns as rows, all rows of one length.
    """
    rows, columns = len(cost), len(cost[0]) if cost else 0
    # Index 0 of both sides is the imaginary start of an augmenting path.
    row_potential = [0] * (rows + 1)
    column_potential = [0] * (columns + 1)
    row_of = [0] * (columns + 1)
    for row in range(1, rows + 1):
        row_of[0] = row
        column = 0
        slack = [_INFINITE] * (columns + 1)
        came_from = [0] * (columns + 1)
        visited = [False] * (columns + 1)
        while row_of[column]:
            visited[column] = True
            here = row_of[column]
            best, delta = 0, _INFINITE
            for candidate in range(1, columns + 1):
                if visited[candidate]:
                    continue
                reduced = (
                    cost[here - 1][candidate - 1]
                    - row_potential[here]
                    - column_potential[candidate]
                )
                if reduced < slack[candidate]:
                    slack[candidate], came_from[candidate] = reduced, column
                if slack[candidate] < delta:
                    best, delta = candidate, slack[candidate]
            for candidate in range(columns + 1):
                if visited[candidate]:
                    row_potential[row_of[candidate]] += delta
                    column_potential[candidate] -= delta
                else:
                    slack[candidate] -= delta
            column = best
        while column:
            row_of[column] = row_of[came_from[column]]
            column = came_from[column]
    paired = [0] * rows
    for column in range(1, columns + 1):
        if row_of[column]:
            paired[row_of[column] - 1] = column - 1
    return paired


def assign_in_order(cost: Sequence[Sequence[int]], unpaired: int) -> list[int | None]:
    """
    Return for each row the column it is paired with, later rows with later columns, or None.

    A row that is left out costs *unpaired*, a column nothing. The sum of costs is minimal.
    """
    rows, columns = len(cost), len(cost[0]) if cost else 0
    # The minimal cost of the rows and columns from here on.
    rest = [[unpaired * (rows - row)] * (columns + 1) for row in range(rows + 1)]
    for row in reversed(range(rows)):
        for column in reversed(range(columns)):
            rest[row][column] = min(
                cost[row][column] + rest[row + 1][column + 1],
                rest[row][column + 1],
                unpaired + rest[row + 1][column],
            )
    paired: list[int | None] = []
    column = 0
    for row in range(rows):
        while column < columns and rest[row][column] not in (
            cost[row][column] + rest[row + 1][column + 1],
            unpaired + rest[row + 1][column],
        ):
            column += 1
        here = column < columns and (
            rest[row][column] == cost[row][column] + rest[row + 1][column + 1]
        )
        paired.append(column if here else None)
        column += here
    return paired
