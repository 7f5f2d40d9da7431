"""
The facts in a text: its numbers, dates, times and identifiers, told apart from its words.

========== =========================================================================================
kind       what it is
========== =========================================================================================
number     ``1,200``, ``-5``, ``0.5``, ``3rd``, and the words ``zero`` to ``twenty``; ``10-15`` is
           two numbers. The pronoun ``one`` ("no one", "the new one", "one's") is a word
date       a day with its month, with or without a year: ``2026-03-04``, ``4 March 2026``,
           ``March 4``; ``25/12/2026``, as only one reading of it is a date
time       ``14:30``, ``2:30 pm``, ``9am``, and that of ``2026-03-04T14:30``; ``10 o'clock`` is
           10:00 as well as 22:00
identifier letters and digits that belong together (``HR-204``, ``v2.1``, ``A4``), addresses of the
           web and of mail, versions of three parts, phone numbers (``07700 900733``)
word       everything else
========== =========================================================================================

A fact is read the same way in an answer and in what the answer rests on, so that its spelling does
not matter: ``1,200`` is ``1200`` and ``three`` is ``3``. Signs and points belong to their number:
``-5`` is not ``5``, and ``1.5`` is not ``15``. A phone number is its digits, however they are
grouped. The rules are this project's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from harness.constraints.text import fold, typed

Kind = Literal["number", "date", "time", "identifier", "word"]

Day = tuple[int | None, int, int]
"""Year (None where the text gives none), month and day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """
    One fact, or one word, of a text.
    """

    kind: Kind
    value: Decimal | Day | str
    """What it says, whatever the spelling."""
    text: str
    """As it is written, typographic signs aside."""
    start: int
    """Where it begins in the text, typographic signs aside, in characters."""
    spelled: bool = False
    """Whether it is a number written as a word."""
    either_half: bool = False
    """Whether it is a time before or after noon: ``10 o'clock``."""


