"""
Where two answers to one question part, and how near the model was to the other one.

Two engines add up the same sums in another order, and what is quantised rounds otherwise: where two
tokens are almost equally likely, that decides, and from there on the answers differ. So the first
token that differs, and how far its logit is from that of the other, show what a changed answer is
worth.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from harness.transcript import Key, Transcript

FIRST = 20
"""How many answers that differ are looked at closely."""

_PIECE = re.compile(r"<[^<>\s]+>| ?\w+| ?[^\w\s]|\s+")
# About what a token is: a special token or a tag, a word, a sign.

_END = re.compile(r"<[^<>\s]+>\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """
    How one checkpoint weighed the two tokens.
    """

    old: float
    new: float
    """Of the token of the old answer, and of that of the new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """
    The first place where two answers to one question differ.
    """

    key: Key
    before: str
    """What both wrote before it."""
    old: str
    new: str
    """What each wrote there: a token where *token* says which one it is, else a word or sign. Empty
    where the answer had ended."""
    token: int | None = None
    """Which token of the answer it is, from 1; None where no tokenizer was asked."""
    by_old: Logits | None = None
    by_new: Logits | None = None
    """How the old and the new checkpoint weighed both tokens there; None where that is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergences:
    """
    What two runs answered otherwise.
    """

    answers: int
    """How many answers there are whose text is known in both runs."""
    differing: int
    first: tuple[Divergence, ...]
    """At most `FIRST` of them, in the order of the run."""
    unknown: tuple[str, ...] = ()
    """Why logits are unknown."""


def divergences(
    old: Mapping[Key, Transcript], new: Mapping[Key, Transcript], keys: Iterable[Key]
) -> Divergences:
    """
    Return how the answers with *keys*, which both runs have, differ as text.

    Of an executed case only the first step that differs counts: later ones were asked otherwise.
    """
    answers = differing = 0
    first: list[Divergence] = []
    parted: set[tuple[str, int, int]] = set()
    for key in keys:
        conversation = key.case, key.repeat, key.turn
        was, now = old[key], new[key]
        if was.output is None or now.output is None or conversation in parted:
            continue
        answers += 1
        if same(was, now):
            continue
        differing += 1
        parted.add(conversation)
        if len(first) < FIRST:
            first.append(replace(_parted(was.output, now.output), key=key))
    return Divergences(answers=answers, differing=differing, first=tuple(first))


def same(old: Transcript, new: Transcript) -> bool:
    """
    Return whether two answers have the same text, but for the token that ended one of them: most
    servers leave it out.
    """
    if old.output is None or new.output is None:
        return False
    short, long = sorted((old.output, new.output), key=len)
    if short == long:
        return True
    return (
        old.finish_reason == new.finish_reason == "stop"
        and long.startswith(short)
        and _END.fullmatch(long, len(short)) is not None
    )


def _parted(old: str, new: str) -> Divergence:
    """
    Return the first piece of text that differs, of no key yet.
    """
    at = 0
    ours, theirs = _pieces(old), _pieces(new)
    while (was := next(ours, "")) == (now := next(theirs, "")):
        at += len(was)
    return Divergence(key=Key(""), before=old[:at], old=was, new=now)


def _pieces(text: str) -> Iterator[str]:
    return (found[0] for found in _PIECE.finditer(text))
