"""
Which declarations a fine-tune was shown, and who is told when it is asked with others.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import parse_reference
from harness.finetuning.declarations import Declaration, shown_otherwise, trained_with
from harness.messages import Message, Tool
from harness.suites.files import load_suite
from harness.workflow.declarations import asked_otherwise, declarations_of

from .conftest import SEARCH, SUM, TRAIN

REORDERED = Tool.from_schema(dict(reversed(SEARCH.schema["function"].items())))


@pytest.fixture(scope="module")
def tokenizer(base):
    return load_tokenizer(locate(parse_reference(str(base))))


def shown(*tools: Tool, system: str | None = "Call.") -> Declaration:
    message = None if system is None else Message(role="developer", content=system)
    return Declaration(system=message, tools=tools)


def test_each_block_that_rows_show_is_kept_with_its_tools_and_rows(tokenizer):
    rows = [*TRAIN, replace(TRAIN[0], tools=(SEARCH, SUM))]

    kept = trained_with(tokenizer, rows)

    assert [(["search"], 4), (["search", "sum"], 1)] == [
        (entry["tools"], entry["rows"]) for entry in kept.values()
    ]
    assert next(iter(kept)) == shown(SEARCH).digest(tokenizer)


def test_a_declaration_that_was_shown_says_nothing(tokenizer):
    kept = trained_with(tokenizer, TRAIN)

    assert None is shown_otherwise(kept, tokenizer, [shown(SEARCH)])
    assert None is shown_otherwise({}, tokenizer, [shown(SUM)])


@pytest.mark.parametrize(
    "asked", [shown(REORDERED), shown(SEARCH, system="Do."), shown(SEARCH, system=None)]
)
def test_the_same_names_in_another_text_or_order_are_told(tokenizer, asked):
    how = shown_otherwise(trained_with(tokenizer, TRAIN), tokenizer, [shown(SEARCH), asked])

    assert "shown differently than in training" in how


def test_other_tools_are_told_by_name(tokenizer):
    how = shown_otherwise(trained_with(tokenizer, TRAIN), tokenizer, [shown(SUM)])

    assert "other tools are shown than in training: sum, where training had search" == how


@pytest.mark.parametrize(
    ("tool", "said"), [(SEARCH, None), (REORDERED, "shown differently than in training")]
)
def test_a_suite_is_held_against_the_card_of_the_checkpoint(base, tokenizer, tmp_path, tool, said):
    suite = {
        "format": 1,
        "name": "find",
        "version": "1.0.0",
        "system": "Call.",
        "system_role": "developer",
        "tools": [tool.schema],
        "cases": [{"id": "one", "prompt": "Hello.", "expect": {"abstain": True}}],
    }
    (tmp_path / "suite.yaml").write_text(json.dumps(suite))
    model = tmp_path / "model"
    model.mkdir()
    for file in Path(base).iterdir():
        (model / file.name).symlink_to(file)
    document = {"declarations": trained_with(tokenizer, TRAIN)}
    (model / "training.json").write_text(json.dumps(document))
    loaded = load_suite(tmp_path)

    found = asked_otherwise(f"hf:{model}", loaded)

    assert 1 == len(declarations_of(loaded))
    assert (said is None) == (found is None)
    assert said is None or said in str(found)
    assert None is asked_otherwise(f"hf:{base}", loaded), "nothing is known of its training"
