"""
Numbers, calls and cases in words, formatted alike in every report.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.canonical import canonical_json
from harness.reports.blocks import Part, Quote, quotes
from harness.reports.escape import cut
from harness.runs.record import MetricValue
from harness.scoring.metrics import METRICS
from harness.scoring.results import CaseResult, Finding

ABSENT = "–"
"""Shown where there is no value."""

_SHOWN = 5
"""How many calls or findings of one answer are written out."""


def unit(name: str) -> str:
    """
    Return the unit of a metric; a metric of another version of the harness is a plain number.
    """
    return METRICS[name].unit if name in METRICS else "number"


def title(name: str) -> Part:
    """
    Return a metric's name for people.
    """
    return METRICS[name].title if name in METRICS else Quote(cut(name))


def value(name: str, number: float | None) -> str:
    """
    Return a metric's value in its unit.
    """
    if number is None:
        return ABSENT
    match unit(name):
        case "rate":
            return f"{number:.1%}"
        case "ms":
            return f"{_short(number)} ms"
        case _:
            return _short(number)


def change(name: str, number: float | None, *, relative: bool) -> str:
    """
    Return a difference: in percentage points between rates, in per cent if it is *relative*.
    """
    if number is None:
        return ABSENT
    if relative:
        return f"{number:+.1%}"
    if unit(name) == "rate":
        return f"{100 * number:+.1f} pp"
    return f"{'+' if number > 0 else ''}{value(name, number)}"


def interval(name: str, low: float | None, high: float | None) -> str:
    """
    Return the interval of a value; empty if there is none.
    """
    if low is None or high is None:
        return ""
    if unit(name) == "rate":
        return f"{100 * low:.1f}–{100 * high:.1f}%"
    return f"{value(name, low)} – {value(name, high)}"


def counted(metric: MetricValue) -> str:
    """
    Return what a metric was counted over.
    """
    return f"{metric.eligible:,}" if metric.hits is None else f"{metric.hits:,}/{metric.eligible:,}"


def plural(count: int, noun: str) -> str:
    """
    Return a number with its noun in the right form.
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def case_name(case: CaseResult) -> str:
    """
    Return a case's id, with the number of the repeat if there are several.
    """
    return f"{case.id} (repeat {case.repeat + 1})" if case.repeat else case.id


def call(made: Mapping[str, Any]) -> str:
    """
    Return a call as people write it: ``search(query="x", limit=3)``.
    """
    arguments = made.get("arguments") or {}
    inside = ", ".join(f"{name}={canonical_json(each)}" for name, each in arguments.items())
    return f"{made.get('tool')}({inside})"


def calls(made: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    """
    Return the calls of one answer in one line.
    """
    if not made:
        return ("no call that can be read",)
    return _listed([call(each) for each in made], "call")


def finding(found: Finding) -> tuple[Part, ...]:
    """
    Return one finding: its code, kind and detail.
    """
    kind = f" ({found.kind})" if found.kind else ""
    return (Quote(cut(f"{found.code}{kind}")), ": ", Quote(cut(found.detail)))


def settings(block: Mapping[str, Any], *, but: Sequence[str] = ()) -> tuple[Part, ...]:
    """
    Return a block of run.json in one line.
    """
    return quotes(
        [
            f"{name} {each if isinstance(each, str) else canonical_json(each)}"
            for name, each in sorted(block.items())
            if name not in but and each is not None
        ]
    )


def _listed(texts: Sequence[str], noun: str) -> tuple[Part, ...]:
    shown = quotes(texts[:_SHOWN], between="; ")
    hidden = len(texts) - _SHOWN
    return (*shown, f" … (+{plural(hidden, noun)})") if hidden > 0 else shown


def _short(number: float) -> str:
    """
    Return a number with as many decimals as a reader can use.
    """
    decimals = 0 if number == int(number) or abs(number) >= 100 else 1 if abs(number) >= 1 else 3
    return f"{number:,.{decimals}f}"
