"""
The releases of baselines as static pages: one for each baseline, and one that lists them.

No script and nothing from elsewhere: every chart and strip is in the page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from markupsafe import Markup, escape

from harness.canonical import canonical_json
from harness.gating.flaky import State, Strip
from harness.renderers.html import charts
from harness.renderers.html.figures import Figure
from harness.renderers.html.render import digest_for_policy, environment, file_text
from harness.reports import changes
from harness.reports import escape as safe
from harness.reports.blocks import Quote, Table
from harness.reports.format import ABSENT, title, unit, value
from harness.reports.timeline import Timeline
from harness.wording import count

METRICS = ("accuracy", "second_call_rate", "latency_ms_p50")
"""What is always shown."""

_MOODS = {
    **changes.MOODS,
    "still failing": "bad",
    "not comparable": "doubtful",
    "overridden": "doubtful",
}

_CELL, _HEIGHT = 9, 14
"""Of a strip, in pixels."""
_SHAPES: dict[State, tuple[float, float]] = {
    "right": (9, 5),
    "wrong": (0, 14),
    "accepted": (4, 10),
    "quarantined": (6, 3),
    "broke": (11, 3),
}
"""Where a state's bar begins and how high it is, so that colour is not all that tells them."""

LEGEND: tuple[tuple[State, str], ...] = (
    ("right", "right"),
    ("wrong", "wrong"),
    ("accepted", "wrong, and accepted"),
    ("quarantined", "quarantined or only proposed"),
    ("broke", "no answer could be made"),
    ("absent", "not there"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One case as it is shown.
    """

    case: str
    strip: Markup
    why: str = ""
    quarantine: str = ""


def render_history(found: Timeline, metrics: Sequence[str], *, today: date) -> str:
    """
    Return the page on one baseline, with charts of `METRICS` and those in *metrics* besides.
    """
    moved, steady = _apart(found.strips)
    names = tuple(dict.fromkeys((*METRICS, *metrics)))
    drawn = [(name, _chart(found, name)) for name in names]
    return _page(
        "report.history.jinja",
        title=f"{found.suite}/{found.name}",
        word=found.word,
        mood=_MOODS.get(found.word, "title"),
        said=_sentence(found),
        reasons=[] if found.verdict is None else [each.text for each in found.verdict.reasons[:3]],
        overrides=[str(each) for each in found.last.acceptance.overrides],
        figures=[figure for _, figure in drawn if figure is not None],
        unmeasured=[title(name) for name, figure in drawn if figure is None],
        releases=_releases(found, names),
        flaky=[_row(each, today) for each in found.flaky],
        moved=[_row(each) for each in moved],
        steady=[(said, [_row(each) for each in strips]) for said, strips in steady],
        legend=[(_drawn([state], ""), said) for state, said in LEGEND],
        count=count,
        among=f"{len(found.released)}",
    )


def render_index(found: Sequence[tuple[str, Timeline]]) -> str:
    """
    Return the page that lists baselines, each with where its own page is.
    """
    return _page(
        "report.index.jinja",
        title="Baselines",
        rows=[
            {
                "page": page,
                "name": f"{each.suite}/{each.name}",
                "word": each.word,
                "mood": _MOODS.get(each.word, "title"),
                "version": each.last.acceptance.suite_version,
                "accuracy": each.last.acceptance.spell("accuracy") or ABSENT,
                "cases": f"{each.cases:,}",
                "releases": f"{len(each.released):,}",
                "flaky": f"{len(each.flaky):,}",
                "saved": each.last.acceptance.saved.date().isoformat(),
            }
            for page, each in found
        ],
    )


def _page(template: str, **values: Any) -> str:
    style = file_text("report.css") + file_text("report.history.css")
    policy = (
        f"default-src 'none'; style-src {digest_for_policy(style)}; base-uri 'none'; "
        "form-action 'none'"
    )
    found = environment().get_template(template)
    return found.render(style=style, policy=policy, series=1, **values)


def _sentence(found: Timeline) -> str:
    last = found.last.acceptance
    against = "" if found.verdict is None else ", held against the release before it"
    return (
        f"release {len(found.released)}, accepted {last.saved.date().isoformat()}: "
        f"{count(found.cases, 'case')} of version {last.suite_version}{against}"
    )


def _chart(found: Timeline, name: str) -> Figure | None:
    measured = []
    for place, each in enumerate(found.released, start=1):
        number = each.acceptance.metrics.get(name)
        if number is not None:
            low, high = each.acceptance.intervals.get(name) or (None, None)
            point = charts.Point(place=place, value=number, low=low, high=high)
            measured.append((each, point))
    # Other cases make another scale.
    stretches = []
    for _, group in groupby(measured, key=lambda pair: pair[0].suite_digest):
        of_one = list(group)
        stretches.append((of_one[0][0].acceptance.suite_version, [point for _, point in of_one]))
    drawn = charts.trend(name, stretches, len(found.released))
    band = "; band: its 95% interval" if any(point.low is not None for _, point in measured) else ""
    broken = "; broken where the suite's content changed" if len(stretches) > 1 else ""
    measure = " in ms" if unit(name) == "ms" else ""
    return Figure(svg=drawn, caption=f"{title(name)}{measure}{band}{broken}") if drawn else None


def _releases(found: Timeline, names: Sequence[str]) -> Table:
    rows = []
    numbered = list(enumerate(found.released, start=1))
    for number, each in reversed(numbered):
        said = each.acceptance
        rows.append(
            (
                f"{number}",
                said.saved.date().isoformat(),
                Quote(safe.cut(said.checkpoint)),
                Quote(safe.cut(said.suite_version)),
                *(value(name, said.metrics.get(name)) for name in names),
                ABSENT if each.broken is None else f"{each.broken:,}",
                ABSENT if each.fixed is None else f"{each.fixed:,}",
                Quote(safe.cut(said.why)) if said.why else ABSENT,
            )
        )
    head = ("", "accepted", "checkpoint", "suite", *map(title, names), "broken", "fixed", "reason")
    right = frozenset(range(4, 6 + len(names)))
    return Table(header=head, rows=tuple(rows), right=right)


def _apart(strips: Sequence[Strip]) -> tuple[list[Strip], list[tuple[str, list[Strip]]]]:
    """
    Return the cases that were not always alike, and the others by what they always were.
    """
    moved, steady = [], dict[str, list[Strip]]()
    for strip in strips:
        known = {each for each in strip.states if each != "absent"}
        if len(known) > 1:
            moved.append(strip)
        else:
            steady.setdefault(f"always {next(iter(known), 'absent')}", []).append(strip)
    return moved, sorted(steady.items(), key=lambda item: len(item[1]))


def _row(strip: Strip, today: date | None = None) -> Row:
    said = ", ".join(_spoken(strip.states))
    if today is None:
        return Row(case=strip.case, strip=_drawn(strip.states, said, strip.asked_anew))
    # A case that must pass is not put aside: somebody has to look at it.
    proposed = "" if strip.must_pass else f'"quarantine": {canonical_json(strip.quarantine(today))}'
    return Row(
        case=strip.case,
        strip=_drawn(strip.states, said, strip.asked_anew),
        why=strip.why,
        quarantine=proposed,
    )


def _spoken(states: Sequence[State]) -> Iterator[str]:
    for state, first, last in _stretches(states):
        where = f"{first + 1}" if first == last else f"{first + 1} to {last + 1}"
        yield f"{'not there' if state == 'absent' else state} {where}"


def _stretches(states: Sequence[State]) -> Iterator[tuple[State, int, int]]:
    place = 0
    for state, group in groupby(states):
        many = len(list(group))
        yield state, place, place + many - 1
        place += many


def _drawn(states: Sequence[State], said: str, asked_anew: Sequence[int] = ()) -> Markup:
    """
    Return a strip: a bar for each stretch of equal states, and a line where the question changed.
    """
    width = _CELL * len(states)
    bars = [
        f'<rect class="{state}" x="{_CELL * first}" y="{_SHAPES[state][0]}" '
        f'width="{_CELL * (last - first + 1) - 1}" height="{_SHAPES[state][1]}"/>'
        for state, first, last in _stretches(states)
        if state != "absent"
    ]
    bars += [f'<path class="anew" d="M{_CELL * at - 0.5} 0v{_HEIGHT}"/>' for at in asked_anew]
    spoken = f'role="img" aria-label="{escape(said)}"' if said else 'aria-hidden="true"'
    return Markup(
        f'<svg class="strip" {spoken} width="{width}" height="{_HEIGHT}" '
        f'viewBox="0 0 {width} {_HEIGHT}">{"".join(bars)}</svg>'
    )
