"""
Tools in another order, among others, and under other names.
"""

import json
from typing import Any

import pytest

from harness.errors import UsageError
from harness.suites.parse import parse_suite
from harness.suites.vary.tools import renamed, shuffled, with_distractors

from ...builders import tool

FIND = {
    "type": "function",
    "function": {
        "name": "find_order",
        "description": "Find an order; cancel_order takes what it returns.",
        "parameters": {
            "type": "object",
            "properties": {"number": {"type": "string", "description": "as find_order wants it"}},
        },
    },
}
CANCEL = {"type": "function", "function": {"name": "cancel_order", "description": "Cancel."}}
SEARCH = {"name": "search", "description": "A search of pages."}


def document(*cases: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {"id": f"c{number}", "prompt": "Go.", "expect": {"abstain": True}, **case}
        for number, case in enumerate(cases)
    ]
    return {
        "format": 1,
        "name": "orders",
        "version": "1.0.0",
        "system": "Use find_order to search first.",
        "tools": [FIND, CANCEL, SEARCH],
        "cases": rows,
    }


def offered(suite: dict[str, Any]) -> list[list[str]]:
    return [[tool.name for tool in case.tools] for case in parse_suite(suite, "x").cases]


def test_each_case_offers_the_same_tools_in_another_order():
    suite = document({}, {"tools": ["search", "find_order"]}, {"tools": ["search"]}, {"tools": []})

    before, after = offered(suite), offered(shuffled(suite, 0))

    assert [sorted(tools) for tools in before] == [sorted(tools) for tools in after]
    assert [True, True, False, False] == [
        was != now for was, now in zip(before, after, strict=True)
    ]


def test_there_are_few_orders_so_that_prompts_begin_alike_and_every_seed_has_its_own():
    suite = document(*({} for _ in range(40)))
    suite["tools"] = [tool(f"t{number}").schema for number in range(8)]

    orders = {tuple(tools) for tools in offered(shuffled(suite, 0))}
    others = {tuple(tools) for tools in offered(shuffled(suite, 1))}

    assert (4, 4) == (len(orders), len(others))
    assert set() == orders & others


def test_distractors_are_offered_among_the_tools_of_every_case():
    suite = document({}, {"tools": ["search", "find_order"]}, {"tools": []})

    before, after = offered(suite), offered(with_distractors(suite, 5, 0))

    for was, now in zip(before, after, strict=True):
        assert len(was) + 5 == len(now)
        assert was == [name for name in now if name in was]
    assert set(after[0]) - set(before[0]) == set(after[2])
    assert after[0][:3] != before[0], "some come first or between"


def test_no_case_speaks_of_a_distractor():
    every = set(offered(with_distractors(document({"tools": []}), 40, 0))[0])
    spoken = document({"tools": [], "prompt": "Tune the PIANO and book two kayaks."})

    named = set(offered(with_distractors(spoken, 40, 0))[0])

    assert {"tune_piano", "reserve_kayak"} <= every | {"tune_piano", "reserve_kayak"}
    assert set() == named & {"tune_piano", "reserve_kayak"}


def test_more_distractors_than_there_are_is_an_error_that_says_how_many():
    with pytest.raises(UsageError, match=r"^\d+ tools can be added .* not 500$"):
        with_distractors(document({}), 500, 0)


def test_a_renamed_tool_has_the_other_name_wherever_it_is_named():
    suite = document(
        {
            "messages": [
                {"role": "user", "content": "Does find_order search for find_orders?"},
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": "find_order", "arguments": {}}}],
                },
                {"role": "tool", "name": "find_order", "content": '"by find_order"'},
            ],
            "tools": ["find_order", {"name": "undo_all"}],
            "expect": {
                "any_of": [
                    {
                        "calls": [{"tool": "undo_all", "arguments": {"tool": "find_order"}}],
                        "forbid": ["find_order"],
                    },
                    {"abstain": True},
                ]
            },
        },
        {"expect": {"calls": [{"tool": "search"}]}},
    )
    del suite["cases"][0]["prompt"]
    suite["cases"][0]["tools"][1]["parameters"] = {
        "type": "object",
        "properties": {"tool": {"enum": ["find_order"]}},
    }

    done = renamed(suite, 0)

    parse_suite(done, "x")
    other = {
        was["function"]["name"]: now["function"]["name"]
        for was, now in zip(suite["tools"][:2], done["tools"][:2], strict=True)
    }
    other["search"] = done["tools"][2]["name"]
    other["undo_all"] = done["cases"][0]["tools"][1]["name"]
    assert {"tool_a", "tool_b", "tool_c", "tool_d"} == set(other.values())
    find, undo = other["find_order"], other["undo_all"]
    assert f"Use {find} to search first." == done["system"]
    assert (
        f"Find an order; {other['cancel_order']} takes what it returns."
        == (done["tools"][0]["function"]["description"])
    )
    assert f"as {find} wants it" in json.dumps(done["tools"][0])
    asked, called, result = done["cases"][0]["messages"]
    assert f"Does {find} search for find_orders?" == asked["content"]
    assert find == called["tool_calls"][0]["function"]["name"]
    assert (find, f'"by {find}"') == (result["name"], result["content"])
    # What a call is given is content, which no other name may change.
    expected = done["cases"][0]["expect"]["any_of"][0]
    assert {"tool": undo, "arguments": {"tool": "find_order"}} == expected["calls"][0]
    assert [find] == expected["forbid"]
    assert ["find_order"] == (
        done["cases"][0]["tools"][1]["parameters"]["properties"]["tool"]["enum"]
    )
    assert other["search"] == done["cases"][1]["expect"]["calls"][0]["tool"]
