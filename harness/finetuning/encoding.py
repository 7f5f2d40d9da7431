"""
What a row becomes for the model: its text, its tokens, and which of them are learned.

The assistant's turns are found by rendering the conversation up to each of them and seeing what
the template adds, so they are known without any marker in the template. What a trainer prepares
is then held against this: nothing dropped, cut or altered, and the loss on exactly these tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.checkpoints.chat_template import chat_template, conversation, preflight
from harness.errors import TrainingError, boundary
from harness.finetuning.rows import Row
from harness.finetuning.shared_prefix import IGNORED


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """
    One row as the model sees it.
    """

    source: str
    chat: Sequence[Mapping[str, Any]]
    """The conversation in the chat form, roles as the template knows them."""
    tools: Sequence[Mapping[str, Any]]
    text: str
    turns: tuple[str, ...]
    """What the assistant writes, turn by turn, the token that ends the turn included."""
    ids: tuple[int, ...]
    labels: tuple[int, ...]
    """The ids of the assistant's tokens, and -100 for all others."""

    @property
    def ends(self) -> frozenset[int]:
        """
        The tokens that end an assistant's turn in this row.
        """
        following = (*self.labels[1:], IGNORED)
        return frozenset(
            label
            for label, after in zip(self.labels, following, strict=True)
            if label != IGNORED and after == IGNORED
        )


def check_template(tokenizer: Any, rows: Sequence[Row]) -> None:
    """
    Refuse a chat template that drops something these rows hold.

    Raises:
        TemplateError: names what it drops.
    """
    messages = [message for row in rows for message in row.messages]
    preflight(
        tokenizer,
        tools=any(row.tools for row in rows),
        system=any(message.role in ("system", "developer") for message in messages),
        calls=any(message.tool_calls for message in messages),
        results=any(message.role == "tool" for message in messages),
    )


def encode_rows(tokenizer: Any, rows: Sequence[Row], max_length: int) -> tuple[Encoded, ...]:
    """
    Encode *rows*, in their order.

    Raises:
        TrainingError: if a row is longer than *max_length* tokens, or what the assistant writes in
            it cannot be told from the rest or does not end in a stop token.
    """
    if not tokenizer.is_fast:
        raise TrainingError(
            f"the tokenizer of {tokenizer.name_or_path} has no fast version, so the assistant's "
            "tokens cannot be told from the rest"
        )
    encoded = tuple(_encode(tokenizer, row) for row in rows)
    long = [row for row in encoded if len(row.ids) > max_length]
    if long:
        longest = max(len(row.ids) for row in long)
        named = ", ".join(row.source for row in long[:3]) + (" ..." if len(long) > 3 else "")
        raise TrainingError(
            f"{len(long)} of {len(encoded)} rows are longer than max_length {max_length} and would "
            f"be cut: {named}\nthe longest has {longest} tokens; raise max_length or shorten them"
        )
    return encoded


def _encode(tokenizer: Any, row: Row) -> Encoded:
    template = chat_template(tokenizer)
    chat = conversation(row.messages, template)
    tools = [dict(tool.schema) for tool in row.tools]

    def rendered(count: int, *, prompt: bool = False) -> str:
        with boundary(TrainingError, f"{row.source}: the chat template cannot render it"):
            return str(
                tokenizer.apply_chat_template(
                    chat[:count],
                    tools=tools or None,
                    chat_template=template,
                    add_generation_prompt=prompt,
                    tokenize=False,
                )
            )

    text = rendered(len(chat))
    spans = []
    for index, message in enumerate(row.messages):
        if message.role != "assistant":
            continue
        prompt, answered = rendered(index, prompt=True), rendered(index + 1)
        if not (text.startswith(answered) and answered.startswith(prompt)):
            raise TrainingError(
                f"{row.source}: the chat template rewrites what came before the assistant's turn "
                f"{index + 1}, so training would not show what the model sees when it is asked; "
                "split the row into one row for each turn"
            )
        # A line break after the stop token belongs to the template, not to the answer.
        spans.append((len(prompt), len(answered.rstrip())))
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    labels = tuple(
        id_ if any(start <= begin < end <= stop for start, stop in spans) else IGNORED
        for id_, (begin, end) in zip(tokens["input_ids"], tokens["offset_mapping"], strict=True)
    )
    encoded = Encoded(
        source=row.source,
        chat=chat,
        tools=tools,
        text=text,
        turns=tuple(text[start:stop] for start, stop in spans),
        ids=tuple(tokens["input_ids"]),
        labels=labels,
    )
    check_labels(tokenizer, encoded, encoded.ids, labels)
    special = set(tokenizer.added_tokens_decoder)
    if not encoded.ends <= special:
        raise TrainingError(
            f"{row.source}: the chat template ends the assistant's turn with "
            f"{encoded.turns[-1][-12:]!r}, which is no stop token; the model would never learn to "
            "stop. End the turn with one in the template"
        )
    return encoded


def check_labels(
    tokenizer: Any, expected: Encoded, ids: Sequence[int], labels: Sequence[int]
) -> None:
    """
    Refuse tokens other than *expected*'s, or a loss on other text than the assistant's.

    Raises:
        TrainingError: shows what would be learned instead.
    """
    if tuple(ids) != expected.ids:
        cut = tuple(ids) == expected.ids[: len(ids)]
        raise TrainingError(
            f"{expected.source}: it would be cut to {len(ids)} of {len(expected.ids)} tokens"
            if cut
            else f"{expected.source}: it was altered on its way to the trainer, which would see "
            f"{tokenizer.decode(list(ids))!r}"
        )
    learned = _learned(tokenizer, ids, labels)
    if learned == list(expected.turns):
        return
    short = [turn for turn, text in zip(expected.turns, learned, strict=False) if turn != text]
    unstopped = len(learned) == len(expected.turns) and all(
        turn.startswith(text) for turn, text in zip(expected.turns, learned, strict=True)
    )
    raise TrainingError(
        f"{expected.source}: the loss leaves out the end of the assistant's turn, so the model "
        f"would never learn to stop; put {short[0][-12:]!r} inside the template's "
        "{% generation %} markers"
        if unstopped
        else f"{expected.source}: the loss would be on {learned!r}, not on what the assistant "
        f"writes: {list(expected.turns)!r}"
    )


def _learned(tokenizer: Any, ids: Sequence[int], labels: Sequence[int]) -> list[str]:
    """
    Decode each run of learned tokens. A run is decoded with what stands before it, as some
    tokenizers swallow a space at the beginning of a text.
    """
    runs: list[list[int]] = []
    for index, label in enumerate(labels):
        if label == IGNORED:
            continue
        if label != ids[index]:
            raise TrainingError("a label is not its token: it would teach another answer")
        if runs and runs[-1][1] == index:
            runs[-1][1] = index + 1
        else:
            runs.append([index, index + 1])

    def decoded(count: int) -> str:
        return str(
            tokenizer.decode(
                list(ids[:count]), skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )

    return [decoded(stop)[len(decoded(start)) :] for start, stop in runs]
