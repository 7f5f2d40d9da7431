"""
Texts that must be equal to the letter although they can be worded in many ways.

A value of several words for an argument that its tool leaves open is free text: nothing tells a
model to word it like that. Two words that the conversation itself says may be a name to be copied;
longer ones are reported even then, as more or less of the sentence is as right.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.canonical import canonical_json
from harness.constraints.constraint import Constraint
from harness.diagnostics import Steps
from harness.messages import Message
from harness.suites.lint.findings import Found
from harness.suites.lint.similarity import normalized
from harness.suites.lint.value_rules import named_values

_SENTENCE = 3
"""Words from which a text is free wherever it comes from."""

_CLOSED = ("enum", "const", "format", "pattern")
"""What a tool may declare of an argument that leaves no choice of words."""


def free_text_findings(
    constraint: Constraint,
    declared: Any,
    messages: Sequence[Message],
    where: str,
    steps: Steps,
) -> Iterator[Found]:
    """
    Say that a text must be equal word for word; *where* begins the message.

    *declared* is the schema that the tool declares, and True where there is none.
    """
    if isinstance(declared, Mapping) and any(keyword in declared for keyword in _CLOSED):
        return
    said = " ".join(normalized(message.content or "") for message in messages)
    for value in named_values(constraint.schema):
        if isinstance(value, str) and _free(value, said):
            text = (
                f"{where} must be {canonical_json(value)} to the letter, and free text can be "
                "worded in many ways; write contains_any or contains_all, or equals_ignoring_case "
                "if these very words are meant"
            )
            yield steps, "free_text", text
            return


def _free(text: str, said: str) -> bool:
    words = len(text.split())
    return words >= _SENTENCE or (words > 1 and normalized(text) not in said)
