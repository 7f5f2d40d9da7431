"""
The users' messages of a case in other words: with typing errors, in lower case, or politely.

What the expectation names is left as it is, wherever a message says it: an argument copied from a
message with a typing error would be wrong for the message's sake, not the model's.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from harness.suites.vary.draws import Draw, draws

_WORD = re.compile(r"(?<![\w@./:'’-])[^\W\d_]+(?:['’-][^\W\d_]+)*(?![\w@/:'’-]|\.\w)")
"""A word of letters, or several joined, that is no part of a number or an address."""

_EVERY, _SHORTEST = 6, 4
"""One in so many words gets a typing error, and none of fewer letters."""

_POLITE = (
    ("Hi there! Could you please help me with this? ", " Thank you so much!"),
    ("Good morning, I would be very grateful for your help. ", " Many thanks in advance!"),
    ("Hello, I hope you are well. When you have a moment, please: ", " I really appreciate it."),
    ("Excuse me, sorry to bother you. ", " That would be very kind of you, thanks!"),
)
"""What is said before and after a message, by which it is the same request."""

Change = Callable[[str, Sequence[str], Draw], str]
"""Takes a message, the words to leave alone and draws; returns the message in other words."""


def reworded(row: Mapping[str, Any], change: Change, seed: int) -> dict[str, Any]:
    """
    Return a case with every message of the user changed.
    """
    kept = tuple(_words_of(_expected(row)))
    number = count()

    def said(text: str) -> str:
        return change(text, kept, draws(seed, row["id"], next(number)))

    def messages(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [
            {**each, "content": said(_text(each["content"]))}
            if each["role"] == "user"
            else {**each}
            for each in given
        ]

    done = dict(row)
    if "prompt" in row:
        done["prompt"] = said(row["prompt"])
    else:
        done["messages"] = messages(row["messages"])
    if "turns" in row:
        done["turns"] = [
            {**turn, "then": messages(turn["then"])} if "then" in turn else turn
            for turn in row["turns"]
        ]
    return done


def typos(text: str, kept: Sequence[str], draw: Draw) -> str:
    """
    Return *text* with one typing error in every six words, and at least one.
    """
    words = list(_WORD.finditer(text))
    able = [
        word
        for word in words
        if len(word[0]) >= _SHORTEST and word[0].isalpha() and not _is_kept(word[0], kept)
    ]
    able.sort(key=lambda word: draw("word", word.start()))
    for word in sorted(
        able[: max(1, len(words) // _EVERY)], key=lambda word: word.start(), reverse=True
    ):
        wrong = _mistyped(word[0], draw("letter", word.start()), draw("kind", word.start()))
        text = text[: word.start()] + wrong + text[word.end() :]
    return text


def lower(text: str, kept: Sequence[str], draw: Draw) -> str:
    """
    Return *text* without capitals.
    """
    return _WORD.sub(lambda word: word[0] if _is_kept(word[0], kept) else word[0].lower(), text)


def polite(text: str, kept: Sequence[str], draw: Draw) -> str:
    """
    Return *text*, unchanged, between words of politeness in English.
    """
    before, after = _POLITE[draw("frame") % len(_POLITE)]
    return f"{before}{text}{after}"


CHANGES: Mapping[str, Change] = {"lower": lower, "polite": polite, "typos": typos}


def _mistyped(word: str, where: int, kind: int) -> str:
    """
    Return *word* with two letters exchanged, one left out or one twice; never its first or last.
    """
    inside = range(1, len(word) - 1)
    apart = [place for place in inside[:-1] if word[place] != word[place + 1]]
    if kind % 3 == 0 and apart:
        place = apart[where % len(apart)]
        return f"{word[:place]}{word[place + 1]}{word[place]}{word[place + 2 :]}"
    place = inside[where % len(inside)]
    if kind % 3 == 1:
        return word[:place] + word[place + 1 :]
    return word[:place] + word[place] + word[place:]


def _is_kept(word: str, kept: Sequence[str]) -> bool:
    folded = word.casefold()
    # "leaves" of an expected "leave", and the other way round.
    return any(each in folded or (len(folded) >= _SHORTEST and folded in each) for each in kept)


def _words_of(texts: Iterator[str]) -> Iterator[str]:
    for text in texts:
        yield from (word for word in re.findall(r"\w+", text.casefold()) if len(word) > 2)


_NOT_EXPECTED = ("id", "prompt", "messages", "tools", "tags", "group", "then", "quarantine")


def _expected(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _NOT_EXPECTED:
                yield from _expected(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _expected(inner)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
