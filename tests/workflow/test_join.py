"""
Answers joined to cases by what was asked: each to one case, or listed with the reason.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import TranscriptError
from harness.suites.parse import parse_suite
from harness.suites.suite import Suite
from harness.transcript import Key
from harness.workflow.join import join

SAID = {"role": "assistant", "content": "Hi."}


def suite(*cases: dict[str, Any]) -> Suite:
    return parse_suite(
        {
            "format": 1,
            "name": "ask",
            "version": "1.0.0",
            "tools": [{"name": "find", "description": "Find."}],
            "cases": [
                case if "turns" in case else {"expect": {"calls": [{"tool": "find"}]}, **case}
                for case in cases
            ],
        },
        "here",
    )


def joined(folder: Path, asked: Suite, *lines: dict[str, Any]) -> tuple[dict[Key, int], str]:
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps({"message": SAID, **row}) + "\n" for row in lines), "utf-8")
    found = join(path, asked)
    return {key: number for key, (number, _) in found.answers.items()}, "\n".join(found.notes)


AB = suite({"id": "a", "prompt": "First?"}, {"id": "b", "prompt": "Second?"})


def test_a_line_belongs_to_the_case_that_asks_the_same(tmp_path: Path):
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Second? "}]

    found, notes = joined(tmp_path, AB, {"messages": asked}, {"prompt": "First?"})

    assert {Key("b"): 1, Key("a"): 2} == found
    assert "" == notes


def test_a_line_that_names_a_case_belongs_to_it(tmp_path: Path):
    found, _ = joined(
        tmp_path, AB, {"case": "b", "prompt": "First?"}, {"custom_id": "req-7", "prompt": "First?"}
    )

    assert {Key("b"): 1, Key("a"): 2} == found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"case": ["a"]}, 'a transcript needs "case", the id of a case'),
        ({"case": {"id": "a"}, "prompt": "First?"}, 'a transcript needs "case", the id of a case'),
        ({"custom_id": [1]}, 'a transcript needs "case", the id of a case'),
        ({"case": "a", "repeat": [1]}, "case 'a': 'repeat' must be a whole number from 0"),
        ({"prompt": "First?", "repeat": {}}, "case 'a': 'repeat' must be a whole number from 0"),
        ({"prompt": "First?", "repeat": True}, "case 'a': 'repeat' must be a whole number from 0"),
        ({"case": "a", "turn": [0]}, "case 'a': 'turn' must be a whole number from 0"),
        ({"case": "a", "turn": -1}, "case 'a': 'turn' must be a whole number from 0"),
    ],
    ids=json.dumps,
)
def test_a_line_with_a_key_of_the_wrong_type_is_an_error_by_file_and_line(
    tmp_path: Path, line: dict[str, Any], said: str
):
    with pytest.raises(TranscriptError) as caught:
        joined(tmp_path, AB, {"prompt": "Second?"}, line)

    assert f"{tmp_path}/log.jsonl:2: {said}" == str(caught.value)


def test_what_cannot_be_joined_is_listed_by_line_and_by_case(tmp_path: Path):
    found, notes = joined(tmp_path, AB, {"prompt": "Third?"}, {}, {"prompt": "First?"})

    assert {Key("a"): 3} == found
    path = tmp_path / "log.jsonl"
    assert (
        f"{path}: 1 line joined by prompt, 2 left out:\n"
        f"  {path}:1: no case asks 'Third?'\n"
        f'  {path}:2: it does not say what was asked; add "prompt", "messages" or "case"\n'
        "1 case of 2 without an answer, counted as errors: b"
    ) == notes


def test_a_request_that_cannot_be_read_is_listed(tmp_path: Path):
    _, notes = joined(tmp_path, AB, {"request": "{"}, {"prompt": "First?"})

    assert "log.jsonl:1: what was asked cannot be read: an object that is JSON text" in notes


def test_two_answers_to_one_case_are_listed_and_neither_is_taken(tmp_path: Path):
    found, notes = joined(
        tmp_path, AB, {"prompt": "First?"}, {"prompt": "Second?"}, {"prompt": "First?"}
    )

    assert {Key("b"): 2} == found
    assert "log.jsonl:1: case 'a' is answered on line 3 too; keep one, or number them" in notes
    assert "log.jsonl:3: case 'a' is answered on line 1 too" in notes


def test_numbered_repeats_are_answers_to_one_case(tmp_path: Path):
    lines = [{"prompt": "First?", "repeat": repeat} for repeat in (0, 1)]

    found, _ = joined(tmp_path, AB, *lines)

    assert {Key("a", 0): 1, Key("a", 1): 2} == found


def test_a_prompt_of_two_cases_is_listed_and_given_to_neither(tmp_path: Path):
    twice = suite(*({"id": name, "prompt": "First?"} for name in "ab"), {"id": "c", "prompt": "C?"})

    found, notes = joined(tmp_path, twice, {"prompt": "First?"}, {"prompt": "C?"})

    assert {Key("c"): 2} == found
    assert "log.jsonl:1: several cases ask 'First?' (a, b); add \"case\" to say which" in notes


def test_an_answer_behind_results_is_not_the_answer_to_the_question(tmp_path: Path):
    """
    A loop of tool calls asks twice behind one user message; only the first is the case's question.
    """
    question = {"role": "user", "content": "First?"}
    call = {"type": "function", "function": {"name": "find", "arguments": "{}"}}
    result = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "12"}]

    found, notes = joined(tmp_path, AB, {"messages": [question]}, {"messages": [question, *result]})

    assert {Key("a"): 1} == found
    assert "log.jsonl:2: no case asks 'First?' after the results of tools" in notes


def test_a_case_behind_results_takes_the_answer_behind_results(tmp_path: Path):
    question = {"role": "user", "content": "First?"}
    call = {"type": "function", "function": {"name": "find", "arguments": {}}}
    result = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "name": "find", "content": "12"},
    ]
    after = suite({"id": "a", "messages": [question, *result]})

    found, notes = joined(
        tmp_path, after, {"messages": [question]}, {"messages": [question, *result]}
    )

    assert {Key("a"): 2} == found
    assert "log.jsonl:1: no case asks 'First?'" in notes


def test_turns_are_told_apart_by_what_each_asks(tmp_path: Path):
    reference = {"role": "assistant", "content": "Done."}
    expect = {"abstain": True}
    turns = suite(
        {
            "id": "a",
            "messages": [{"role": "user", "content": "First?"}],
            "turns": [
                {"expect": expect, "then": [reference, {"role": "user", "content": "Next?"}]},
                {"expect": expect},
            ],
        }
    )

    found, _ = joined(tmp_path, turns, {"prompt": "Next?"}, {"prompt": "First?"})

    assert {Key("a", 0, 1): 1, Key("a", 0, 0): 2} == found


def test_a_file_of_which_nothing_can_be_joined_is_an_error_with_every_reason(tmp_path: Path):
    with pytest.raises(TranscriptError, match=r"none of its 2 lines could be joined") as caught:
        joined(tmp_path, AB, {"prompt": "Third?"}, {})

    assert [
        f"{tmp_path}/log.jsonl:1: no case asks 'Third?'",
        f'{tmp_path}/log.jsonl:2: it does not say what was asked; add "prompt", "messages" or '
        '"case"',
    ] == str(caught.value).splitlines()[1:]


def test_of_many_lines_that_cannot_be_joined_the_first_five_are_listed(tmp_path: Path):
    with pytest.raises(TranscriptError, match=r"none of its 9 lines could be joined") as caught:
        joined(tmp_path, AB, *({"prompt": f"{number}?"} for number in range(9)))

    *reasons, rest = str(caught.value).splitlines()[1:]
    places = [f"{tmp_path}/log.jsonl:{number}" for number in range(1, 6)]
    assert places == [reason.partition(": ")[0] for reason in reasons]
    assert "and 4 more" == rest


def test_a_long_list_is_cut_and_counted(tmp_path: Path):
    lines = [{"prompt": f"{number}?"} for number in range(25)]

    _, notes = joined(tmp_path, AB, {"prompt": "First?"}, *lines)

    assert "25 left out" in notes
    assert "\n  and 5 more\n" in notes
