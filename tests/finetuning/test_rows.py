"""
Rows: what is read, what is refused, what identifies them.
"""

import json
from pathlib import Path

import pytest

from harness.errors import SuiteError, TrainingError, UsageError
from harness.finetuning import Row, read_rows, rows_digest, tools_from_functions
from harness.finetuning.rows import check_leakage
from harness.messages import ToolCall

from .conftest import SEARCH, SUM, TRAIN, row, searches


def write(folder: Path, *lines: object) -> Path:
    file = folder / "train.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return file


def line(**extra: object) -> dict[str, object]:
    call = {"type": "function", "function": {"name": "search", "arguments": {"query": "x"}}}
    return {
        "messages": [
            {"role": "user", "content": "find x"},
            {"role": "assistant", "tool_calls": [call]},
        ],
        **extra,
    }


def test_rows_without_tools_and_system_are_given_the_suites(tmp_path):
    [read] = read_rows(
        write(tmp_path, line()), tools=(SEARCH,), system="Call.", system_role="developer"
    )

    assert (SEARCH,) == read.tools
    assert ["developer", "user", "assistant"] == [message.role for message in read.messages]
    assert f"{tmp_path / 'train.jsonl'}:1" == read.source


def test_a_rows_own_tools_and_system_stay(tmp_path):
    own = line(tools=[{"name": "search", "description": "Mine."}])
    own["messages"] = [{"role": "system", "content": "Mine."}, *own["messages"]]

    [read] = read_rows(write(tmp_path, own), tools=(SUM,), system="Call.")

    assert ["Mine."] == [tool.description for tool in read.tools]
    assert ["Mine."] == [m.content for m in read.messages if m.role == "system"]


def test_tools_that_are_to_be_trained_in_are_not_declared(tmp_path):
    """
    A call must still be of a known tool.
    """
    [read] = read_rows(write(tmp_path, line()), tools=(SEARCH,), declare_tools=False)

    assert () == read.tools


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"prompt": "find x"}, '"messages"'),
        (line(extra=1), "'extra'"),
        ({"messages": [{"role": "user", "content": "find x"}]}, "the assistant's"),
        ({"messages": [{"role": "assistant", "content": "hello"}]}, "no message has the role user"),
        (line(tools=[SUM.schema]), "'search', which is not one of its tools"),
        (line(tools="search"), '"tools" is a list'),
        (line(tools=[{"name": "search", "paramters": {}}]), "no key 'paramters'; did you mean"),
    ],
    ids=[
        *("no messages", "unknown key", "no answer", "no user", "unknown tool", "tools no list"),
        "tool with an unknown key",
    ],
)
def test_a_wrong_row_is_an_error_with_its_line(tmp_path, wrong, said):
    file = write(tmp_path, line(), wrong)

    with pytest.raises(SuiteError) as caught:
        read_rows(file, tools=(SEARCH,))

    assert str(caught.value).startswith(f"{file}:2: ")
    assert said in str(caught.value)


def answered_twice(**mark: object) -> dict[str, object]:
    first = {"role": "assistant", "content": "Wait.", **mark}
    asked, last = line()["messages"]
    return line(messages=[asked, first, {"role": "user", "content": "Now?"}, last])


@pytest.mark.parametrize(
    "mark",
    [{"weight": 0}, {"weight": 0.0}, {"train": False}, {"trainable": False}, {"trainable": 0}],
    ids=str,
)
def test_an_answer_marked_as_not_to_be_learned_is_history(tmp_path, mark):
    [read] = read_rows(write(tmp_path, answered_twice(**mark)), tools=(SEARCH,), system="Call.")

    assert "Wait." == read.messages[2].content
    assert frozenset({2}) == read.history


