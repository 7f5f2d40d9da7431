"""
The SVG that matplotlib draws, adapted to the page: themed, small, without style attributes.

A strict content security policy forbids ``style`` attributes, and a page that is light or dark sets
the colours. So every declaration becomes an attribute of its own and every colour in `COLOURS` a
CSS variable. Foreign text is never drawn (matplotlib reads ``$`` as mathematics and warns about
letters that its font lacks): a chart draws a placeholder, which is replaced here by the text, which
the XML writer escapes.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from harness.reports.escape import line

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"

SERIES = 10
"""How many runs get a colour of their own."""

COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--line)",
    "#040404": "var(--bad)",
    "#050505": "var(--good)",
    "#060606": "var(--doubt)",
    "#070707": "var(--bad-soft)",
    **{f"#1010{number:02x}": f"var(--s{number})" for number in range(SERIES)},
}
"""Colour a chart is drawn with -> colour it is shown in."""

INK, MUTED, LINE, BAD, GOOD, DOUBT, BAD_SOFT, *PALETTE = COLOURS
MOODS = {"good": GOOD, "bad": BAD, "doubtful": DOUBT}

SETTINGS = {
    "svg.fonttype": "none",
    # Ids are the same in every run.
    "svg.hashsalt": "harness",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
}
"""matplotlib settings for every chart."""

_DECLARATION = re.compile(r"\s*([a-z-]+)\s*:\s*(.+?)\s*(?:;|$)")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_MARK = re.compile(r"@(\d+)@")
_FONT = re.compile(r"(?:(?P<weight>bold|\d{3}) )?(?P<size>[\d.]+)px .*")


def mark(number: int) -> str:
    """
    Return the placeholder that a chart draws for text number *number*.
    """
    return f"@{number}@"


def themed(figure: Any, title: str, texts: Mapping[int, str] | None = None) -> str:
    """
    Return a matplotlib figure as an ``<svg>`` element with a title, *texts* in its placeholders.
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(stream.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        _restyle(element)
        if element.text and element.tag == f"{{{SVG}}}text":
            element.text = _MARK.sub(lambda m: line((texts or {})[int(m[1])]), element.text)
        # In HTML, SVG needs no namespace.
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        if target := element.attrib.pop(f"{{{XLINK}}}href", None):
            element.set("href", target)
    _rename(root, hashlib.sha256(stream.getvalue() + title.encode()).hexdigest()[:8])
    width, height = root.attrib.pop("width"), root.attrib.pop("height")
    root.set("width", str(round(float(width.removesuffix("pt")))))
    root.set("height", str(round(float(height.removesuffix("pt")))))
    root.set("role", "img")
    root.set("aria-label", line(title))
    return ElementTree.tostring(root, "unicode")


def _rename(root: ElementTree.Element, prefix: str) -> None:
    """
    Keep only the ids that are referred to, under names unique in the page.
    """
    used: dict[str, str] = {}

    def new(name: str) -> str:
        return used.setdefault(name, f"{prefix}-{len(used)}")

    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "href":
                element.set(name, f"#{new(value.removeprefix('#'))}")
            elif _REFERENCE.search(value):
                element.set(name, _REFERENCE.sub(lambda found: f"url(#{new(found[1])})", value))
    for element in root.iter():
        if "id" in element.attrib and (kept := used.get(element.attrib.pop("id"))):
            element.set("id", kept)


def _restyle(element: ElementTree.Element) -> None:
    for name, value in _DECLARATION.findall(element.attrib.pop("style", "")):
        if name == "font":
            if found := _FONT.fullmatch(value):
                element.set("font-size", found["size"])
                element.set("font-weight", found["weight"] or "400")
        else:
            element.set(name, value)
    element.attrib.pop("font-family", None)
    for name in ("fill", "stroke"):
        if colour := COLOURS.get(element.get(name, "")):
            element.set(name, colour)
