"""
The charts of a report, drawn with matplotlib.

Each is as wide as a phone, so that its text is readable there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from harness.finetuning.curves import HEIGHT, Inks, training_panels
from harness.finetuning.curves import Panel as Curves
from harness.finetuning.curves import draw as draw_panels
from harness.finetuning.result import Finetuned
from harness.gating.policy import allowed_change
from harness.gating.verdict import MetricVerdict
from harness.renderers.html.svg import (
    BAD,
    BAD_SOFT,
    DOUBT,
    GOOD,
    INK,
    LINE,
    MUTED,
    PALETTE,
    SETTINGS,
    mark,
    themed,
)
from harness.reports.format import change, unit
from harness.reports.sheet import Sheet
from harness.runs.record import MetricValue
from harness.scoring.metrics import METRICS

_WIDTH = 4.9
"""In inches of 72 pixels."""

_ROW = 0.6
_BINS = 24
_COLOURS = {"pass": GOOD, "regressed": BAD}


def gated(metrics: Mapping[str, MetricVerdict], suite: str = "") -> str:
    """
    Return a chart of each limit: the change as a dot, its interval as a bar, and beyond the limit
    what is not allowed. Among several it names its *suite*.

    Empty if there is no change to draw.
    """
    shown = [(name, each) for name, each in metrics.items() if each.delta is not None]
    if not shown:
        return ""

    def draw(figure: Any) -> None:
        for axes, (name, metric) in zip(_rows(figure, len(shown)), shown, strict=True):
            _gated(axes, name, metric)

    title = "Change of each gated metric against its limit"
    return _drawn(draw, len(shown) * 0.96, f"{title}: {suite}" if suite else title)


def _gated(axes: Any, name: str, metric: MetricVerdict) -> None:
    delta, low, high = _change(name, metric)
    limit = allowed_change(metric.limit)
    places = [0.0, delta, *(each for each in (low, high, limit) if each is not None)]
    pad = 0.12 * (max(places) - min(places)) or 0.05
    left, right = min(places) - pad, max(places) + pad
    if limit is not None:
        worse = (left, limit) if METRICS[name].higher_is_better else (limit, right)
        axes.axvspan(*worse, color=BAD_SOFT, linewidth=0)
        axes.axvline(limit, color=BAD, linewidth=1.2)
    axes.axvline(0, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
    colour = _COLOURS.get(metric.verdict, DOUBT)
    if low is not None and high is not None:
        axes.plot([low, high], [0, 0], color=colour, linewidth=3, solid_capstyle="round")
    axes.plot([delta], [0], color=colour, marker="o", markersize=7)
    axes.set(xlim=(left, right), ylim=(-1, 1), yticks=[])
    axes.set_title(f"{METRICS[name].title}: {change(name, delta, relative=unit(name) != 'rate')}")
    axes.set_title(f"limit {metric.limit}", loc="right", color=MUTED)
    axes.xaxis.set_major_formatter(_signed(unit(name)))
    axes.locator_params(axis="x", nbins=5)
    axes.spines["left"].set_visible(False)


def _change(name: str, metric: MetricVerdict) -> tuple[float, float | None, float | None]:
    delta = metric.delta or 0.0
    if unit(name) == "rate":
        return delta, metric.low, metric.high
    if metric.ratio is not None:
        ratio, low, high = metric.ratio
        return ratio - 1, low and low - 1, high and high - 1
    return (delta / metric.old if metric.old else delta), None, None


def rates(metrics: Sequence[tuple[str, Sequence[MetricValue | None]]]) -> str:
    """
    Return a chart of each rate of every run with its interval; empty if there is none.
    """
    shown = [
        (name, of_runs)
        for name, of_runs in metrics
        if unit(name) == "rate" and any(each and each.value is not None for each in of_runs)
    ]
    if not shown:
        return ""
    runs = max(len(of_runs) for _, of_runs in shown)

    def draw(figure: Any) -> None:
        for axes, (name, of_runs) in zip(_rows(figure, len(shown)), shown, strict=True):
            for place, metric in enumerate(of_runs):
                if metric is None or metric.value is None:
                    continue
                colour = PALETTE[place % len(PALETTE)]
                if metric.low is not None and metric.high is not None:
                    axes.plot([metric.low, metric.high], [-place] * 2, color=colour, linewidth=3)
                axes.plot([metric.value], [-place], color=colour, marker="o", markersize=6)
            axes.set(xlim=(-0.02, 1.02), ylim=(0.7 - runs, 0.7), yticks=[], title=_title(name))
            axes.xaxis.set_major_formatter(_percent)
            axes.spines["left"].set_visible(False)

    return _drawn(draw, len(shown) * (0.55 + 0.16 * runs), "Rates of each run with 95% intervals")


def histogram(values: Sequence[Sequence[float]], label: str, title: str) -> str:
    """
    Return a histogram of a number in each run; empty if no run has any.
    """
    every = [each for of_run in values for each in of_run]
    if not every:
        return ""
    whole = all(each == int(each) for each in every)
    edges = _edges(min(every), max(every), whole=whole)

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for place, of_run in enumerate(values):
            if of_run:
                colour = PALETTE[place % len(PALETTE)]
                # The first is filled, so that it can be seen where another is the same.
                if not place:
                    axes.hist(of_run, edges, color=colour, alpha=0.35, linewidth=0)
                axes.hist(of_run, edges, color=colour, histtype="step", linewidth=1.6)
        axes.set(xlabel=label, ylabel="answers")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.xaxis.get_major_locator().set_params(nbins=6, integer=whole)

    return _drawn(draw, 2.5, title)


def _edges(low: float, high: float, *, whole: bool) -> list[float]:
    """
    Return the edges of the bins; if all numbers are whole, each bin holds equally many.
    """
    if whole:
        each = ceil((high - low + 1) / _BINS)
        return [low - 0.5 + each * step for step in range(ceil((high - low + 1) / each) + 1)]
    width = (high - low) / _BINS or 1.0
    return [low + width * step for step in range(_BINS + 1)]


def slices(rows: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    """
    Return a chart of the accuracy of each tag in every run; empty if there is none.
    """
    if not rows:
        return ""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for place, (_, of_runs) in enumerate(rows):
            known = [each for each in of_runs if each is not None]
            axes.plot([min(known), max(known)], [-place] * 2, color=LINE, linewidth=3)
            for run, value in enumerate(of_runs):
                if value is not None:
                    colour = PALETTE[run % len(PALETTE)]
                    size = 6 if run else 10
                    axes.plot([value], [-place], color=colour, marker="o", markersize=size)
            axes.text(-0.02, -place + 0.42, mark(place), color=INK, verticalalignment="center")
        axes.set(xlim=(-0.02, 1.02), ylim=(0.5 - len(rows), 0.8), yticks=[])
        axes.xaxis.set_major_formatter(_percent)
        axes.spines["left"].set_visible(False)

    texts = {place: name for place, (name, _) in enumerate(rows)}
    return _drawn(draw, 0.5 + 0.45 * len(rows), "Accuracy of each tag", texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """
    A metric in one release.
    """

    place: int
    """From 1."""
    value: float
    low: float | None
    high: float | None


def trend(name: str, stretches: Sequence[tuple[str, Sequence[Point]]], releases: int) -> str:
    """
    Return a chart of a metric over *releases* with its interval as a band; empty if it was never
    measured. Each stretch, of at least one point, has a name: the line is broken between two.
    """
    if not stretches:
        return ""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for number, (_, points) in enumerate(stretches):
            _stretch(axes, points)
            first = points[0].place
            if number:
                axes.axvline(first - 0.5, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
            above = axes.get_xaxis_transform()
            axes.text(first - 0.4, 1.01, mark(number), color=MUTED, fontsize=9, transform=above)
        axes.set(xlim=(0.4, releases + 0.6), xlabel="release")
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=10)
        if unit(name) == "rate":
            axes.yaxis.set_major_formatter(_percent)

    texts = {number: version for number, (version, _) in enumerate(stretches)}
    return _drawn(draw, 2.4, f"{_title(name)} by release", texts)


def _stretch(axes: Any, points: Sequence[Point]) -> None:
    banded = [each for each in points if each.low is not None and each.high is not None]
    # A band has a width where there is only one release.
    ends = [(each.place + side, each.low, each.high) for each in banded for side in (-0.3, 0.3)]
    if ends:
        places, lows, highs = zip(*ends, strict=True)
        axes.fill_between(places, lows, highs, color=PALETTE[1], alpha=0.18, linewidth=0)
    shown = [(each.place, each.value) for each in points]
    axes.plot(*zip(*shown, strict=True), color=PALETTE[1], marker="o", markersize=4, linewidth=1.6)


def training(trained: Finetuned) -> str:
    """
    Return a chart of the losses by epoch, and of what was measured of each.
    """
    panels = training_panels(trained)

    def draw(figure: Any) -> None:
        inks = Inks(curves=PALETTE, text=INK, aside=MUTED)
        draw_panels(figure, panels, kept=trained.kept_epoch, inks=inks)

    return _drawn(draw, len(panels) * HEIGHT, "Training by epoch")


def curves(sheet: Sheet, panels: Sequence[Curves]) -> str:
    """
    Return a chart of some panels of *sheet*, one below the other.
    """

    def draw(figure: Any) -> None:
        # The first colour is that of a run that others are compared with.
        inks = Inks(curves=PALETTE[1:], text=INK, aside=MUTED)
        draw_panels(figure, panels, along=sheet.along, kept=sheet.marked, inks=inks)

    drawn = ", ".join(dict.fromkeys(panel.label for panel in panels))
    return _drawn(draw, len(panels) * HEIGHT, f"{drawn} by {sheet.along}")


def _drawn(
    draw: Callable[[Any], None], height: float, title: str, texts: Mapping[int, str] | None = None
) -> str:
    # Not pyplot: its state is global and may hold a user's own figures and backend.
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        return themed(figure, title, texts)


def _rows(figure: Any, count: int) -> Sequence[Any]:
    rows: Sequence[Any] = figure.subplots(count, 1, squeeze=False)[:, 0]
    return rows


def _title(name: str) -> str:
    return METRICS[name].title if name in METRICS else "another metric"


def _percent(share: float, _: object) -> str:
    return f"{100 * share:g}%"


def _signed(of: str) -> Callable[[float, object], str]:
    ending = " pp" if of == "rate" else "%"
    return lambda share, _: f"{round(100 * share, 6):+g}{ending}" if round(share, 9) else "0"
