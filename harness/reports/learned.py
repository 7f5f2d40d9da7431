"""
What a model would learn of some rows, token by token, and the facts about them, as text.
"""

from collections.abc import Iterator, Sequence
from itertools import takewhile

from harness.finetuning.check import CheckedRows, Lengths, Shown, Token
from harness.reports.escape import NEWLINE, visible
from harness.wording import count

# ECMA-48: what is learned in green, every other token underlined; what is only seen is dim.
_SEEN, _LEARNED, _RESET = "\x1b[2m", ("\x1b[32m", "\x1b[4;32m"), "\x1b[0m"


def spelled(checked: CheckedRows, *, colour: bool) -> Iterator[str]:
    """
    Yield each example under a line that names it: what is learned in colour, token by token, or
    else each of its tokens between ‹ and ›.

    The beginning that a row shares with the first one is only counted.
    """
    first: Sequence[Token] = ()
    for shown in checked.examples:
        same = len(list(takewhile(lambda pair: pair[0] == pair[1], _pairs(first, shown.tokens))))
        # A few words that happen to be alike are easier to read than to be told of.
        same = same if same >= 16 else 0
        yield f"{_heading(shown)}\n{_text(shown.tokens, same, colour=colour)}"
        first = first or shown.tokens


def _pairs(first: Sequence[Token], tokens: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
    return ((one, other) for one, other in zip(first, tokens, strict=False) if not one.learned)


def _heading(shown: Shown) -> str:
    learned = sum(token.learned for token in shown.tokens)
    return visible(
        f"{shown.source} ({shown.kind}): {learned} of {count(len(shown.tokens), 'token')} learned"
    )


def _text(tokens: Sequence[Token], same: int, *, colour: bool) -> str:
    said = [f"[the {same} tokens above]"] if same else []
    seen: list[str] = []
    number = 0

    def flush() -> None:
        if seen:
            text = visible("".join(seen), keep="\n")
            said.append(f"{_SEEN}{text}{_RESET}" if colour else text)
            seen.clear()

    for token in tokens[same:]:
        if not token.learned:
            seen.append(token.text)
            continue
        flush()
        text = visible(token.text.replace("\n", NEWLINE))
        if colour:
            said.append(f"{_LEARNED[number % 2]}{text}{_RESET}")
        else:
            said.append(f"‹{text}›")
        number += 1
    flush()
    return "".join(said).strip("\n")


def facts(checked: CheckedRows) -> Iterator[str]:
    """
    Yield what is worth knowing about the rows, a sentence each.
    """
    if checked.split is not None:
        yield f"validation rows: {checked.split}"
    if checked.lengths is not None and checked.learned is not None:
        yield (
            f"tokens of a row: {_range(checked.lengths)} (max_length {checked.max_length}); "
            f"learned of it: {_range(checked.learned)}"
        )
    for stop, rows in checked.stops.items():
        yield f"stop token: {stop!r} is learned in {rows} of {checked.train + checked.valid} rows"
    yield from checked.notes


def _range(lengths: Lengths) -> str:
    return f"{lengths.shortest} to {lengths.longest}, median {lengths.median}"
