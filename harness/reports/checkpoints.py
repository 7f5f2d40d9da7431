"""
What is said of the checkpoints of a training: curves, a table, and which one to keep.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from harness.finetuning.curves import Curve, Panel, Point, task_panels
from harness.gating.ranking import ALPHA
from harness.reports.blocks import Block, Inline, Paragraph, Points, Quote, Section, Table
from harness.reports.escape import cut
from harness.reports.format import ABSENT, interval, title, value
from harness.reports.sheet import Sheet
from harness.runs.record import MetricValue, RunRecord
from harness.scoring.metrics import METRICS, Percentile
from harness.stats import median_interval
from harness.wording import count
from harness.workflow.bisect import Bisected
from harness.workflow.training_checkpoints import JudgedCheckpoint, JudgedCheckpoints

SHOWN = ("accuracy", "second_call_rate", "malformed_rate", "output_tokens_p50")
"""The metrics of table and curves."""

_RATES = (("accuracy",), ("second_call_rate", "malformed_rate"))


def sheet_of_checkpoints(found: JudgedCheckpoints) -> Sheet:
    """
    Return the page about the checkpoints of a training.
    """
    best = found.best
    names = SHOWN if found.by in SHOWN else (found.by, *SHOWN)
    return Sheet(
        title=f"Checkpoints in {found.folder} on {found.suite}",
        summary=(*_named(found), Points(texts=tuple(_notes(found)))),
        panels=(
            *_loss(found),
            *metric_panels([(e.step, e.run.record) for e in found.judged], found),
        ),
        along="step",
        marked=None if best is None else best.step,
        marked_as="the checkpoint to keep",
        caption="Bands are 95% intervals, of the median for tokens."
        + (" A dashed line is the baseline." if found.baseline is not None else ""),
        sections=(
            Section(title="Each checkpoint", blocks=(_table(found, names),)),
            *_skipped(found),
        ),
    )


def metric_panels(
    measured: Sequence[tuple[float, RunRecord]], found: JudgedCheckpoints | None = None
) -> tuple[Panel, ...]:
    """
    Return the panels of `SHOWN`, and of the rate that was selected by, over runs at some places;
    with the baseline's values where *found* has one.
    """
    level = None if found is None or found.baseline is None else found.baseline.record
    by = "accuracy" if found is None else found.by
    shown = _RATES if any(by in names for names in _RATES) else (("accuracy", by), _RATES[1])
    panels = task_panels(
        [(at, record.metrics) for at, record in measured],
        level=None if level is None else level.metrics,
        shown=shown,
    )
    tokens = tuple(
        Point(at=at, value=middle, low=low, high=high)
        for at, record in measured
        if (found_ := tokens_of(record)) is not None
        for middle, low, high in [found_]
    )
    if not tokens:
        return panels
    of_level = None if level is None else tokens_of(level)
    curve = Curve(label="median", points=tokens, level=of_level and of_level[0])
    return (*panels, Panel(label="output tokens", curves=(curve,)))


def tokens_of(record: RunRecord) -> tuple[float, float | None, float | None] | None:
    """
    Return the median length of the answers of a run with its 95 % interval; None without any.
    """
    metric = METRICS["output_tokens_p50"]
    assert isinstance(metric, Percentile)
    middle = metric.measure(record.columns).value
    if middle is None:
        return None
    known = [each for each in metric.column(record.columns).tolist() if not math.isnan(each)]
    low, high = median_interval(known) or (None, None)
    return middle, low, high


def checkpoints_data(found: JudgedCheckpoints) -> dict[str, Any]:
    """
    Return the same for programs.
    """

    def name(each: JudgedCheckpoint | None) -> str | None:
        return None if each is None else each.name

    return {
        "folder": str(found.folder),
        "suite": found.suite,
        "baseline": found.baseline and found.baseline.folder.name,
        "by": found.by,
        "best": name(found.best),
        "highest": name(found.highest),
        "first_passing": name(found.passing),
        "least_validation_loss": name(found.least_loss),
        "exit": int(found.exit),
        "checkpoints": [
            {
                "name": each.name,
                "step": each.step,
                "run": str(each.run.folder),
                "asked": each.asked,
                "verdict": each.verdict and each.verdict.verdict,
                "metrics": {
                    key: {"value": metric.value, "low": metric.low, "high": metric.high}
                    for key, metric in each.run.record.metrics.items()
                },
            }
            for each in found.judged
        ],
        "skipped": dict(found.skipped),
        "log": {"train": list(found.log.train), "valid": list(found.log.valid)},
    }


def bisected_data(found: Bisected) -> dict[str, Any]:
    """
    Return what a bisection found, for programs.
    """
    return {
        "what": found.what,
        "good": found.good,
        "bad": found.bad,
        "checkpoints": found.checkpoints,
        "asked": found.asked,
        "looked": [
            {"name": each.name, "broken": each.broken, "said": each.said, "asked": each.asked}
            for each in found.looked
        ],
        "skipped": list(found.skipped),
    }


def bisected(found: Bisected) -> str:
    """
    Return what a bisection found, in a sentence.
    """
    if found.bad is None:
        return f"{found.what} is not broken in the last checkpoint"
    if found.good is None:
        return f"{found.what} is broken in {found.bad} already, the first one"
    return f"{found.what} broke between {found.good} and {found.bad}"


def _named(found: JudgedCheckpoints) -> Iterator[Block]:
    best, highest = found.best, found.highest
    label = title(found.by)
    if best is None or highest is None:
        yield Paragraph(text=("No checkpoint has a value of ", label, "."), mood="doubtful")
        return
    text: tuple[Any, ...] = (
        "keep ",
        Quote(best.name),
        ": ",
        label,
        " ",
        spelled(found.by, best.run.record),
    )
    if best is not highest:
        text += (
            ", not told apart from the highest, ",
            Quote(highest.name),
            " with ",
            spelled(found.by, highest.run.record),
        )
    yield Paragraph(text=text, mood="title")
    if found.baseline is None:
        return
    against = Quote(cut(found.baseline.folder.name))
    passing = found.passing
    open_ = [e for e in found.judged if e.verdict and e.verdict.verdict == "inconclusive"]
    if passing is None and open_:
        said = "no checkpoint passes the gate against "
        few = ", with too few cases to tell for "
        yield Paragraph(text=(said, against, few, Quote(open_[-1].name)), mood="doubtful")
    elif passing is None:
        yield Paragraph(text=("no checkpoint passes the gate against ", against), mood="bad")
    else:
        yield Paragraph(
            text=("first to pass the gate against ", against, ": ", Quote(passing.name)),
            mood="good",
        )


def _notes(found: JudgedCheckpoints) -> Iterator[Inline]:
    least, best = found.least_loss, found.best
    if least is not None and best is not None and least is not best:
        yield (
            "Least validation loss would keep ", Quote(least.name), ": ", title(found.by), " ",
            spelled(found.by, least.run.record), ".",
        )  # fmt: skip
    if len(found.judged) > 1:
        yield (
            f"{count(len(found.judged), 'checkpoint')} were looked at. The earliest is kept that "
            f"the paired test does not call worse than the highest (p < {ALPHA:g}); what was "
            "chosen looks better on these cases than it is, so gate it on others, too."
        )


def spelled(name: str, record: RunRecord) -> str:
    """
    Return a metric of a run with its interval.
    """
    metric = record.metrics[name]
    between = interval(name, metric.low, metric.high)
    return value(name, metric.value) + (f" ({between})" if between else "")


def _loss(found: JudgedCheckpoints) -> tuple[Panel, ...]:
    curves = tuple(
        Curve(label=label, points=tuple(Point(at=step, value=loss) for step, loss in logged))
        for label, logged in (("training", found.log.train), ("validation", found.log.valid))
        if logged
    )
    return (Panel(label="loss", curves=curves),) if curves else ()


def _table(found: JudgedCheckpoints, names: Sequence[str]) -> Table:
    losses = dict(found.log.valid)
    header: list[Inline] = ["step", *(title(name) for name in names)]
    if losses:
        header.append("validation loss")
    if found.baseline is not None:
        header.append(("against ", Quote(cut(found.baseline.folder.name))))
    rows: list[tuple[Inline, ...]] = []
    if found.baseline is not None:
        row: list[Inline] = [
            Quote(cut(found.baseline.folder.name)),
            *cells(found.baseline.record, names),
        ]
        rows.append((*row, *([ABSENT] if losses else []), "the baseline"))
    for each in found.judged:
        row = [str(each.step), *cells(each.run.record, names)]
        if losses:
            row.append(f"{losses[each.step]:.4f}" if each.step in losses else ABSENT)
        if found.baseline is not None:
            row.append(each.verdict.verdict.replace("_", " ") if each.verdict else ABSENT)
        rows.append(tuple(row))
    return Table(header=tuple(header), rows=tuple(rows))


def cells(record: RunRecord, names: Sequence[str]) -> Iterator[str]:
    """
    Yield each metric of a run with its interval, that of the median for tokens.
    """
    for name in names:
        metric: MetricValue | None = record.metrics.get(name)
        if metric is None or metric.value is None:
            yield ABSENT
            continue
        low, high = metric.low, metric.high
        if name == "output_tokens_p50" and (tokens := tokens_of(record)) is not None:
            _, low, high = tokens
        between = interval(name, low, high)
        yield value(name, metric.value) + (f" ({between})" if between else "")


def _skipped(found: JudgedCheckpoints) -> Iterator[Section]:
    if found.skipped:
        rows = tuple((Quote(name), Quote(cut(why))) for name, why in found.skipped.items())
        table = Table(header=("checkpoint", "why"), rows=rows)
        yield Section(title="Skipped", blocks=(table,))
