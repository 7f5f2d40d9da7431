"""
What the model sees of a row, and which tokens are learned.
"""

import pytest

from harness.checkpoints.chat_template import conversation, render
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

    with pytest.raises(TrainingError, match="not a stop token"):
        encode_rows(tokenizer, TRAIN[:1], 1024)


def conversation_of_two(*, history: frozenset[int] = frozenset(), **second: object) -> Row:
    return Row(
        messages=(
            *TRAIN[0].messages,
            Message(role="user", content="And?"),
            Message(role="assistant", content="No.", **second),
        ),
        tools=TRAIN[0].tools,
        source="train.jsonl:5",
        history=history,
    )


FORGETFUL = hermes().replace(
    "{{- message.content or '' -}}\n{%- for call",
    "{{- '<think>' + (message.reasoning_content or '') + '</think>' if loop.last else '' -}}\n"
    "{{- message.content or '' -}}\n{%- for call",
)
"""Shows the thinking of the last answer alone, as Qwen3's template does."""


def test_an_answer_marked_as_history_is_shown_and_not_learned(tokenizer):
    [encoded] = encode_rows(tokenizer, [conversation_of_two(history=frozenset({2}))], 1024)

    assert (f"No.{END}",) == encoded.turns
    assert '"query": "a cat"' in encoded.text
    assert encoded.history


def test_where_the_template_rewrites_earlier_answers_each_is_learned_as_it_is_asked(tokenizer):
    """
    The sequence for an answer begins with the very tokens of the prompt that asks for it.
    """
    tokenizer.chat_template = FORGETFUL
    two = conversation_of_two(reasoning="There is none.")
    said: list[str] = []

    first, second = encode_rows(tokenizer, [two], 1024, said.append)

    assert 1 == len(first.turns)
    assert (f"<think>There is none.</think>No.{END}",) == second.turns
    assert "train.jsonl:5 (answer 2 of 2)" == second.source
    assert ["train.jsonl:5: learned answer by answer"] == [line.split(",")[0] for line in said]
    for encoded, count in ((first, 2), (second, 4)):
        asked = render(
            tokenizer,
            conversation(two.messages[:count], FORGETFUL),
            [tool.schema for tool in two.tools],
        )
        shown = [label == IGNORED for label in encoded.labels].index(False)
        assert asked == list(encoded.ids[:shown])


def test_the_last_answer_alone_is_learned_where_the_template_rewrites_history(tokenizer):
    tokenizer.chat_template = FORGETFUL

    [encoded] = encode_rows(tokenizer, [conversation_of_two(history=frozenset({2}))], 1024)

    assert (f"<think></think>No.{END}",) == encoded.turns
    assert "train.jsonl:5" == encoded.source


def test_a_template_that_asks_otherwise_than_it_shows_is_refused(tokenizer):
    tokenizer.chat_template = hermes().replace(
        r"{{- '<|im_start|>assistant\n' if add", r"{{- '<|im_start|>helper\n' if add"
    )

    with pytest.raises(TrainingError, match=r"train\.jsonl:1.*differently when it asks"):
        encode_rows(tokenizer, TRAIN[:1], 1024)


def test_thinking_that_the_template_does_not_show_is_named(tokenizer):
    said: list[str] = []

    encode_rows(tokenizer, [conversation_of_two(reasoning="There is none.")], 1024, said.append)

    assert [
        "train.jsonl:5: the chat template does not show reasoning_content, so it is not learned"
    ] == said


def test_thinking_has_the_name_that_the_template_asks_for(tokenizer):
    tokenizer.chat_template = FORGETFUL.replace("message.reasoning_content", "message.thinking")
    said: list[str] = []

    encoded = encode_rows(
        tokenizer, [conversation_of_two(reasoning="There is none.")], 1024, said.append
    )

    assert "<think>There is none.</think>" in encoded[-1].turns[0]
    assert not any("does not show" in line for line in said)


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
