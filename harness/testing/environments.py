"""
What every kind of environment promises (`harness.environments.base`), as tests.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.environments.base import Environment, Returned
from harness.suites.environment import ENVIRONMENTS
from harness.suites.parse import parse_suite
from harness.suites.suite import Suite
from harness.testing.contract import Contract


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSample:
    """
    What the contract must know of a kind of environment.
    """

    name: str
    """The kind."""
    settings: Mapping[str, Any]
    """As in suite.yaml, files in place."""
    tools: Sequence[Mapping[str, Any]]
    """Function schemas of the suite's tools."""
    calls: Sequence[tuple[str, Mapping[str, Any]]]
    """Calls that fit their tools, some of which go wrong."""
    reads: Sequence[tuple[str, Mapping[str, Any]]]
    """Those that change nothing."""
    allowed: str | None = None
    """The code that has to be allowed."""
    flawed: Sequence[Mapping[str, Any]] = field(default=())
    """Settings of the right shape that are wrong."""


class EnvironmentContract(Contract):
    """
    Held by every kind. A subclass lists an `EnvironmentSample` for each in `samples`.
    """

    samples: ClassVar[Sequence[EnvironmentSample]] = ()

    def test_it_is_found_by_its_name(self, sample: EnvironmentSample) -> None:
        kind = ENVIRONMENTS.load(sample.name)

        assert kind.name == sample.name
        assert kind.version >= 1

    def test_sound_settings_have_no_flaw_and_others_are_refused(
        self, sample: EnvironmentSample
    ) -> None:
        suite = suite_of(sample)
        kind = ENVIRONMENTS.load(sample.name)
        tools = {tool.name: tool for tool in suite.tools}

        assert [] == list(kind.flaws(dict(sample.settings), tools))
        for settings in sample.flawed:
            assert list(kind.flaws(dict(settings), tools))

    def test_equal_calls_return_the_same_in_whatever_order_cases_come(
        self, sample: EnvironmentSample
    ) -> None:
        suite, environment = suite_of(sample), opened(sample)
        first, second = (environment.begin(case) for case in suite.cases)

        one = [first.call(*call) for call in sample.calls]
        two = [second.call(*call) for call in sample.calls]

        assert one == two
        again = opened(sample)
        other = again.begin(suite.cases[1])
        assert two == [other.call(*call) for call in sample.calls]

    def test_no_episode_changes_what_another_one_sees(self, sample: EnvironmentSample) -> None:
        suite, environment = suite_of(sample), opened(sample)
        first, second = (environment.begin(case) for case in suite.cases)
        before = second.state()
        for call in sample.calls:
            first.call(*call)

        assert before == second.state()
        assert before == environment.begin(suite.cases[1]).state()

    def test_what_is_returned_can_be_stored(self, sample: EnvironmentSample) -> None:
        episode = opened(sample).begin(suite_of(sample).cases[0])
        for call in sample.calls:
            returned = episode.call(*call)
            assert isinstance(returned, Returned)
            assert returned.text == json.loads(json.dumps(returned.text))
            assert isinstance(returned.documents, tuple | None)
        state = episode.state()
        assert state is None or json.loads(json.dumps(state)) == {
            name: [dict(row) for row in rows] for name, rows in state.items()
        }

    def test_a_state_is_not_changed_by_later_calls(self, sample: EnvironmentSample) -> None:
        episode = opened(sample).begin(suite_of(sample).cases[0])
        before = episode.state()
        kept = json.dumps(before)
        for call in sample.calls:
            episode.call(*call)

        assert kept == json.dumps(before)

    def test_reads_leave_the_state_as_it_was(self, sample: EnvironmentSample) -> None:
        episode = opened(sample).begin(suite_of(sample).cases[0])
        before = episode.state()
        for call in sample.reads:
            episode.call(*call)

        assert before == episode.state()

    def test_a_copy_of_the_suite_is_the_same_environment(self, sample: EnvironmentSample) -> None:
        suite = suite_of(sample)
        copy = parse_suite(json.loads(json.dumps(suite.document)), "the copy")

        assert suite.environment == copy.environment
        assert suite.digest == copy.digest


def suite_of(sample: EnvironmentSample) -> Suite:
    """
    Return a suite of two cases in the environment.
    """
    document = {
        "format": 1,
        "name": "toy",
        "version": "1.0.0",
        "environment": {"kind": sample.name, **sample.settings},
        "tools": list(sample.tools),
        "cases": [
            {"id": name, "prompt": "Do it.", "expect": {"abstain": True}} for name in ("a", "b")
        ],
    }
    return parse_suite(document, "the sample")


def opened(sample: EnvironmentSample) -> Environment:
    """
    Open the environment.
    """
    made: Environment = ENVIRONMENTS.load(sample.name).open(
        dict(sample.settings), allowed=sample.allowed
    )
    return made
