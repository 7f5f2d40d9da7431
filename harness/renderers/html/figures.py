"""
The charts and matrices of the HTML page, made from a report.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.finetuning.result import Finetuned
from harness.renderers.html import charts
from harness.reports import changes, tables
from harness.reports.blocks import Block, Inline, Paragraph, Quote, Table
from harness.reports.escape import cut
from harness.reports.format import plural
from harness.reports.report import Report, RunView
from harness.runs.record import MetricValue
from harness.scoring.breakdowns import Confusion

_SLICES = 12
"""How many tags the chart shows; the table has them all."""
_SHADES = 5
"""How many shades the cells of a matrix have."""
_TOOLS = 14
"""With more tools than this a matrix is unreadable: only the mix-ups are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    A chart.
    """

    svg: str
    """Written by the harness; the names in it are already escaped."""
    caption: str
    legend: tuple[str, ...] = ()
    """The names of the runs, in the order of their colours: foreign text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """
    Expected by called tool.
    """

    caption: Inline
    called: tuple[str, ...]
    rows: tuple[tuple[str, tuple["Cell", ...]], ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """
    How often a tool was called where one was expected.
    """

    count: int
    right: bool
    shade: int
    """From 0 to 4, by the share of its row."""


def names(report: Report) -> tuple[str, ...]:
    """
    Return what each run is called in columns.
    """
    if report.comparison is not None:
        return ("old", "new")
    return tuple(run.name for run in report.runs)


def rates(runs: Sequence[RunView], labels: tuple[str, ...]) -> Figure:
    """
    Return a chart of the rates of each run.
    """
    wanted = list(
        dict.fromkeys(name for run in runs for name, _ in tables.ordered(run.record.metrics))
    )
    metrics: list[tuple[str, Sequence[MetricValue | None]]] = [
        (name, [run.record.metrics.get(name) for run in runs]) for name in wanted
    ]
    return Figure(
        svg=charts.rates(metrics),
        caption="Dot: the rate over the whole run. Bar: its 95% interval.",
        legend=labels if len(runs) > 1 else (),
    )


def matrices(report: Report) -> Iterator[Matrix | Table]:
    """
    Return the confusion matrix of each run, or with too many tools the most common mix-ups.
    """
    matrices = [run.record.confusion for run in report.runs]
    if report.comparison is not None:
        # The metrics above are taken over the pairs.
        matrices = [report.comparison.old_confusion, report.comparison.new_confusion]
    called = tables.tools_of(name for matrix in matrices for row in matrix.values() for name in row)
    if len(called) > _TOOLS:
        for matrix in matrices:
            yield tables.confusion(None, matrix)
        return
    expected = tables.tools_of(name for matrix in matrices for name in matrix)
    for label, matrix in zip(names(report), matrices, strict=True):
        if matrix:
            caption: Inline = Quote(cut(label)) if len(matrices) > 1 else ""
            yield _matrix(caption, matrix, expected, called)


def _matrix(
    caption: Inline, counts: Confusion, expected: Sequence[str], called: Sequence[str]
) -> Matrix:
    rows = []
    for row in expected:
        found = [counts.get(row, {}).get(column, 0) for column in called]
        most = sum(found) or 1
        cells = tuple(
            Cell(count, row == column, min(_SHADES - 1, -(-(_SHADES - 1) * count // most)))
            for column, count in zip(called, found, strict=True)
        )
        rows.append((row, cells))
    return Matrix(caption=caption, called=tuple(called), rows=tuple(rows))


def spread(report: Report, field: str, label: str, title: str) -> tuple[Figure, ...]:
    """
    Return a histogram of one *field* of the answers.
    """
    values = [_values(run, field) for run in report.runs]
    legend = names(report) if len(report.runs) > 1 else ()
    svg = charts.histogram(values, label, title)
    return (Figure(svg=svg, caption=title, legend=legend),) if svg else ()


def _values(run: RunView, field: str) -> list[float]:
    """
    Return the margin, or a field of `Measured`, of every scored answer that has it.
    """
    import numpy as np

    cases = run.record.columns
    scored = np.repeat(cases.scored, np.diff(cases.first))
    if field == "margin":
        return list(cases.margins[scored & ~np.isnan(cases.margins)].tolist())
    found = cases.measured.objects(lambda each: getattr(each, field))[scored].tolist()
    return [float(each) for each in found if each is not None]


def slices(report: Report) -> tuple[Block | Figure, ...]:
    """
    Return the accuracy of each tag, as a chart and as a table.
    """
    of_runs = [tables.by_tag(run.record) for run in report.runs]
    rows = []
    for tag in sorted({tag for tags in of_runs for tag in tags}):
        values = [tags[tag].value if tag in tags else None for tags in of_runs]
        known = [each for each in values if each is not None]
        if known:
            rows.append((cut(tag, 40), values, max(known) - min(known)))
    rows.sort(key=lambda row: -row[2])
    figure = Figure(
        svg=charts.slices([(tag, values) for tag, values, _ in rows[:_SLICES]]),
        caption="Accuracy of each tag"
        + (f": the {_SLICES} that differ most" if len(rows) > _SLICES else ""),
        legend=names(report) if len(report.runs) > 1 else (),
    )
    if report.comparison is not None:
        return figure, changes.by_tag(report.comparison)
    if len(report.runs) == 1:
        return figure, tables.accuracy_by_tag(report.new.record)
    return figure, tables.tags_side_by_side(report.runs)


def _chosen(training: Finetuned) -> str:
    if training.selected is None:
        return ""
    return (
        f", {training.selected}; what is measured is of the "
        f"{len(training.selected.halves.report)} other cases, which chose nothing"
    )


def training(report: Report) -> Iterator[Figure | Paragraph]:
    """
    Return charts of how the checkpoints were trained, where that is known.
    """
    shown = set()
    for run in report.runs:
        # Two runs of one checkpoint have one training.
        if run.training is not None and run.training.digest not in shown:
            shown.add(run.training.digest)
            yield Figure(
                svg=charts.training(run.training),
                caption=f"{plural(len(run.training.losses), 'epoch')}, "
                f"{run.training.seconds:,.0f} seconds; the weights are those after epoch "
                f"{run.training.kept_epoch:g}{_chosen(run.training)}.",
            )
            yield Paragraph(text=("Trained: ", Quote(cut(run.record.checkpoint.reference))))
