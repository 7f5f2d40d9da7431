"""
Training rows from a data set of the hub, out of the cache that `datasets` keeps of it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SuiteError, UsageError
from harness.messages import Tool
from harness.workflow.hub_rows import read_hub_rows
from harness.workflow.training_data import training_data

from ..builders import INSIDE_OUTSIDE, question, write_suite

TOOLS = [Tool.from_schema(tool) for tool in INSIDE_OUTSIDE]
GUIDE = [
    {"user_content": f"q{n}", "tool_name": "inside", "tool_arguments": f'{{"q": "{n}"}}'}
    for n in range(4)
]
Cached = Callable[[list[dict[str, Any]]], None]


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cached:
    """
    Put rows into the cache of `datasets`, as a download of the data set org/name leaves them.
    """
    import datasets

    cache = tmp_path / "cache"
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(cache))

    def put(rows: list[dict[str, Any]]) -> None:
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        datasets.load_dataset("json", data_files={"train": str(file)}, cache_dir=str(cache))
        (info,) = cache.glob("json/*/*/*/dataset_info.json")
        kept = cache / "org___name" / "default" / "0.0.0" / ("a" * 40)
        kept.parent.mkdir(parents=True)
        info.parent.rename(kept)
        (kept / "json-train.arrow").rename(kept / "name-train.arrow")

    return put


def test_the_rows_of_the_guide_are_read_from_the_cache_without_a_network(cached: Cached):
    cached([{**row, "source": "x"} for row in GUIDE])
    said: list[str] = []

    rows = read_hub_rows("hf:org/name", notify=said.append, tools=TOOLS, system="Call.")

    assert ["q0", "q1", "q2", "q3"] == [row.prompts[0] for row in rows]
    assert {"q": "2"} == rows[2].messages[-1].tool_calls[0].arguments
    assert "hf:org/name:train:3" == rows[2].source
    assert "Call." == rows[0].messages[0].content
    assert ["hf:org/name: columns that are not read: source"] == said


def test_conversations_lose_the_nulls_that_columns_gave_them(cached: Cached):
    user = {"role": "user", "content": "Hello"}
    calls = [
        {"type": "function", "function": {"name": name, "arguments": arguments}}
        for name, arguments in (("inside", {"q": "x"}), ("outside", {"k": 3}))
    ]
    rows = [
        {"messages": [user, {"role": "assistant", "tool_calls": [call]}], "tools": INSIDE_OUTSIDE}
        for call in calls
    ]
    rows.append({"messages": [user, {"role": "assistant", "content": "Hi."}], "tools": []})
    cached(rows)

    first, second, third = read_hub_rows("hf:org/name:train")

    assert {"q": "x"} == first.messages[-1].tool_calls[0].arguments
    assert {"k": 3} == second.messages[-1].tool_calls[0].arguments
    assert TOOLS == list(first.tools)
    assert () == third.tools
    assert () == third.messages[-1].tool_calls


def test_they_train_a_suite_and_are_split_by_a_seed(
    cached: Cached, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_suite(tmp_path, [question("c1")], name="routing")
    monkeypatch.chdir(tmp_path)
    cached(GUIDE)
    said: list[str] = []

    data = training_data(
        suite="routing", train="hf:org/name", valid_share=0.5, seed=3, notify=said.append
    )

    assert (2, 2) == (len(data.train), len(data.valid))
    assert TOOLS == list(data.train[0].tools)
    assert ["validation rows: 2 of 4 rows, split off by tool with seed 3 (2 of 4 inside)"] == said


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("hf:org/none", "hf:org/none: the hub cannot be reached and the cache of this machine"),
        ("hf:", "names no data set"),
        ("hf:org/name/more", "names no data set"),
        ("hf:org/name:test", 'Unknown split "test"'),
    ],
)
def test_what_cannot_be_had_is_one_clear_error(cached: Cached, reference: str, said: str):
    cached(GUIDE)

    with pytest.raises(UsageError) as caught:
        read_hub_rows(reference)

    assert said in str(caught.value)
    assert str(caught.value).count("\n") <= 1


def test_other_columns_and_wrong_rows_are_named(cached: Cached):
    cached([{"question": "q", "answer": "a"}])
    with pytest.raises(SuiteError, match="its columns are question, answer; rows have messages"):
        read_hub_rows("hf:org/name")


def test_a_wrong_row_is_named_by_its_number(cached: Cached):
    cached([GUIDE[0], {**GUIDE[1], "tool_arguments": "{"}])
    with pytest.raises(SuiteError, match='hf:org/name:train:2: "tool_arguments" cannot be read'):
        read_hub_rows("hf:org/name", tools=TOOLS)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_to_validate_on_is_a_part(share: float, tmp_path: Path):
    with pytest.raises(UsageError, match="between 0 and 1"):
        training_data(train=tmp_path / "rows.jsonl", valid_share=share, seed=1)
