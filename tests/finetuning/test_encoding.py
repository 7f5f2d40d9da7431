"""
What the model sees of a row, and which tokens are learned.
"""

import pytest

from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import parse_reference
from harness.errors import TemplateError, TrainingError
from harness.finetuning import Row
from harness.finetuning.encoding import check_labels, check_template, encode_rows
from harness.finetuning.shared_prefix import IGNORED
from harness.messages import Message, ToolCall

from .conftest import END, SEARCH, TRAIN, hermes, row


@pytest.fixture
def tokenizer(base):
    return load_tokenizer(locate(parse_reference(str(base))))


def test_the_assistants_call_and_its_stop_are_learned_and_nothing_else(tokenizer):
    [encoded] = encode_rows(tokenizer, TRAIN[:1], 1024)

    call = '<tool_call>\n{"name": "search", "arguments": {"query": "a cat"}}\n</tool_call>'
    learned = [label for label in encoded.labels if label != IGNORED]
    assert f"{call}{END}" == tokenizer.decode(learned)
    assert (f"{call}{END}",) == encoded.turns
    assert frozenset({tokenizer.eos_token_id}) == encoded.ends


def test_every_assistant_turn_of_a_conversation_is_learned(tokenizer):
    asked = row("find a cat", ToolCall(name="search", arguments={}), SEARCH)
    conversation = Row(
        messages=(
            *asked.messages,
            Message(role="tool", name="search", content="On the mat."),
            Message(role="assistant", content="It is on the mat."),
        ),
        tools=asked.tools,
    )

    [encoded] = encode_rows(tokenizer, [conversation], 1024)

    assert 2 == len(encoded.turns)
    assert f"It is on the mat.{END}" == encoded.turns[1]


def test_a_row_that_would_be_cut_is_refused_by_name(tokenizer):
    with pytest.raises(TrainingError, match=r"longer than max_length 64.*train\.jsonl:1"):
        encode_rows(tokenizer, TRAIN[:1], 64)


def test_a_template_that_drops_tools_is_refused(tokenizer):
    tokenizer.chat_template = hermes().replace("for tool in tools", "for tool in []")

    with pytest.raises(TemplateError, match="tool declarations"):
        check_template(tokenizer, TRAIN)


def test_a_turn_that_ends_in_no_stop_token_is_refused(tokenizer):
    tokenizer.chat_template = hermes().replace("{{- '<|im_end|>' -}}\n{%- endgen", "{%- endgen")

    with pytest.raises(TrainingError, match="no stop token"):
        encode_rows(tokenizer, TRAIN[:1], 1024)


def test_a_template_that_rewrites_earlier_turns_is_refused(tokenizer):
    tokenizer.chat_template = hermes().replace(
        "{{- message.content or '' -}}\n{%- for call",
        "{{- 'Well, ' if loop.last else '' -}}\n{%- for call",
    )
    two = Row(
        messages=(
            *TRAIN[0].messages,
            Message(role="user", content="And?"),
            Message(role="assistant", content="No."),
        ),
        tools=TRAIN[0].tools,
        source="train.jsonl:5",
    )

    with pytest.raises(TrainingError, match=r"train\.jsonl:5.*rewrites"):
        encode_rows(tokenizer, [two], 1024)


def test_labels_are_held_against_the_assistants_text(tokenizer):
    [encoded] = encode_rows(tokenizer, TRAIN[:1], 1024)
    labels = list(encoded.labels)
    stop = max(index for index, label in enumerate(labels) if label != IGNORED)

    check_labels(tokenizer, encoded, encoded.ids, labels)
    with pytest.raises(TrainingError, match="never learn to stop"):
        check_labels(tokenizer, encoded, encoded.ids, [*labels[:stop], *[IGNORED] * 2])
    with pytest.raises(TrainingError, match="not on what the assistant"):
        check_labels(tokenizer, encoded, encoded.ids, encoded.ids)
    with pytest.raises(TrainingError, match="cut to 100 of"):
        check_labels(tokenizer, encoded, encoded.ids[:100], labels[:100])
    with pytest.raises(TrainingError, match="altered"):
        check_labels(tokenizer, encoded, (5, *encoded.ids[1:]), labels)
