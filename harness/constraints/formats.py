"""
The values of JSON Schema's ``format`` that are checked.

JSON Schema notes a format and checks nothing
(https://json-schema.org/draft/2020-12/json-schema-validation, section 7). In a constraint it is
checked, whatever else is installed, and any other format is an error.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, time
from ipaddress import IPv4Address, IPv6Address

from harness.constraints.patterns import compile_pattern

_TIME = re.compile(r"(\d\d:\d\d):(\d\d)(?:\.\d+)?(?:z|[+-](\d\d:\d\d))", re.IGNORECASE | re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)*")
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[^\s<>\"{}|\\^`]+", re.IGNORECASE | re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def _date(text: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) is not None and _reads(
        date.fromisoformat, text
    )


def _time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    if found is None:
        return False
    clock, seconds, zone = found.groups()
    # A leap second is the 60th.
    return (
        int(seconds) <= 60
        and _reads(time.fromisoformat, clock)
        and (zone is None or _reads(time.fromisoformat, zone))
    )


def _date_time(text: str) -> bool:
    return text[10:11] in ("T", "t", " ") and _date(text[:10]) and _time(text[11:])


def _reads(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date": _date,
    "date-time": _date_time,
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "ipv4": lambda text: _reads(IPv4Address, text),
    "ipv6": lambda text: "%" not in text and _reads(IPv6Address, text),
    "regex": lambda text: _reads(compile_pattern, text),
    "time": _time,
    "uri": lambda text: _URI.fullmatch(text) is not None,
    "uuid": lambda text: _UUID.fullmatch(text) is not None,
}
"""Whether a text is of a format: dates and times as RFC 3339 writes them (with a zone), URIs with a
scheme, regular expressions of ECMA-262."""
