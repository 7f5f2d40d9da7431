"""
One model asked the same cases twice through one server: raw, with prompts and readings of our own,
and through its chat API. What is right raw and wrong in chat was lost by the serving stack.

Which part of the stack lost an answer is told by what the chat API shows of it. The first that fits
is named:

- its parser, where the same text is right when it is read here: the tokens of the answer, if the
  server returns them, else a call that it left in the content;
- its template, where the prompt is another: other tokens, or where it only counts them, another
  number of them;
- its parser, where the rest of the text is the same, the answer has as many tokens, and what is
  left of the calls says nothing that the raw answer does not;
- its sampling: from the same prompt the model wrote something else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.backends.base import Stability
from harness.dialects.base import Dialect, Reading
from harness.dialects.native import NATIVE
from harness.dialects.reading import read
from harness.scoring.results import CaseResult
from harness.scoring.score import judge
from harness.scoring.tool_names import shown_case
from harness.suites.suite import Case
from harness.transcript import Key, Transcript

Part = Literal["template", "parser", "sampling"]

PARTS: Mapping[Part, str] = {
    "template": "its chat template",
    "parser": "its tool parser",
    "sampling": "its sampling",
}
"""The parts of a serving stack, in the order in which an answer passes them."""

_BEFORE, _AFTER = 8, 24
# Tokens shown of two prompts around the first that differs.


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """
    One answer that is right raw and wrong in chat.
    """

    key: Key
    """The first turn of the case that was lost."""
    by: Part
    why: str
    """What shows it, in the harness's words."""
    ours: str = ""
    theirs: str = ""
    """Where the prompts part, if the server shows its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackCost:
    """
    What a serving stack costs, answer by answer: cases and repeats scored both times.
    """

    both_right: int
    both_wrong: int
    gained: tuple[Key, ...]
    """Wrong raw and right in chat."""
    lost: tuple[Lost, ...]
    left_out: int
    """Pairs with an error or a quarantined case."""
    cures: Mapping[Part, str]
    """What to do about each part of this server."""
    stability: Stability | None = None
    """How often one prompt was answered otherwise, as the preflight saw it."""
    findings: tuple[str, ...] = ()
    """What else the preflight found, a sentence each."""

    @property
    def pairs(self) -> int:
        """
        How many answers were compared.
        """
        return self.both_right + self.both_wrong + len(self.gained) + len(self.lost)

    @property
    def raw_right(self) -> int:
        """
        How many are right raw.
        """
        return self.both_right + len(self.lost)

    @property
    def chat_right(self) -> int:
        """
        How many are right in chat.
        """
        return self.both_right + len(self.gained)

    def by(self, part: Part) -> tuple[Lost, ...]:
        """
        Return the answers that *part* lost.
        """
        return tuple(each for each in self.lost if each.by == part)

    def to_json(self) -> dict[str, Any]:
        """
        Return all of it in JSON types.
        """
        return {
            "pairs": self.pairs,
            "left_out": self.left_out,
            "raw_right": self.raw_right,
            "chat_right": self.chat_right,
            "lost": {part: len(self.by(part)) for part in PARTS},
            "gained": [key._asdict() for key in self.gained],
            "answers": [
                {**each.key._asdict(), "lost_by": each.by, "why": each.why}
                | ({"ours": each.ours, "theirs": each.theirs} if each.ours or each.theirs else {})
                for each in self.lost
            ],
            "cures": dict(self.cures),
            "noise": None if self.stability is None else self.stability.to_json(),
            "preflight": list(self.findings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    One way of asking: how its cases were judged, and every answer.
    """

    results: Sequence[CaseResult]
    answers: Mapping[Key, Transcript]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """
    The tokenizer and chat template with which the raw prompts were written.
    """

    prompt: Callable[[Key], Sequence[int]]
    decode: Callable[[Sequence[int]], str]


