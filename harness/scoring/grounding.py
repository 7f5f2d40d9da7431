"""
Facts of a final text that nothing it could rest on holds: ``unsupported_fact``.

Looked for are numbers, dates, times, identifiers, and quotations of three words or more
(`harness.constraints.facts`), in what the conversation brought along and in what the tools
returned, as the model was shown it. What the model wrote itself supports nothing. The rest of a
text is not judged: a paraphrase may be wrong in every word and pass.

No facts are the number that counts a list (``2.`` at the beginning of a line) and the words "one"
and "zero". A year, a month's day or a year alone is supported by a date that holds it, a date
without its year by that day of any year.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from harness.constraints.facts import Token, quotations, same, tokens
from harness.constraints.text import fold, typed

_COUNTED = re.compile(r"^(\s*(?:[-*>]\s*)?(?:\*\*|#+ *)?)\(?\d{1,2}[.)](?=\s)", re.MULTILINE)
_SPACE = re.compile(r"\s+")
_NO_FACTS = (Decimal(0), Decimal(1))


def unsupported(text: str, sources: Iterable[str]) -> tuple[str, ...]:
    """
    Return the facts of *text* that stand in none of *sources*, as they are written, each once.
    """
    facts = tuple(_facts(text))
    quoted = quotations(text)
    if not facts and not quoted:
        return ()
    given = tuple(sources)
    known = [token for source in given for token in tokens(source)]
    whole = _plain("\n".join(given))
    found = [token.text for token in facts if not _supported(token, known, whole)]
    found += [f'"{said}"' for said in quoted if _trimmed(said) not in whole]
    return tuple(dict.fromkeys(found))


def _facts(text: str) -> Iterator[Token]:
    for token in tokens(_COUNTED.sub(r"\1", typed(text))):
        if token.kind == "word" or (token.spelled and token.value in _NO_FACTS):
            continue
        yield token


def _supported(fact: Token, known: Iterable[Token], whole: str) -> bool:
    if fact.kind == "identifier" and re.search(
        rf"(?<!\w){re.escape(str(fact.value))}(?!\w)", whole
    ):
        return True
    return any(same(fact, token) or _part_of(fact, token) for token in known)


def _part_of(fact: Token, token: Token) -> bool:
    """
    Return whether a number is the year or the day of a date.
    """
    return (
        fact.kind == "number"
        and isinstance(token.value, tuple)
        and fact.value in (token.value[0], token.value[2])
    )


def _plain(text: str) -> str:
    return _SPACE.sub(" ", fold(text))


def _trimmed(quoted: str) -> str:
    return _plain(quoted).strip(" .,;:!?")
