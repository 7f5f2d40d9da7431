"""
End states against goals, and what changed beside them.
"""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.environments.tables import TABLES
from harness.scoring.goals import changes, judge_goal
from harness.suites.outcome import Outcome, outcome
from tests import builders

BEFORE = {
    "settings": [{"id": "wifi", "on": False}, {"id": "volume", "level": 4, "muted": False}],
    "alarms": [{"id": 1, "time": "06:00"}, {"id": 2, "time": "07:00"}],
}


def codes(goal: Any, **tables: Any) -> list[str]:
    made: Outcome = outcome({"goal": goal})
    assert made.goal is not None
    return sorted(each.code for each in judge_goal(made.goal, BEFORE, {**BEFORE, **tables}))


WIFI = {"settings": {"changed": {"wifi": {"on": True}}}}
ON = {"id": "wifi", "on": True}
VOLUME = {"id": "volume", "level": 4, "muted": False}
ALARM = {"alarms": {"added": [{"time": {"same_moment_as": "08:00"}}]}}


@pytest.mark.parametrize(
    ("goal", "after", "found"),
    [
        (WIFI, {"settings": [ON, VOLUME]}, []),
        (WIFI, {"settings": [VOLUME, ON]}, []),
        (WIFI, {}, ["goal_missed"]),
        (WIFI, {"settings": [ON, {**VOLUME, "level": 5}]}, ["collateral_change"]),
        (WIFI, {"settings": [ON]}, ["collateral_change"]),
        (WIFI, {"settings": [VOLUME]}, ["collateral_change", "goal_missed"]),
        (
            {"settings": {"changed": {"volume": {"level": 7}}}},
            {"settings": [BEFORE["settings"][0], {**VOLUME, "level": 7.0, "muted": True}]},
            ["collateral_change"],
        ),
        (ALARM, {"alarms": [*BEFORE["alarms"], {"id": 3, "time": "8 am", "label": "x"}]}, []),
        (ALARM, {"alarms": [*BEFORE["alarms"], {"id": 3, "time": "9 am"}]}, ["goal_missed"]),
        (
            ALARM,
            {"alarms": [*BEFORE["alarms"], {"id": 3, "time": "9 am"}, {"id": 4, "time": "8 am"}]},
            ["collateral_change"],
        ),
        (ALARM, {}, ["goal_missed"]),
        ({"alarms": {"removed": [1]}}, {"alarms": [BEFORE["alarms"][1]]}, []),
        ({"alarms": {"removed": [1]}}, {"alarms": []}, ["collateral_change"]),
        ({"alarms": {"removed": ["1"]}}, {}, ["goal_missed"]),
        ({}, {}, []),
        ({}, {"alarms": []}, ["collateral_change", "collateral_change"]),
        ({}, {"new": [{"id": 1}]}, ["collateral_change"]),
        ({"any_of": [WIFI, {}]}, {}, []),
        ({"any_of": [WIFI, {}]}, {"settings": [ON, VOLUME]}, []),
    ],
)
def test_a_goal_is_met_and_nothing_else_changes(goal: Any, after: Any, found: list[str]):
    assert found == codes(goal, **after)


def test_numbers_are_compared_as_numbers():
    assert () == changes({"t": [{"id": 1, "n": 25}]}, {"t": [{"id": 1, "n": 25.0}]})
    assert 1 == len(changes({"t": [{"id": 1, "n": 25}]}, {"t": [{"id": 1, "n": "25"}]}))


STATE = {"notes": [{"id": 1, "text": "milk"}, {"id": 2, "text": "tea"}], "flags": [{"id": "a"}]}
OPERATIONS = {
    "add": {"insert": "notes", "values": {"text": "{text}"}},
    "drop": {"delete": "notes", "where": {"id": "{id}"}},
    "edit": {"update": "notes", "where": {"id": "{id}"}, "set": {"text": "{text}"}},
    "flag": {"update": "flags", "where": {"id": "a"}, "set": {"on": "{on}"}},
}
WRITES: list[tuple[str, dict[str, Any]]] = [
    ("add", {"text": "bread"}),
    ("add", {"text": "salt"}),
    ("drop", {"id": 2}),
    ("edit", {"id": 1, "text": "oat milk"}),
    ("flag", {"on": True}),
]
GOAL = {
    "notes": {
        "changed": {"1": {"text": "oat milk"}},
        "added": [{"text": "salt"}, {"text": "bread"}],
        "removed": [2],
    },
    "flags": {"changed": {"a": {"on": True}}},
}


def after(writes: Any) -> Any:
    episode = TABLES.open({"state": STATE, "operations": OPERATIONS}).begin(builders.case())
    for name, arguments in writes:
        episode.call(name, arguments)
    return episode.state()


@given(st.permutations(WRITES))
def test_equivalent_orders_of_writes_come_to_one_end_state(writes: Any):
    goal = outcome({"goal": GOAL}).goal
    assert goal is not None

    assert () == judge_goal(goal, STATE, after(writes))


@given(st.permutations(WRITES), st.integers(0, 4))
def test_a_write_that_is_left_out_is_found_in_every_order(writes: Any, left_out: int):
    goal = outcome({"goal": GOAL}).goal
    assert goal is not None
    kept = [write for write in writes if write is not WRITES[left_out]]

    assert ["goal_missed"] == [each.code for each in judge_goal(goal, STATE, after(kept))]


def test_every_order_of_the_same_writes_differs_in_the_ids_of_new_rows_alone():
    def plain(state: Any) -> Any:
        return sorted(
            str({k: v for k, v in row.items() if k != "id"})
            for table in state.values()
            for row in table
        )

    assert 1 == len({str(plain(after(order))) for order in itertools.permutations(WRITES)})
