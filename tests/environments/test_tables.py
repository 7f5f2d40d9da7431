"""
Tables: what operations do, what the model is told, what stays as it was.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.environments.tables import TABLES, TablesEpisode
from tests import builders

STATE = {
    "settings": [{"id": "wifi", "on": False}, {"id": "volume", "level": 4}],
    "contacts": [{"id": 1, "name": "Ada Brandt"}, {"id": 2, "name": "Ada Kern"}],
    "messages": [],
}
OPERATIONS = {
    "get": {"get": "settings", "where": {"id": "{name}"}, "missing": "There is no {name}."},
    "wifi": {
        "update": "settings",
        "where": {"id": "wifi"},
        "set": {"on": "{on}"},
        "returns": "Wi-Fi: {on}",
    },
    "volume": {"update": "settings", "where": {"id": "volume"}, "set": {"level": "{level}"}},
    "find": {
        "list": "contacts",
        "where": {"name": {"contains": "{name}"}},
        "columns": ["id", "name"],
        "order_by": "name",
    },
    "send": {
        "insert": "messages",
        "values": {"to": "{to}", "text": "{text}", "read": False},
        "defaults": {"text": "Hi!"},
        "requires": [
            {"table": "settings", "where": {"id": "wifi", "on": True}, "error": "Wi-Fi is off."},
            {"table": "contacts", "where": {"id": "{to}"}, "error": "There is no contact {to}."},
        ],
    },
    "forget": {"delete": "contacts", "where": {"name": {"contains": "{name}"}}},
    "clear": {"delete": "messages", "where": {"to": "{to}"}, "all": True, "missing": "None."},
    "swap": [
        {"update": "settings", "where": {"id": "wifi"}, "set": {"on": True}},
        {"delete": "contacts", "where": {"id": "{gone}"}},
    ],
    "weather": {"returns": "The service for {city} cannot be reached."},
}


@pytest.fixture
def episode() -> TablesEpisode:
    return begin()


def begin() -> TablesEpisode:
    return TABLES.open({"state": STATE, "operations": OPERATIONS}).begin(builders.case())


def test_a_read_tells_rows_as_json(episode: TablesEpisode):
    assert {"id": "volume", "level": 4} == json.loads(episode.call("get", {"name": "Volume"}).text)
    found = json.loads(episode.call("find", {"name": "ada"}).text)
    assert [1, 2] == [row["id"] for row in found]
    assert "There is no light." == episode.call("get", {"name": "light"}).text


def test_a_condition_without_its_argument_is_dropped(episode: TablesEpisode):
    assert 2 == len(json.loads(episode.call("find", {}).text))


def test_a_write_changes_the_columns_that_are_given(episode: TablesEpisode):
    assert "Wi-Fi: true" == episode.call("wifi", {"on": True}).text
    episode.call("volume", {"level": 7.0})
    episode.call("volume", {})

    assert [{"id": "wifi", "on": True}, {"id": "volume", "level": 7}] == list(
        episode.state()["settings"]
    )
    assert isinstance(episode.state()["settings"][1]["level"], int)


def test_preconditions_are_tried_in_order_and_change_nothing(episode: TablesEpisode):
    assert "Wi-Fi is off." == episode.call("send", {"to": 1, "text": "x"}).text
    episode.call("wifi", {"on": True})
    assert "There is no contact 9." == episode.call("send", {"to": 9, "text": "x"}).text
    assert () == episode.state()["messages"]

    told = episode.call("send", {"to": 1.0})

    assert {"id": 1, "to": 1, "text": "Hi!", "read": False} == json.loads(told.text)
    assert [{"id": 1, "to": 1, "text": "Hi!", "read": False}] == list(episode.state()["messages"])


def test_one_row_is_meant_unless_all_are(episode: TablesEpisode):
    assert "several entries" in episode.call("forget", {"name": "ada"}).text
    episode.call("forget", {"name": "kern"})
    assert [1] == [row["id"] for row in episode.state()["contacts"]]
    assert "None." == episode.call("clear", {"to": 1}).text


def test_operations_of_one_tool_happen_together_or_not_at_all(episode: TablesEpisode):
    before = episode.state()

    assert episode.call("swap", {"gone": 9}).text.startswith("Error: nothing in contacts")
    assert before == episode.state()

    episode.call("swap", {"gone": 2})
    assert [True, None] == [row.get("on") for row in episode.state()["settings"]]
    assert 1 == len(episode.state()["contacts"])


def test_a_tool_without_a_table_always_says_the_same(episode: TablesEpisode):
    told = episode.call("weather", {"city": "Ulm"}).text

    assert "The service for Ulm cannot be reached." == told


def test_cases_do_not_see_each_other(episode: TablesEpisode):
    other = begin()
    episode.call("wifi", {"on": True})

    assert STATE["settings"] == list(other.state()["settings"])
    assert False is STATE["settings"][0]["on"]


CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), st.fixed_dictionaries({"name": st.sampled_from("ab")})),
        st.tuples(st.just("find"), st.fixed_dictionaries({"name": st.text(max_size=3)})),
        st.tuples(st.just("weather"), st.just({"city": "x"})),
    ),
    max_size=6,
)


@given(CALLS)
def test_reads_never_change_anything(calls: list[tuple[str, dict[str, Any]]]):
    episode = begin()
    before = episode.state()
    for name, arguments in calls:
        episode.call(name, arguments)

    assert before == episode.state()