def stack_cost(
    cases: Sequence[Case],
    raw: Asked,
    chat: Asked,
    *,
    dialect: Dialect,
    rendering: Rendering,
    cures: Mapping[Part, str],
    tool_names: str | None = None,
    stability: Stability | None = None,
    findings: Sequence[str] = (),
) -> StackCost:
    """
    Pair the answers and say of each that chat lost which part of the stack lost it.

    *dialect* reads the raw answers.
    """
    by_id = {case.id: case for case in cases}
    before = {(each.id, each.repeat): each for each in raw.results}
    gained, lost = [], []
    both_right = both_wrong = left_out = 0
    for after in chat.results:
        was = before.get((after.id, after.repeat))
        if was is None or not was.scored or not after.scored:
            left_out += 1
        elif was.status != "correct":
            if after.status == "correct":
                gained.append(Key(after.id, after.repeat))
            else:
                both_wrong += 1
        elif after.status == "correct":
            both_right += 1
        else:
            turn = next(n for n, each in enumerate(after.turns) if each.status != "correct")
            answer = _Answer(
                case=by_id[after.id],
                key=Key(after.id, after.repeat, turn),
                raw=raw.answers,
                chat=chat.answers,
            )
            lost.append(_explained(answer, dialect, rendering, tool_names))
    return StackCost(
        both_right=both_right,
        both_wrong=both_wrong,
        gained=tuple(gained),
        lost=tuple(lost),
        left_out=left_out,
        cures=cures,
        stability=stability,
        findings=tuple(findings),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    case: Case
    key: Key
    raw: Mapping[Key, Transcript]
    chat: Mapping[Key, Transcript]


def _explained(
    answer: _Answer, dialect: Dialect, rendering: Rendering, tool_names: str | None
) -> Lost:
    key = answer.key
    raw, chat = answer.raw[key], answer.chat[key]
    ids = _ids(_choice(chat).get("token_ids"))
    written = _as_written(raw, chat, rendering.decode(ids) if ids else None)
    # All other turns as they were raw, which are right.
    kept = {each: answer.raw[each] for each in _turns(answer)} | {key: written}
    [result] = (
        each
        for each in judge([answer.case], kept, dialect, tool_names)
        if each.repeat == key.repeat
    )
    if result.turns[key.turn].status == "correct":
        what = "the tokens of its answer are" if ids else "the text that it left in its answer is"
        return Lost(key=key, by="parser", why=f"{what} right when read as {dialect.name}")
    if (parted := _parted(key, chat, rendering)) is not None:
        return parted
    tools = shown_case(answer.case, tool_names).tools
    if not ids and _is_less(raw, chat, read(dialect, raw, tools), read(NATIVE, chat, tools)):
        why = "the rest of the answer is the same, and a call or a part of one is missing"
        return Lost(key=key, by="parser", why=why)
    counted = _read_tokens(chat) is not None
    why = (
        "the prompt is the same and the model wrote something else"
        if counted
        else "the model wrote something else; the server counts no prompt_tokens, so its template "
        "may be the reason"
    )
    return Lost(key=key, by="sampling", why=why)


def _turns(answer: _Answer) -> Iterator[Key]:
    for repeat in range(answer.key.repeat + 1):
        for turn in range(len(answer.case.turns)):
            each = Key(answer.case.id, repeat, turn)
            if each in answer.raw:
                yield each


def _as_written(raw: Transcript, chat: Transcript, text: str | None) -> Transcript:
    """
    Return a chat answer as the text that the model wrote, as far as the server shows it.
    """
    message = chat.message or {}
    if text is None:
        content = message.get("content")
        text, opened = (content if isinstance(content, str) else ""), None
    else:
        opened = raw.opened
    return replace(chat, message=None, output=text, opened=opened)


def _parted(key: Key, chat: Transcript, rendering: Rendering) -> Lost | None:
    """
    Return that the template lost the answer, if the server's prompt is another than ours.
    """
    ours = list(rendering.prompt(key))
    theirs = _ids(_response(chat).get("prompt_token_ids"))
    if theirs:
        if theirs == ours:
            return None
        at = next(
            (n for n, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other),
            min(len(ours), len(theirs)),
        )
        shown = slice(max(0, at - _BEFORE), at + _AFTER)
        return Lost(
            key=key,
            by="template",
            why=f"its prompt is another from token {at + 1} on: {len(theirs)} tokens instead of "
            f"{len(ours)}",
            ours=rendering.decode(ours[shown]),
            theirs=rendering.decode(theirs[shown]),
        )
    count = _read_tokens(chat)
    if count is None or count == len(ours):
        return None
    why = f"its prompt has {count} tokens, and {len(ours)} by --tokenizer"
    return Lost(key=key, by="template", why=why)


def _is_less(raw: Transcript, chat: Transcript, whole: Reading, heard: Reading) -> bool:
    """
    Return whether *chat* is the answer *raw*, but for calls or parts of calls that are missing.
    """
    counts = raw.output_tokens, chat.output_tokens
    # Servers count the token that ended the answer, or do not.
    if None not in counts and abs((counts[0] or 0) - (counts[1] or 0)) > 1:
        return False
    if heard.text.strip() != whole.text.strip():
        return False
    names = [each.name for each in whole.attempts]
    for attempt in heard.attempts:
        if attempt.name is not None and attempt.name not in names:
            return False
    said = {leaf for each in whole.attempts for leaf in _leaves(each.arguments)}
    left = {leaf for each in heard.attempts for leaf in _leaves(each.arguments)}
    return left <= said


def _leaves(value: Any) -> Iterator[str]:
    """
    Yield what a value says, as text: a parser may write a number for its digits.
    """
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield str(name)
            yield from _leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    elif value is not None:
        yield str(value)


def _response(chat: Transcript) -> Mapping[str, Any]:
    found = (chat.message or {}).get("response")
    return found if isinstance(found, Mapping) else {}


def _choice(chat: Transcript) -> Mapping[str, Any]:
    choices = _response(chat).get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, Mapping) else {}


def _read_tokens(chat: Transcript) -> int | None:
    counts = _response(chat).get("usage")
    value = counts.get("prompt_tokens") if isinstance(counts, Mapping) else None
    return value if type(value) is int else None


def _ids(value: Any) -> list[int]:
    """
    Return a list of token ids; empty if *value* is none.
    """
    return value if isinstance(value, list) and all(type(each) is int for each in value) else []
