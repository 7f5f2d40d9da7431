"""
Agents without a model, and the reference that the oracle plays.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.environments.opening import open_environment
from harness.scoring.agents import AGENTS, judge_answers, play_reference, run_agent
from harness.suites.files import load_suite
from harness.suites.suite import Suite
from tests import agents
from tests.environments import test_tables as tables


def passed(suite: Suite, name: str) -> list[str]:
    environment = open_environment(suite)
    assert environment is not None
    found = []
    for case in suite.cases:
        answers = run_agent(suite, case, environment, AGENTS[name]).answers
        if judge_answers(suite, case, environment, answers).status == "correct":
            found.append(case.id)
    return found


def reached(suite: Suite) -> list[str]:
    environment = open_environment(suite)
    assert environment is not None
    return [
        case.id
        for case in suite.cases
        if (result := play_reference(suite, case, environment)[1]) is not None
        and result.status == "correct"
    ]


MORE = [
    *agents.CASES,
    {"id": "none", "prompt": "Who won?", "relevant": {}, "answer": {"contains_any": ["unknown"]}},
    {"id": "talk", "prompt": "Thanks!", "expect": {"abstain": True}},
    {
        "id": "query",
        "prompt": "How much do they take for the car?",
        "relevant": {"parking": 1},
        "answer": 30,
        "expect": {
            "calls": [{"tool": "search", "arguments": {"query": {"contains_any": ["parking"]}}}]
        },
    },
]
WRONG = [
    {**agents.CASES[0], "id": "other-answer", "answer": 26},
    {**agents.CASES[0], "id": "no-way", "prompt": "?", "relevant": {"lunch": 1}, "answer": 25},
]


def test_the_oracle_passes_what_can_be_passed(tmp_path: Path):
    suite = load_suite(agents.write_suite(tmp_path, [*MORE, *WRONG]))

    assert [case["id"] for case in MORE] == reached(suite)


def test_the_others_pass_what_is_worth_nothing(tmp_path: Path):
    suite = load_suite(agents.write_suite(tmp_path, MORE))

    assert ["talk"] == passed(suite, "nothing")
    assert ["leave", "lunch"] == passed(suite, "first-tool")
    assert [] == passed(suite, "repeating")


def test_repeating_what_came_back_is_not_an_answer_of_a_few_words(tmp_path: Path):
    answers = ({"contains_any": [25], "max_words": 8}, {"contains_any": [4], "max_words": 5})
    brief = [{**case, "answer": answer} for case, answer in zip(agents.CASES, answers, strict=True)]
    suite = load_suite(agents.write_suite(tmp_path, brief))

    assert [] == passed(suite, "first-tool")
    assert ["leave", "lunch"] == reached(suite)


def test_the_oracle_says_a_part_of_a_sentence_that_is_too_long(tmp_path: Path):
    text = "Whoever parks here pays at the gate: it is 30 euros a month, or 400 a year, in cash."
    case = {"id": "parking", "prompt": "What does parking cost?", "relevant": {"parking": 1}}
    brief = [{**case, "answer": {"contains_any": ["30 euros"], "max_words": 8}}]
    corpus = [{"id": "parking", "title": "Parking", "text": text}]

    assert ["parking"] == reached(load_suite(agents.write_suite(tmp_path, brief, corpus=corpus)))


def tool(name: str, /, *required: str, **properties: Any) -> dict[str, Any]:
    return {
        "name": name,
        "parameters": {"type": "object", "properties": properties, "required": list(required)},
    }


TEXT, FLAG, NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
PHONE = {
    "format": 1,
    "name": "phone",
    "version": "1.0.0",
    "tools": [
        tool("wifi", "on", on=FLAG),
        tool("volume", "level", level=NUMBER),
        tool("find", name=TEXT),
        tool("send", "to", to=NUMBER, text=TEXT),
        tool("forget", "name", name=TEXT),
    ],
    "environment": {
        "kind": "tables",
        "state": tables.STATE,
        "operations": {
            **{name: tables.OPERATIONS[name] for name in ("wifi", "volume", "find", "send")},
            "forget": {"delete": "contacts", "where": {"name": "{name}"}},
        },
    },
}
GOALS: dict[str, Any] = {
    "one": {"settings": {"changed": {"wifi": {"on": True}}}},
    "enabled": {
        "messages": {"added": [{"to": 1, "text": {"contains_any": ["late"]}}]},
        "settings": {"changed": {"wifi": {"on": True}}},
    },
    "removed": {"contacts": {"removed": [2]}},
    "several": {"settings": {"changed": {"wifi": {"on": True}, "volume": {"level": 9}}}},
    "nothing": {},
}


@pytest.fixture
def phone(tmp_path: Path) -> Any:
    def made(**goals: Any) -> Suite:
        cases = [{"id": name, "prompt": "Do it.", "goal": goal} for name, goal in goals.items()]
        cases.append({"id": "asked", "prompt": "Who?", "goal": {}, "answer": "Ada Kern"})
        (tmp_path / "suite.yaml").write_text(json.dumps({**PHONE, "cases": cases}))
        return load_suite(tmp_path)

    return made


def test_the_oracle_brings_about_a_goal_in_an_order_that_nothing_refuses(phone: Any):
    assert [*GOALS, "asked"] == reached(phone(**GOALS))


def test_mutated_goals_are_found(phone: Any):
    """
    Goals that no call can bring about: another table's row, a value no tool writes, and so on.
    """
    mutants = {
        "read-only": {"messages": {"added": [{"to": 9}]}},  # there is no contact 9
        "unwritten": {"contacts": {"changed": {"1": {"name": "Bo"}}}},
        "against": {"settings": {"removed": ["wifi"]}},
        "without": {"messages": {"added": [{"to": 1}]}},  # the wifi that it needs is not named
    }

    assert ["asked"] == reached(phone(**mutants))
