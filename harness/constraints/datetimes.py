"""
Dates and times in any unambiguous spelling.

ISO 8601 is read by the standard library, everything else by python-dateutil, twice: a text that the
two orders of day and month read differently names no moment. So does one that gives too little: a
lone number, a year, a weekday.
"""

import re
from datetime import UTC, datetime, time
from functools import lru_cache

from harness.constraints.text import typed

Moment = tuple[tuple[int | None, int | None, int | None] | None, time]
"""Year, month and day (None for one not given, or for all), and the time of day."""

# Fields a text does not give come from the default: those that differ were not given. A weekday
# moves the day of the month away from the default, to another day for each.
_DEFAULTS = (datetime(2001, 1, 1), datetime(2002, 2, 16, 1))  # noqa: DTZ001
# Nobody writes the day before the month after a year, but dateutil's day-first order would.
_YEAR_FIRST = re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}(?!\d)")


@lru_cache(maxsize=4096)
def read_moment(text: str) -> Moment | None:
    """
    Read a date, a time or both; None if it is neither or could be two.
    """
    text = typed(text).strip()
    if len(text) > 64 or not any(character.isdigit() for character in text):
        return None
    if (moment := _iso(text)) is not None:
        return moment
    from dateutil import parser

    readings: set[Moment | None] = set()
    for day_first in (False,) if _YEAR_FIRST.match(text) else (False, True):
        try:
            first, second = (
                parser.parse(text, default=default, dayfirst=day_first, tzinfos=_zone)
                for default in _DEFAULTS
            )
            readings.add(_reading(first, second))
        except (ValueError, OverflowError, TypeError):
            return None
    return readings.pop() if len(readings) == 1 else None


def _reading(first: datetime, second: datetime) -> Moment | None:
    """
    What a text says that is read as *first* and *second* from the two defaults.
    """
    given = _given(first, second)
    has_time = first.hour == second.hour
    if first.tzinfo is not None and None not in given and has_time:
        return _instant(first)
    for moment, default in zip((first, second), _DEFAULTS, strict=True):
        kept = (default.year, default.month, default.day)
        found = (moment.year, moment.month, moment.day)
        if any(g is None and f != k for g, f, k in zip(given, found, kept, strict=True)):
            return None  # a weekday without its date
    if sum(part is not None for part in given) >= 2 or (has_time and not any(given)):
        return given if any(given) else None, first.timetz() if has_time else time()
    return None


def _zone(name: str | None, offset: int | None) -> int | None:
    """
    Return a zone's offset in seconds. A name alone is refused: dateutil knows this machine's zones.
    """
    if name and offset is None:
        raise ValueError(f"not a zone known everywhere: {name}")
    return offset


def _iso(text: str) -> Moment | None:
    """
    ISO 8601 is unambiguous, which dateutil's day-first reading of 2026-03-04 is not.
    """
    try:
        return _instant(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        pass  # the latter where UTC would leave the years 1 to 9999
    try:
        return (None, time.fromisoformat(text)) if ":" in text else None
    except ValueError:
        return None


def _instant(moment: datetime) -> Moment:
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return (moment.year, moment.month, moment.day), moment.timetz()


def _given(first: datetime, second: datetime) -> tuple[int | None, int | None, int | None]:
    return (
        first.year if first.year == second.year else None,
        first.month if first.month == second.month else None,
        first.day if first.day == second.day else None,
    )
