"""
A badge that cannot lie: suite and version, verdict, number of cases and date, as a picture and as
the JSON of shields.io's endpoint badge (https://shields.io/badges/endpoint-badge).
"""

import json
from html import escape
from unicodedata import east_asian_width

from harness.reports.escape import cut, line
from harness.reports.timeline import Timeline
from harness.wording import count

_COLOURS = {
    "pass": ("brightgreen", "#14713d"),
    "regressed": ("red", "#b3261e"),
    "still failing": ("red", "#b3261e"),
    "overridden": ("orange", "#8a5a00"),
    "inconclusive": ("yellow", "#8a5a00"),
    "not comparable": ("yellow", "#8a5a00"),
    "accepted": ("lightgrey", "#5b6169"),
}
"""By the verdict: the name that shields.io knows, and a colour on which white text is readable."""

_LETTER = 6.4
"""The width of a letter of 11 pixels, Verdana, with some room: the text is set to it."""


def shields(found: Timeline) -> str:
    """
    Return what shields.io reads.
    """
    label, message = _said(found)
    colour, _ = _COLOURS[found.word]
    data = {"schemaVersion": 1, "label": label, "message": message, "color": colour}
    return json.dumps(data) + "\n"


def svg(found: Timeline) -> str:
    """
    Return the badge as an SVG file of its own.
    """
    label, message = _said(found)
    _, colour = _COLOURS[found.word]
    left, right = _width(label), _width(message)
    title = escape(f"{label}: {message}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{title}"><title>{title}</title>'
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#3a3f45"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f"{_text(label, 0, left)}{_text(message, left, right)}</g></svg>\n"
    )


def _said(found: Timeline) -> tuple[str, str]:
    accepted = found.last.acceptance
    label = line(cut(f"{found.suite} {accepted.suite_version}", 60))
    day = accepted.saved.date().isoformat()
    return label, f"{found.word}, {count(found.cases, 'case')}, {day}"


def _width(text: str) -> int:
    wide = sum(2 if east_asian_width(each) in "WF" else 1 for each in text)
    return round(_LETTER * wide) + 12


def _text(text: str, at: int, width: int) -> str:
    length = width - 12
    return f'<text x="{at + 6}" y="14" textLength="{length}">{escape(text)}</text>'
