"""
Which cases a part of a run asks, and which part a job of an array is.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.runs.shards import part_of, read_shard
from harness.suites.suite import Case
from tests.builders import TOOLS, calls, case

LISTS = [TOOLS[:1], TOOLS[:2], TOOLS]


@st.composite
def suites(draw: st.DrawFn) -> list[Case]:
    """
    Draw cases with groups, several turns and lists of tools.
    """
    made = []
    for number in range(draw(st.integers(1, 40))):
        group = draw(st.sampled_from([None, None, None, "g", "h"]))
        tools = LISTS[draw(st.integers(0, 2))]
        turns = [calls("A")] * draw(st.integers(1, 2))
        made.append(case(*turns, id=f"c{number}", group=group, tools=list(tools)))
    return made


@given(suites(), st.sampled_from([1, 2, 3, 7]))
def test_parts_hold_every_case_once_and_no_group_is_divided(cases: list[Case], of: int):
    try:
        parts = [part_of(cases, part, of) for part in range(1, of + 1)]
    except UsageError:
        units = {(each.group, each.group or each.id) for each in cases}
        assert len(units) < of
        return

    assert all(parts)
    assert sorted(each.id for each in cases) == sorted(each.id for part in parts for each in part)
    assert all(list(part) == sorted(part, key=cases.index) for part in parts)
    for group in {each.group for each in cases} - {None}:
        assert 1 == sum(any(each.group == group for each in part) for part in parts)


def many(*lists: int) -> list[Case]:
    """
    Make cases in turn with each list of tools, of which the first is used so often, and so on.
    """
    numbers = [
        which for place in range(max(lists)) for which, size in enumerate(lists) if place < size
    ]
    return [
        case(calls("A"), id=f"c{number}", tools=LISTS[which])
        for number, which in enumerate(numbers)
    ]


def lists_of(part: Sequence[Case]) -> dict[int, int]:
    return dict(Counter(len(each.tools) for each in part))


def test_cases_with_the_same_tools_stay_together():
    cases = many(30, 20, 10)

    assert [{1: 30}, {2: 20, 3: 10}] == [lists_of(part_of(cases, part, 2)) for part in (1, 2)]


def test_a_list_of_tools_that_is_more_than_a_share_is_divided_evenly():
    cases = many(100, 20)

    parts = [lists_of(part_of(cases, part, 3)) for part in (1, 2, 3)]
    assert [{1: 40}, {1: 40}, {1: 20, 2: 20}] == parts


def test_more_parts_than_groups_are_refused_for_every_part():
    cases = [replace(each, group="g") for each in many(10)] + [case(calls("A"), id="alone")]

    assert ["alone"] == [each.id for each in part_of(cases, 2, 2)]
    for part in (1, 2, 3):
        with pytest.raises(UsageError, match="at most 2"):
            part_of(cases, part, 3)


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"HARNESS_SHARD": "3/9", "CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "2"}, (3, 9)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "7",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_ARRAY_TASK_STEP": "2",
            },
            (4, 4),
        ),
        (
            {
                "SLURM_ARRAY_TASK_ID": "0",
                "SLURM_ARRAY_TASK_COUNT": "64",
                "SLURM_ARRAY_TASK_MIN": "0",
            },
            (1, 64),
        ),
        ({"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "2"}, (2, 2)),
        ({"CIRCLE_NODE_INDEX": "0", "CIRCLE_NODE_TOTAL": "2"}, (1, 2)),
        ({"BUILDKITE_PARALLEL_JOB": "1", "BUILDKITE_PARALLEL_JOB_COUNT": "2"}, (2, 2)),
        ({"SYSTEM_JOBPOSITIONINPHASE": "1", "SYSTEM_TOTALJOBSINPHASE": "5"}, (1, 5)),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "4", "AWS_BATCH_JOB_ARRAY_SIZE": "5"}, (5, 5)),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_job_of_an_array_knows_its_part(variables: dict[str, str], found: tuple[int, int]):
    assert found == read_shard("auto", variables)


@pytest.mark.parametrize(
    ("text", "variables", "said"),
    [
        ("0/3", {}, "counted from 1"),
        ("4/3", {}, "'4/3' is not a part"),
        ("third", {}, "'third' is not a part"),
        ("auto", {}, "no job of an array"),
        # GitLab sets the total of a job that is not an array, too.
        ("auto", {"CI_NODE_TOTAL": "1"}, "no job of an array"),
        ("auto", {"HARNESS_SHARD": "3"}, "HARNESS_SHARD"),
        (
            "auto",
            {
                "SLURM_ARRAY_TASK_ID": "9",
                "SLURM_ARRAY_TASK_COUNT": "3",
                "SLURM_ARRAY_TASK_MIN": "1",
            },
            "none of 3",
        ),
        ("auto", {"CI_NODE_INDEX": "one", "CI_NODE_TOTAL": "2"}, "not a whole number"),
    ],
)
def test_what_is_no_part_is_refused(text: str, variables: dict[str, str], said: str):
    with pytest.raises(UsageError, match=said):
        read_shard(text, variables)
