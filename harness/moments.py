"""
Dates and times in any unambiguous spelling.

ISO 8601 is read by the standard library, everything else by python-dateutil, twice: a text that the
two orders of day and month read differently names no moment. So does one that gives too little: a
lone number, a year, a weekday.
"""

import warnings
from datetime import UTC, datetime, time
from functools import lru_cache

Moment = tuple[tuple[int | None, int | None, int | None] | None, time]
"""Year, month and day (None for one not given, or for all), and the time of day."""


@lru_cache(maxsize=4096)
def read_moment(text: str) -> Moment | None:
    """
    Read a date, a time or both; None if it is neither or could be two.
    """
    text = text.strip()
    if len(text) > 64 or not any(character.isdigit() for character in text):
        return None
    if (moment := _iso(text)) is not None:
        return moment
    from dateutil import parser

    # Fields a text does not give come from the default: those that differ were not given.
    defaults = (datetime(2001, 1, 1), datetime(2002, 2, 2, 1))  # noqa: DTZ001
    readings: set[Moment] = set()
    for day_first in (False, True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # an unknown zone name is a warning
                first, second = (
                    parser.parse(text, default=default, dayfirst=day_first) for default in defaults
                )
        except (ValueError, OverflowError, TypeError, Warning):
            return None
        given = _given(first, second)
        has_time = first.hour == second.hour
        if first.tzinfo is not None and None not in given and has_time:
            readings.add(_instant(first))
        elif sum(part is not None for part in given) >= 2 or (has_time and not any(given)):
            day = given if any(given) else None
            readings.add((day, first.time() if has_time else time()))
        else:
            return None
    return readings.pop() if len(readings) == 1 else None


def _iso(text: str) -> Moment | None:
    """
    ISO 8601 is unambiguous, which dateutil's day-first reading of 2026-03-04 is not.
    """
    try:
        return _instant(datetime.fromisoformat(text))
    except ValueError:
        pass
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
