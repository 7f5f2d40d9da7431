"""
The history of baselines: how metrics changed over accepted runs, as rows and as a picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.errors import StoreError, UsageError, boundary
from harness.gating.verdict import Override
from harness.runs.baselines import baseline_history
from harness.runs.store import HISTORY, StoredRun
from harness.scoring.metrics import METRICS, RATES
from harness.wording import percent, plain, suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """
    One run that was accepted as a baseline.
    """

    baseline: str
    """Suite and name."""
    saved: datetime
    checkpoint: str
    """Its reference."""
    suite_version: str
    reason: str | None
    metrics: Mapping[str, float | None]
    intervals: Mapping[str, Sequence[float]]
    """Low and high of the rates; version 0.1.0 stored none."""
    overrides: Sequence[Override] = ()
    """Who let which regression of it through."""

    @property
    def why(self) -> str | None:
        """
        Why it was accepted, and who overrode the gate on it; None if nobody said.
        """
        said = ([self.reason] if self.reason else []) + [str(each) for each in self.overrides]
        return "; ".join(said) or None

    def spell(self, name: str) -> str | None:
        """
        Return the metric *name* with its interval; None if it has no value.
        """
        value, ends = self.metrics.get(name), self.intervals.get(name)
        if value is None or name not in RATES:
            return None if value is None else plain(value)
        between = f" ({percent(ends[0])} to {percent(ends[1])})" if ends else ""
        return f"{percent(value)}{between}"


def titles(names: Sequence[str]) -> list[str]:
    """
    Return the titles of the metrics *names*.

    Raises:
        UsageError: for an unknown metric.
    """
    if unknown := [name for name in names if name not in METRICS]:
        raise UsageError(f"unknown metric {unknown[0]!r}{suggest(unknown[0], METRICS)}")
    return [METRICS[name].title for name in names]


def acceptances(baselines: Sequence[StoredRun]) -> list[Acceptance]:
    """
    Return every acceptance of *baselines*, baseline by baseline, oldest first.

    Raises:
        StoreError: naming the file of an entry that cannot be read.
    """
    found = []
    for stored in baselines:
        for number, entry in enumerate(baseline_history(stored.folder), start=1):
            where = f"{stored.folder / HISTORY}:{number}"
            with boundary(StoreError, f"{where}: cannot be read"):
                found.append(_acceptance(stored, entry))
    return found


def draw_history(file: Path, found: Sequence[Acceptance], names: Sequence[str]) -> None:
    """
    Draw the metrics *names* over time as a PNG: one panel per metric, one line per baseline.

    A point has its 95 % interval if one was stored. The line breaks where the suite's version
    changed: other cases make another scale.

    Raises:
        StoreError: if there is nothing to draw or *file* cannot be written.
    """
    if not found:
        raise StoreError("no baseline has been accepted yet: there is nothing to draw")
    # Not pyplot: its state is global and may hold a user's own figures and backend.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(8, 1 + 2.6 * len(names)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    lines = list(dict.fromkeys(each.baseline for each in found))
    for axes, name in zip(panels, names, strict=True):
        for number, baseline in enumerate(lines):
            colour, label = f"C{number % 10}", baseline
            for stretch in _stretches([each for each in found if each.baseline == baseline], name):
                times = [each.saved for each in stretch]
                values = [each.metrics[name] for each in stretch]
                axes.plot(times, values, marker="o", color=colour, label=label)
                label = "_again"  # a leading underscore keeps a label out of the legend
                for each in stretch:
                    if ends := each.intervals.get(name):
                        axes.plot([each.saved] * 2, ends, color=colour, alpha=0.35, linewidth=4)
                version = stretch[0].suite_version
                axes.annotate(
                    version, (times[0], values[0]), (3, 6), textcoords="offset points", fontsize=7
                )
        axes.set_ylabel(METRICS[name].title)
        if name in RATES:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        if not axes.lines:
            axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes)
            axes.set_yticks([])
        axes.grid(alpha=0.25)
        axes.margins(x=0.08, y=0.15)
    locator = AutoDateLocator()
    panels[-1].xaxis.set_major_locator(locator)
    panels[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    labelled = [axes.get_legend_handles_labels() for axes in panels]
    handles = {label: handle for pair in labelled for handle, label in zip(*pair, strict=True)}
    if handles:
        panels[0].legend(handles.values(), handles.keys(), fontsize=8)
    with boundary(StoreError, f"{file}: cannot be written"):
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, format="png")


def _acceptance(stored: StoredRun, entry: Mapping[str, Any]) -> Acceptance:
    return Acceptance(
        baseline=f"{stored.record.suite.name}/{stored.folder.name}",
        saved=datetime.fromisoformat(entry["saved"]),
        checkpoint=entry["checkpoint"]["reference"],
        suite_version=entry["suite"]["version"],
        reason=entry["reason"],
        metrics={
            name: None if value is None else float(value)
            for name, value in entry["metrics"].items()
        },
        intervals={
            name: (float(low), float(high))
            for name, (low, high) in entry.get("intervals", {}).items()
        },
        overrides=tuple(
            Override(by=row["by"], reason=row["reason"], when=row["when"])
            for row in entry.get("overrides", ())
        ),
    )


def _stretches(found: Sequence[Acceptance], name: str) -> list[list[Acceptance]]:
    """
    Split the acceptances that have a value where the suite's version changed.
    """
    stretches: list[list[Acceptance]] = []
    for each in found:
        if each.metrics.get(name) is None:
            continue
        if not stretches or stretches[-1][-1].suite_version != each.suite_version:
            stretches.append([])
        stretches[-1].append(each)
    return stretches
