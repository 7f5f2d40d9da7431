"""
An executed suite as TRL's environments and reward.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from transformers.utils import get_json_schema

from harness.errors import UsageError
from harness.suites.files import load_suite
from harness.suites.suite import Suite
from harness.workflow.reinforcement import environment_factory, prompts, reward_function
from tests import agents


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return load_suite(agents.write_suite(tmp_path))


def test_the_tools_are_methods_declared_as_the_suite_declares_them(suite: Suite):
    environment = environment_factory(suite, suite.cases)()
    environment.reset(case="leave", prompt="?")

    declared = get_json_schema(environment.search)["function"]
    assert ("search", "Search.") == (declared["name"], declared["description"])
    assert ["query"] == declared["parameters"]["required"]
    (query,) = declared["parameters"]["properties"].values()
    assert {"type": "string", "description": "query"} == query
    assert "25 days" in environment.search(query="leave")


def test_rows_name_their_case(suite: Suite):
    row = prompts(suite.cases)[0]

    assert "leave" == row["case"]
    assert [{"role": "user", "content": "How many days of leave do I have?"}] == row["prompt"]


def test_a_rollout_is_worth_one_if_the_gate_would_call_it_correct(suite: Suite):
    reward = reward_function(suite, suite.cases)
    right = [
        agents.call("search", query="leave"),
        {"role": "tool", "name": "search", "content": "whatever"},
        agents.say("You have 25 days."),
    ]
    wrong = [*right[:2], agents.say("You have 26 days.")]

    assert [1.0, 0.0, 0.0, 0.0] == reward(
        completions=[right, wrong, right[:2], "25 days"], case=["leave"] * 4, prompts=[None] * 4
    )


def test_a_suite_that_is_not_executed_has_no_environment(suite: Suite):
    with pytest.raises(UsageError, match="is not executed"):
        reward_function(replace(suite, environment=None), suite.cases)
