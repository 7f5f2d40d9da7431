"""
What the model sees of a training row: its text, its tokens, and which of them are learned.

The assistant's turns are found by rendering the conversation up to each of them and taking what
the template adds, so no markers in the template are needed. What a trainer prepares is then
compared with this: nothing dropped, cut or altered, and the loss on exactly these tokens.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    """The conversation in the chat format, with roles the template knows."""
    tools: Sequence[Mapping[str, Any]]
    text: str
    turns: tuple[str, ...]
    """What is learned, turn by turn, the token that ends the turn included."""
    ids: tuple[int, ...]
    labels: tuple[int, ...]
    """The ids of the learned tokens, and -100 for all others."""
    history: bool = False
    """Whether some of the assistant's messages are shown and not learned."""
    unshown: bool = False
    """Whether a learned message has thinking that the chat template does not show."""

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
    Refuse a chat template that drops something these rows contain.

    Raises:
        TemplateError: naming what it drops.
    """
    messages = [message for row in rows for message in row.messages]
    preflight(
        tokenizer,
        tools=any(row.tools for row in rows),
        system=any(message.role in ("system", "developer") for message in messages),
        calls=any(message.tool_calls for message in messages),
        results=any(message.role == "tool" for message in messages),
    )


def encode_rows(
    tokenizer: Any,
    rows: Sequence[Row],
    max_length: int,
    notify: Callable[[str], None] = lambda _: None,
) -> tuple[Encoded, ...]:
    """
    Return *rows* encoded, in their order.

    A row becomes one sequence in which each learned turn looks as the model will see it when it is
    asked. Where the chat template rewrites earlier turns (Qwen3 removes their thinking), no single
    sequence shows that, and the row becomes one sequence for each learned turn, with the earlier
    ones as history. *notify* is called about these, and about thinking that the template drops.

    Raises:
        TrainingError: if a row is longer than *max_length* tokens, or what the assistant writes in
            it cannot be told from the rest or does not end in a stop token.
    """
    each = [encode_row(tokenizer, row) for row in rows]
    split = [row.source for row, made in zip(rows, each, strict=True) if len(made) > 1]
    if split:
        notify(
            f"{_named(split)}: learned answer by answer, as the chat template rewrites earlier "
            "answers"
        )
    encoded = tuple(one for made in each for one in made)
    if unshown := [one.source for one in encoded if one.unshown]:
        notify(
            f"{_named(unshown)}: the chat template does not show reasoning_content, so it is not "
            "learned"
        )
    long = [row for row in encoded if len(row.ids) > max_length]
    if long:
        longest = max(len(row.ids) for row in long)
        raise TrainingError(
            f"{len(long)} of {len(encoded)} rows are longer than max_length {max_length} and would "
            f"be cut: {_named([row.source for row in long])}\n"
            f"the longest has {longest} tokens; raise max_length or shorten them"
        )
    return encoded


def _named(sources: Sequence[str]) -> str:
    return ", ".join(sources[:3]) + (f" and {len(sources) - 3} more" if len(sources) > 3 else "")


def encode_row(tokenizer: Any, row: Row) -> list[Encoded]:
    """
    Return one row as the sequences that it becomes, as `encode_rows` does.

    Raises:
        TrainingError: as `encode_rows`, but for its length.
    """
    if not tokenizer.is_fast:
        raise TrainingError(
            f"the tokenizer of {tokenizer.name_or_path} has no fast version, so the assistant's "
            "tokens cannot be told from the rest"
        )
    turns = _learned_turns(row)
    whole = _sequence(tokenizer, row, turns)
    if whole is not None:
        return [whole]
    made = []
    for number, index in enumerate(turns, start=1):
        source = f"{row.source} (answer {number} of {len(turns)})" if len(turns) > 1 else row.source
        alone = _sequence(
            tokenizer, replace(row, messages=row.messages[: index + 1], source=source), [index]
        )
        if alone is None:
            raise TrainingError(
                f"{source}: the chat template writes what comes before this answer differently "
                "when it asks for the answer and when it shows it, so training would not show what "
                "the model sees when it is asked; fix the template's generation prompt"
            )
        made.append(alone)
    return made


def _learned_turns(row: Row) -> list[int]:
    return [
        index
        for index, message in enumerate(row.messages)
        if message.role == "assistant" and index not in row.history
    ]


def _sequence(tokenizer: Any, row: Row, turns: Sequence[int]) -> Encoded | None:
    """
    Return *row* with the messages at *turns* to learn; None if the template does not show each of
    them as it does when the model is asked for it.
    """
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
    for index in turns:
        prompt, answered = rendered(index, prompt=True), rendered(index + 1)
        if not (text.startswith(answered) and answered.startswith(prompt)):
            return None
        # A line break after the stop token belongs to the template, not to the answer.
        spans.append((len(prompt), len(answered.rstrip())))
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    labels = tuple(
        id_ if any(start <= begin < end <= stop for start, stop in spans) else IGNORED
        for id_, (begin, end) in zip(tokens["input_ids"], tokens["offset_mapping"], strict=True)
    )
    thought = [row.messages[index].reasoning for index in turns]
    encoded = Encoded(
        source=row.source,
        history=len(turns) < sum(message.role == "assistant" for message in row.messages),
        unshown=any(
            said is not None and said.strip() not in text[start:stop]
            for said, (start, stop) in zip(thought, spans, strict=True)
        ),
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
            f"{encoded.turns[-1][-12:]!r}, which is not a stop token; the model would never learn "
            "to stop. End the turn with one in the template"
        )
    return encoded


def check_labels(
    tokenizer: Any, expected: Encoded, ids: Sequence[int], labels: Sequence[int]
) -> None:
    """
    Refuse tokens other than those of *expected*, or a loss on text other than the assistant's.

    Raises:
        TrainingError: showing what would be learned instead.
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
    Decode each run of learned tokens. A run is decoded together with what precedes it, as some
    tokenizers drop a space at the beginning of a text.
    """
    runs: list[list[int]] = []
    for index, label in enumerate(labels):
        if label == IGNORED:
            continue
        if label != ids[index]:
            raise TrainingError("a label differs from its token: it would teach another answer")
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
