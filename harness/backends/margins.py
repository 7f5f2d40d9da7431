"""
How sure a checkpoint was of the tool it called: what `Transcript.margin` holds.

At the first token where the name of the called tool and that of another declared tool differ, the
model had to choose between the two. The margin against that tool is the difference of their log
probabilities there, which is that of their logits; the margin of an answer is the smallest over all
other tools, that of the runner-up. Natural logarithms, so 0.7 means twice as likely.

An answer whose margin shrinks from one checkpoint to the next is about to become another tool.
"""

from collections.abc import Sequence
from typing import Any

from harness.backends.engine.decoding import Answer
from harness.dialects.base import Dialect
from harness.dialects.reading import read_text
from harness.messages import Tool

MOST_TOOLS = 64
"""With more tools declared no margin is computed: it would cost more than the answers."""

_BEFORE = ("", " ", '"', "\n", ":", "'", ".", ">")
# What may precede a name and share a token with its beginning.


def watched_tokens(tokenizer: Any, tools: Sequence[Tool]) -> tuple[int, ...]:
    """
    Return every token in which the names of *tools* may first differ: the ones whose logits a
    margin needs. Empty for fewer than two tools or more than `MOST_TOOLS`.
    """
    if not 2 <= len(tools) <= MOST_TOOLS:
        return ()
    found = {
        id_
        for tool in tools
        for before in _BEFORE
        for id_ in tokenizer.encode(before + tool.name, add_special_tokens=False)
    }
    return tuple(sorted(int(id_) for id_ in found))


def margin(
    tokenizer: Any,
    dialect: Dialect,
    tools: Sequence[Tool],
    text: str,
    answer: Answer,
    tokens: Sequence[int],
    opened: str | None = None,
) -> float | None:
    """
    Return the margin of the first call in *text*, the decoded answer, to two decimals.

    *tokens* are those of `watched_tokens`, *opened* what the prompt had begun of the answer. None
    without a call of a declared tool, or where the tokens of the names cannot be determined.
    """
    if not answer.watched:
        return None
    attempt = next(iter(read_text(dialect, text, tools, opened=opened).attempts), None)
    names = {tool.name for tool in tools}
    if attempt is None or attempt.name not in names:
        return None
    within = attempt.raw.find(attempt.name)
    if within < 0:
        return None
    before = text[: attempt.start + within]
    after = text[attempt.start + within + len(attempt.name) :][:1]
    chosen = tokenizer.encode(before + attempt.name + after, add_special_tokens=False)
    at = {id_: index for index, id_ in enumerate(tokens)}
    margins = []
    for other in sorted(names - {attempt.name}):
        alternative = tokenizer.encode(before + other + after, add_special_tokens=False)
        place = next(
            (i for i, (a, b) in enumerate(zip(chosen, alternative, strict=False)) if a != b), None
        )
        if place is None or place >= len(answer.ids):
            continue
        if list(answer.ids[: place + 1]) != chosen[: place + 1]:
            # The model wrote the text in other tokens than the tokenizer does.
            continue
        if chosen[place] in at and alternative[place] in at:
            seen = answer.watched[place]
            margins.append(float(seen[at[chosen[place]]] - seen[at[alternative[place]]]))
    return round(min(margins), 2) if margins else None