CARDINALS = {
    word: Decimal(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
}

_MONTHS = (
    "january february march april may june july august september october november december".split()
)
# "may" is a month only where it has its capital letter.
_MONTH = "|".join(
    "May" if month == "may" else f"(?i:{month}|{month[:4]}\\b\\.?|{month[:3]}\\b\\.?)"
    for month in _MONTHS
)
_SUFFIX = "(?:st|nd|rd|th)?"
_HALF = r"[AaPp](?:[Mm]\b|\.[Mm]\.)"
_HOUR = "|".join(word for word, number in CARDINALS.items() if 1 <= number <= 12)

_TOKEN = re.compile(
    rf"""
      (?P<address> https?://[^\s<>"')\]]*[\w/] | (?<![\w.]) [\w.+-]+@\w[\w-]*(?:\.[\w-]+)+ )
    | (?P<iso> (?<![\w-]) [12]\d{{3}}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]) (?!\d|-\d) )
        (?: T(?=[012]\d:[0-5]\d) )?
    | (?P<slashed> (?<![\w/.]) \d{{1,2}}[/.]\d{{1,2}}[/.][12]\d{{3}} (?![\w/]|\.\d) )
    | (?P<dmy> (?<![\w.,/-]) (?P<d1>\d{{1,2}}){_SUFFIX} \s+ (?:of\s+)? (?P<m1>{_MONTH})
        (?!\w) (?: ,?\s+(?P<y1>[12]\d{{3}}) (?![\w]|[.,]\d) )? )
    | (?P<mdy> (?<!\w) (?P<m2>{_MONTH}) \s+ (?:the\s+)? (?P<d2>\d{{1,2}}){_SUFFIX}
        (?![\w:%]|[.,]\d) (?: ,?\s+(?P<y2>[12]\d{{3}}) (?![\w]|[.,]\d) )? )
    | (?P<clock> (?: (?<![\w:.]) | (?<=\dT) ) (?P<h1>[01]?\d|2[0-3]):(?P<min>[0-5]\d)(?::[0-5]\d)?
        (?: \s*(?P<half1>{_HALF}) | Z?(?![\w:]) ) )
    | (?P<hour> (?<![\w:.]) (?P<h2>1[0-2]|0?[1-9]) \s* (?P<half2>{_HALF}) )
    | (?P<oclock> (?<![\w:.]) (?P<h3>2[0-3]|1\d|0?[1-9]|(?i:{_HOUR})) \s* (?i:o'?clock)\b
        (?: \s*(?P<half3>{_HALF}) )? )
    | (?P<version> (?<![\w.]) \d+(?:\.\d+){{2,}} (?!\w) )
    | (?P<phone> (?: (?<![\w.]) \+?\d+(?:[- ]\d+)*-\d{{4,}}
        | (?<!\w) \+\d{{1,3}}(?:[- ]\d{{2,}}){{2,}}
        | (?<![\w.,]) (?= \(? (?:[- )]*\d){{7}} ) (?: 0\d{{2,4}} | \(0\d{{2,4}}\) )
          (?:[- ]?\d{{2,}})+ )
        (?! \w | [.,]\d ) )
    | (?P<number> (?: (?: (?<!\S) | (?<=[(\["'=:$€£]) ) (?P<sign>[-+]) )? [$€£]?
        (?P<digits> (?: (?<![\w.,])\d{{1,3}}(?:,\d{{3}})+(?![\d]) | \d+ ) (?:\.\d+)? | \.\d+ )
        (?: (?:st|nd|rd|th)\b | (?=(?P<unit>[^\W\d_]*) (?![\w]) ) ) (?![-_/.][^\W_]*[^\W\d_]\d) )
    | (?P<joined> [^\W_]+ (?: [-_/.][^\W_]+ )* )
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=8192)
def tokens(text: str) -> tuple[Token, ...]:
    """
    Return the facts and words of *text* in order.
    """
    return tuple(_tokens(typed(text)))


def _tokens(text: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(text):
        whole, start = found.group(), found.start()
        if found["joined"] is not None:
            yield from _joined(whole, start, text)
            continue
        value: Decimal | Day | str | None
        name: Kind
        if found["number"] is not None:
            name = "number"
            value = Decimal(found["digits"].replace(",", ""))
            if found["sign"] == "-":
                value = -value
        elif found["oclock"] is not None:
            yield _oclock(found)
            continue
        elif found["clock"] is not None or found["hour"] is not None:
            name, value = "time", _clock(found)
        elif found["address"] is not None or found["version"] is not None:
            name, value = "identifier", fold(whole)
        elif found["phone"] is not None:
            name, value = "identifier", re.sub(r"[- ()]", "", whole)
        else:
            name, value = "date", _day(found)
            if value is None:
                yield from _pieces(whole, start, text)
                continue
        yield Token(kind=name, value=value, text=whole, start=start)


def _oclock(found: re.Match[str]) -> Token:
    said = found["h3"].casefold()
    hour, half = int(CARDINALS.get(said, said)), found["half3"]
    value = f"{_of_the_day(hour, half or ''):02}:00"
    open_ = half is None and hour <= 12
    text, start = found.group(), found.start()
    return Token(kind="time", value=value, text=text, start=start, either_half=open_)


def _clock(found: re.Match[str]) -> str:
    hour = _of_the_day(int(found["h1"] or found["h2"]), found["half1"] or found["half2"] or "")
    return f"{hour:02}:{found['min'] or '00'}"


def _of_the_day(hour: int, half: str) -> int:
    half = half.casefold()
    if half.startswith("p") and hour < 12:
        hour += 12
    elif half.startswith("a") and hour == 12:
        hour = 0
    return hour


def _day(found: re.Match[str]) -> Day | None:
    """
    Return the date that was found, None if it is none or could be two.
    """
    if found["iso"] is not None:
        year, month, day = map(int, found["iso"].split("-"))
        return _valid(year, month, day)
    if found["slashed"] is not None:
        one, two, year = map(int, re.split(r"[/.]", found["slashed"]))
        readings = {_valid(year, one, two), _valid(year, two, one)} - {None}
        return readings.pop() if len(readings) == 1 else None
    name = (found["m1"] or found["m2"]).casefold()[:3]
    month = 1 + [each[:3] for each in _MONTHS].index(name)
    year_text = found["y1"] or found["y2"]
    return _valid(int(year_text) if year_text else None, month, int(found["d1"] or found["d2"]))


def _valid(year: int | None, month: int, day: int) -> Day | None:
    longest = 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31
    return (year, month, day) if 1 <= month <= 12 and 1 <= day <= longest else None


_BEYOND_TWENTY = re.compile(r"(?i:(?:twen|thir|for|fif|six|seven|eigh|nine)ty-\w+)")
# Not a twenty and a five: such a number is left a word.

_BEFORE_PRONOUN = re.compile(
    r"(?i:\b(?:no|any|some|every|each|this|that|which|the|another|other|same|new|old|first|last|next"
    r"|current|previous|right|wrong)[ -])\Z"
)
_AFTER_PRONOUN = re.compile(
    r"(?i:'s\b|\s+another\b|\s+(?:can|could|may|might|must|should|would)\s+(?!be\b))"
)


def _is_pronoun(text: str, start: int) -> bool:
    """
    Return whether the word "one" there counts nothing: "no one", not "a one-day trip".
    """
    before, end = text[max(0, start - 12) : start], start + len("one")
    if text[end : end + 1] == "-":
        return False
    return bool(_BEFORE_PRONOUN.search(before) or _AFTER_PRONOUN.match(text, end))


_PIECE = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?")


def _joined(text: str, start: int, whole: str) -> Iterator[Token]:
    """
    Yield an identifier if letters and digits are mixed in *text*, which begins at *start* of the
    *whole*, else the words it is made of.
    """
    if re.search(r"[^\W\d_]\W*_?\d", text) or re.search(r"\d[^\W\d_]+[-_/.]*\d", text):
        yield Token(kind="identifier", value=fold(text), text=text, start=start)
    elif _BEYOND_TWENTY.fullmatch(text):
        yield Token(kind="word", value=fold(text), text=text, start=start)
    else:
        yield from _pieces(text, start, whole)


def _pieces(text: str, start: int, whole: str) -> Iterator[Token]:
    for found in _PIECE.finditer(text):
        piece = found.group()
        word = fold(piece)
        at = start + found.start()
        if piece[0].isdigit():
            yield Token(kind="number", value=Decimal(piece), text=piece, start=at)
        elif word in CARDINALS and not (word == "one" and _is_pronoun(whole, at)):
            number = CARDINALS[word]
            yield Token(kind="number", value=number, text=piece, start=at, spelled=True)
        else:
            yield Token(kind="word", value=word, text=piece, start=at)


def same(one: Token, two: Token) -> bool:
    """
    Return whether two tokens say the same; a date without a year is that day of any year, and an
    hour by the clock is that number, too.
    """
    if one.either_half or two.either_half:
        return _hour(one) is not None and _hour(one) == _hour(two)
    if one.kind != two.kind:
        return False
    if isinstance(one.value, tuple) and isinstance(two.value, tuple):
        years = {one.value[0], two.value[0]} - {None}
        return one.value[1:] == two.value[1:] and len(years) < 2
    return one.value == two.value


def _hour(token: Token) -> Decimal | None:
    """
    Return what hour a token may name, of either half of the day.
    """
    if token.kind == "time":
        hour, _, minutes = str(token.value).partition(":")
        return Decimal(hour) % 12 if minutes == "00" else None
    if isinstance(token.value, Decimal) and 0 <= token.value <= 24:
        return token.value % 12
    return None


_QUOTED = re.compile(r'"([^"\n]+)"')


def quotations(text: str) -> tuple[str, ...]:
    """
    Return what stands between double quotation marks in *text* and has three words or more.
    """
    found = (match.group(1).strip() for match in _QUOTED.finditer(typed(text)))
    return tuple(quoted for quoted in found if len(quoted.split()) >= 3)