@pytest.mark.parametrize("mark", [{}, {"weight": 1}, {"train": True}, {"weight": None}], ids=str)
def test_other_answers_are_learned(tmp_path, mark):
    [read] = read_rows(write(tmp_path, answered_twice(**mark)), tools=(SEARCH,))

    assert frozenset() == read.history


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (answered_twice(weight=0.5), "weight 0.5 of a message is not 0 or 1"),
        (answered_twice(train="no"), "train 'no' of a message is not 0 or 1"),
        (answered_twice(weight=1, train=False), "weight and train of a message contradict"),
        (line(messages=[{**line()["messages"][0], "train": True}, line()["messages"][1]]), "user"),
        (line(messages=[line()["messages"][0], {**line()["messages"][1], "weight": 0}]), "history"),
    ],
    ids=["between", "a word", "contradiction", "a user's", "nothing left"],
)
def test_a_mark_that_says_neither_is_an_error_with_its_line(tmp_path, wrong, said):
    with pytest.raises(SuiteError, match=rf"train\.jsonl:2: .*{said}"):
        read_rows(write(tmp_path, line(), wrong), tools=(SEARCH,))


def test_what_follows_the_last_learned_answer_is_left_out(tmp_path):
    asked, answer = line()["messages"]
    after = [
        {"role": "user", "content": "Thanks."},
        {"role": "assistant", "content": "!", "weight": 0},
    ]
    [read] = read_rows(write(tmp_path, line(messages=[asked, answer, *after])), tools=(SEARCH,))

    assert ["user", "assistant"] == [message.role for message in read.messages]


def test_rows_that_learn_other_answers_have_another_digest(tmp_path):
    whole, part = (
        read_rows(write(tmp_path, answered_twice(**mark)), tools=(SEARCH,))
        for mark in ({}, {"weight": 0})
    )

    assert rows_digest(whole) != rows_digest(part)


def test_a_row_that_offers_no_tools_is_not_given_the_suites(tmp_path):
    said = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello!"}]
    [read] = read_rows(write(tmp_path, {"messages": said, "tools": []}), tools=(SEARCH,))

    assert () == read.tools


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_thinking_is_read_under_each_of_its_names(tmp_path, key):
    asked, answer = line()["messages"]
    row = line(messages=[asked, {**answer, key: "A cat, then."}])
    [read] = read_rows(write(tmp_path, row), tools=(SEARCH,))

    assert "A cat, then." == read.messages[1].reasoning


def test_a_file_without_rows_is_an_error(tmp_path):
    with pytest.raises(SuiteError, match="no rows"):
        read_rows(write(tmp_path))


def test_python_functions_become_tools_without_a_return_key():
    def weather(city: str, days: int = 1) -> str:
        """
        Forecast the weather.

        Args:
            city: Where.
            days: How many days.

        Returns:
            The forecast.
        """
        return f"{city} {days}"

    [tool] = tools_from_functions([weather])

    assert ("weather", "Forecast the weather.") == (tool.name, tool.description)
    assert ["city"] == list(tool.parameters["required"])
    assert "integer" == tool.parameters["properties"]["days"]["type"]
    assert "return" not in tool.schema["function"]


def test_a_function_without_hints_is_an_error_that_names_it():
    def bare(city):
        """Look."""

    with pytest.raises(UsageError, match="bare"):
        tools_from_functions([bare])


def test_the_digest_is_of_content_and_order_not_of_the_file():
    moved = Row(messages=TRAIN[0].messages, tools=TRAIN[0].tools, source="other.jsonl:9")

    assert rows_digest(TRAIN) == rows_digest((moved, *TRAIN[1:]))
    assert rows_digest(TRAIN) != rows_digest(TRAIN[::-1])
    assert rows_digest(TRAIN) != rows_digest(
        (row("find a cat", ToolCall(name="search", arguments={"query": "a cat"}), SUM), *TRAIN[1:])
    )


def test_a_prompt_of_the_suite_is_refused_whatever_its_case_and_spaces():
    with pytest.raises(TrainingError, match=r"train\.jsonl:1.*case of the suite"):
        check_leakage(searches("a cat"), ["  FIND\na  Cat "])


def test_other_prompts_are_no_leak():
    check_leakage(searches("a cat"), ["find a catfish", "a cat"])
