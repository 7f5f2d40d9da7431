"""
The curves of a training on one page: loss above, what the gate measures below, with intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.finetuning.result import Finetuned
from harness.runs.record import MetricValue
from harness.scoring.metrics import METRICS, RATES

HEIGHT = 2.6
"""Of one panel, in inches."""

SHOWN = (
    ("tool_accuracy", "accuracy"),
    ("second_call_rate", "malformed_rate"),
    ("output_tokens_p50",),
)
"""The metrics that are drawn, those of one panel together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """
    A value at an epoch or a step, and its interval where it has one.
    """

    at: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """
    Points in order, joined by a line, their intervals by a band.
    """

    label: str
    points: tuple[Point, ...]
    level: float | None = None
    """A value to compare with, such as the baseline's: a dashed line of the same colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """
    Curves on one scale.
    """

    label: str
    """What the scale is of."""
    curves: tuple[Curve, ...]
    share: bool = False
    """Whether values are shares, shown in per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inks:
    """
    The colours of a picture.
    """

    curves: Sequence[str] = ("C0", "C1", "C2", "C3")
    text: str = "black"
    aside: str = "grey"


def training_panels(trained: Finetuned) -> tuple[Panel, ...]:
    """
    Return the panels of a fine-tune.
    """
    losses = [
        Curve(
            label=label,
            points=tuple(
                Point(at=loss.epoch, value=getattr(loss, name)) for loss in trained.losses
            ),
        )
        for name, label in (("train", "training"), ("valid", "validation"))
    ]
    measured = [(each.epoch, each.metrics) for each in trained.evaluated]
    return (Panel(label="loss", curves=tuple(losses)), *task_panels(measured))


def task_panels(
    measured: Sequence[tuple[float, Mapping[str, MetricValue]]],
    *,
    level: Mapping[str, MetricValue] | None = None,
    shown: Sequence[Sequence[str]] = SHOWN,
) -> tuple[Panel, ...]:
    """
    Return the panels of metrics that were *measured* at epochs or steps; *level* has the values of
    what they are compared with. A metric without a value is left out.
    """
    panels = []
    for names in shown:
        curves = [
            Curve(label=METRICS[name].title, points=points, level=_value(level, name))
            for name in names
            if (points := _points(measured, name))
        ]
        if curves:
            panels.append(
                Panel(
                    label="share of cases" if names[0] in RATES else METRICS[names[0]].title,
                    curves=tuple(curves),
                    share=names[0] in RATES,
                )
            )
    return tuple(panels)


def _points(
    measured: Sequence[tuple[float, Mapping[str, MetricValue]]], name: str
) -> tuple[Point, ...]:
    return tuple(
        Point(at=at, value=found.value, low=found.low, high=found.high)
        for at, metrics in measured
        if (found := metrics.get(name)) is not None and found.value is not None
    )


def _value(metrics: Mapping[str, MetricValue] | None, name: str) -> float | None:
    found = None if metrics is None else metrics.get(name)
    return None if found is None else found.value


def draw(
    figure: Any,
    panels: Sequence[Panel],
    *,
    along: str = "epoch",
    kept: float | None = None,
    inks: Inks | None = None,
) -> None:
    """
    Draw *panels* on a matplotlib *figure*, one below the other, *along* epochs or steps; a dotted
    line at the one that was *kept*.
    """
    from matplotlib.ticker import PercentFormatter

    inks = inks or Inks()
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        for number, curve in enumerate(panel.curves):
            _draw_curve(axes, curve, inks.curves[number % len(inks.curves)])
        if kept is not None:
            axes.axvline(kept, color=inks.aside, linestyle=":", label="kept")
        axes.set(ylabel=panel.label)
        if panel.share:
            axes.set_ylim(-0.03, 1.03)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        else:
            axes.set_ylim(bottom=0)
        axes.legend(frameon=False, labelcolor=inks.text)
    rows[-1].set(xlabel=along)
    rows[-1].xaxis.get_major_locator().set_params(integer=True)


def _draw_curve(axes: Any, curve: Curve, colour: str) -> None:
    places = [point.at for point in curve.points]
    axes.plot(
        places,
        [point.value for point in curve.points],
        color=colour,
        marker="o",
        markersize=4,
        label=curve.label,
    )
    if all(point.low is not None and point.high is not None for point in curve.points):
        axes.fill_between(
            places,
            [point.low for point in curve.points],
            [point.high for point in curve.points],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
    if curve.level is not None:
        axes.axhline(curve.level, color=colour, linestyle="--", linewidth=1)


def write_picture(
    file: Path,
    panels: Sequence[Panel],
    *,
    title: str,
    along: str = "epoch",
    kept: float | None = None,
) -> None:
    """
    Write *panels* as a PNG.
    """
    # Not pyplot: its state is global and may hold a user's own figures and backend.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + HEIGHT * len(panels)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure, panels, along=along, kept=kept)
    # A dollar sign would begin mathematics.
    figure.suptitle(title.replace("$", r"\$"))
    figure.savefig(file, format="png")
