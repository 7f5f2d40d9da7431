"""
What the HTML page shows, in reading order: what decides, the cases, then distributions.

The blocks are those of the other reports; here they are joined by charts and matrices.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.canonical import canonical_json
from harness.comparison.compare import Comparison
from harness.comparison.differences import Effect
from harness.gating.release import Release
from harness.renderers.html import charts, figures
from harness.reports import changes, evidence, ranked, release, stack, tables
from harness.reports.blocks import Block, Inline, Listing, Names, Paragraph, Quote, Table
from harness.reports.escape import cut
from harness.reports.format import ABSENT, plural
from harness.reports.funnel import funnel, states
from harness.reports.report import Report, RunView
from harness.reports.sections import says_something
from harness.reports.sheet import Sheet

_CAPTION = (
    "Dot: the change from old to new. Bar: its interval. "
    "Red line: the limit; the shaded side is not allowed."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """
    One part of the page.
    """

    id: str
    title: str
    link: str = ""
    """The text of the link to it; empty for no link."""
    items: tuple[Block | figures.Figure | figures.Matrix, ...] = ()
    absent: str = ""
    """Shown if there is nothing else; empty to leave the part out."""
    drawer: bool = False
    """Whether it is closed at first."""
    layout: Literal["", "beside", "aside"] = ""
    """Where there is room: items next to each other, or a chart with the table beside it."""


def before_cases(report: Report) -> tuple[Panel, ...]:
    """
    Return what comes before the cases.
    """
    if report.release is not None:
        return _kept(list(_suites(report, report.release)))
    labels = tuple(Quote(cut(each)) for each in figures.names(report))
    second = tables.second_calls_by_kind(report.runs, labels if len(labels) > 1 else ("answers",))
    panels = [
        Panel(id="runs", title="", items=(_facts(report),)),
        *(
            Panel(
                id=f"stack-{number}",
                title=section.title,
                link="" if number else "Stack",
                items=section.blocks,
            )
            for number, section in enumerate(
                stack.sections(report, report.stack) if report.stack is not None else ()
            )
        ),
        Panel(
            id="metrics", title="Metrics", link="Metrics", items=_metrics(report), layout="aside"
        ),
    ]
    panels += _executed(report, labels if len(labels) > 1 else ("",))
    comparison = report.comparison
    offenders = changes.offenders(comparison) if comparison else ()
    panels.append(
        Panel(
            id="second-calls",
            title="Second calls by kind",
            link="Second calls",
            items=(second, *offenders),
            absent="No answer made a needless further call.",
        )
    )
    if comparison is not None:
        panels += _compared(report, comparison)
    return _kept(panels)


def _executed(report: Report, names: tuple[Inline, ...]) -> Iterator[Panel]:
    yield Panel(
        id="repeats",
        title="Right in k of k repeats (pass^k)",
        link="pass^k",
        items=(tables.in_all_repeats(report.runs, names),),
    )
    yield Panel(
        id="funnel",
        title="Called, found, answered",
        link="Funnel",
        items=(funnel(report.runs, names),),
    )
    if report.comparison is not None:
        broken = report.comparison.rates["accuracy"].broken
        yield Panel(
            id="states",
            title="End states of broken cases",
            link="End states",
            items=(states(report, broken),),
        )


def after_cases(report: Report) -> tuple[Panel, ...]:
    """
    Return what comes after the cases, for those who want to know more.
    """
    if report.release is not None:
        return ()
    return _kept(
        [
            Panel(
                id="confusion",
                title="Confusion matrix",
                link="Confusion",
                items=tuple(figures.matrices(report)),
                absent="No answer was expected to call a tool.",
                layout="beside",
            ),
            Panel(
                id="tokens",
                title="Answer lengths",
                link="Lengths",
                items=figures.spread(
                    report, "output_tokens", "output tokens", "Length of the answers"
                ),
                absent="No answer has a token count.",
            ),
            Panel(
                id="latency",
                title="Latency",
                link="Latency",
                items=(
                    *figures.spread(
                        report, "latency_ms", "ms for one answer", "Time for one answer"
                    ),
                    *figures.spread(
                        report, "ttft_ms", "ms to the first token", "Time to first token"
                    ),
                ),
                absent="No answer was timed: run with --latency to time a sample of 24.",
                layout="beside",
            ),
            Panel(
                id="divergences",
                title="Answers that differ",
                link="Differ",
                items=changes.divergences(report.divergences),
            ),
            Panel(
                id="exported",
                title="What the export changed",
                link="Export",
                items=changes.departures(report.verdict),
            ),
            Panel(
                id="margins",
                title="Margins",
                link="Margins",
                items=_margins(report),
                layout="aside",
                absent="No answer has a margin: it was not measured in these runs.",
            ),
            Panel(
                id="slices",
                title="Accuracy by tag",
                link="Tags",
                items=figures.slices(report),
                absent="No scored case has a tag.",
                layout="aside",
            ),
            Panel(
                id="training",
                title="Training",
                link="Training",
                items=tuple(figures.training(report)),
                absent="No training log was found for these checkpoints, "
                "or their weights have changed since.",
            ),
            Panel(
                id="provenance",
                title="Digests, versions and settings",
                link="Digests",
                items=(_provenance(report),),
                drawer=True,
            ),
        ]
    )


def of_sheet(sheet: Sheet) -> tuple[Panel, ...]:
    """
    Return the parts of a page about several runs, with their curves where there are some.
    """
    half = (len(sheet.panels) + 1) // 2
    curves = Panel(
        id="curves",
        title=f"By {sheet.along}",
        link="Curves",
        items=tuple(
            figures.Figure(svg=charts.curves(sheet, panels), caption=caption)
            for panels, caption in (
                (sheet.panels[:half], sheet.caption),
                (sheet.panels[half:], _marked(sheet)),
            )
            if panels
        ),
        absent="There is nothing to draw.",
        layout="beside",
    )
    parts = (
        Panel(id=f"part-{number}", title=part.title, link=part.title, items=part.blocks)
        for number, part in enumerate(sheet.sections)
    )
    return _kept([*([curves] if sheet.panels else []), *parts])


def _marked(sheet: Sheet) -> str:
    return f"The dotted line is {sheet.marked_as}." if sheet.marked is not None else ""


def _suites(report: Report, found: Release) -> Iterator[Panel]:
    for number, part in enumerate(report.parts):
        name = part.new.record.suite.name
        yield Panel(
            id=f"suite-{number}",
            title=release.title_of(part, found),
            link=cut(name),
            items=(
                figures.Figure(svg=charts.gated(part.verdict.metrics, cut(name)), caption=_CAPTION)
                if part.verdict
                else Paragraph(text=""),
                *release.of_suite(part),
            ),
            drawer=found.suites[name].word == "pass",
        )


def _margins(report: Report) -> tuple[Block | figures.Figure, ...]:
    label = "margin of the called tool"
    picture = figures.spread(
        report, "margin", label, "How sure the model was of the tool it called"
    )
    table = (changes.margins(report.comparison),) if report.comparison else ()
    return (*picture, *table)


def _kept(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    kept = []
    for panel in panels:
        items = tuple(item for item in panel.items if _shows(item))
        if items or panel.absent:
            kept.append(
                replace(
                    panel,
                    items=items or (Paragraph(text=panel.absent),),
                    layout=panel.layout if len(items) > 1 else "",
                )
            )
    return tuple(kept)


def _shows(item: Block | figures.Figure | figures.Matrix) -> bool:
    match item:
        case figures.Figure():
            return bool(item.svg)
        case figures.Matrix():
            return bool(item.rows)
        case _:
            return says_something(item)


def _facts(report: Report) -> Table:
    """
    Return what is compared, when and where, with a column for each run.
    """
    runs = report.runs
    labels = figures.names(report)
    rows: list[tuple[Inline, ...]] = []
    for label, spell in _FACTS:
        rows.append((label, *(Quote(cut(spell(run) or ABSENT)) for run in runs)))
    return Table(header=("", *(Quote(cut(each)) for each in labels)), rows=tuple(rows))


def _where(run: RunView) -> str:
    machine = run.record.environment.hardware
    accelerators = [str(each) for each in machine.get("accelerators") or ()]
    cores = machine.get("cores")
    parts = [
        run.record.backend.device or "",
        *accelerators,
        str(machine.get("cpu") or ""),
        f"{cores} cores" if cores else "",
        str(machine.get("system") or ""),
    ]
    return ", ".join(part for part in parts if part)


def _suite(run: RunView) -> str:
    suite = run.record.suite
    return f"{suite.name} {suite.version}{'' if suite.released else ' (unreleased)'}"


_FACTS = (
    ("run", lambda run: run.name),
    ("checkpoint", lambda run: run.record.checkpoint.reference),
    ("suite", _suite),
    ("when", lambda run: run.record.finished.replace("T", " ").replace("+00:00", " UTC")),
    ("where", _where),
)


def _metrics(report: Report) -> tuple[Block | figures.Figure, ...]:
    runs = report.runs
    verdict = report.verdict
    if report.comparison is not None:
        told: tuple[Block, ...] = (
            changes.metrics(report.comparison, verdict),
            *changes.notes(report.comparison, verdict),
        )
        if verdict is not None:
            return (figures.Figure(svg=charts.gated(verdict.metrics), caption=_CAPTION), *told)
        return (figures.rates(runs, ("old", "new")), *told)
    table = (
        tables.metrics_of(runs[0].record) if len(runs) == 1 else tables.metrics_side_by_side(runs)
    )
    without = Paragraph(text=tables.without_value(run.record for run in runs))
    ranking = ranked.order(runs, report.ranking) if report.ranking else ()
    return (*ranking, figures.rates(runs, figures.names(report)), table, without)


def _compared(report: Report, comparison: Comparison) -> Iterator[Panel]:
    yield Panel(
        id="not-compared",
        title="What could not be compared",
        link="Not compared",
        items=_not_compared(comparison),
        absent="Every case of both runs was compared.",
    )
    yield Panel(
        id="slice-limits",
        title="Slices with limits",
        link="Slices",
        items=(changes.slices(report.verdict),),
    )
    yield Panel(
        id="accepted",
        title=f"Accepted ({len(comparison.accepted)})",
        link="Accepted",
        items=(changes.accepted(comparison),),
    )
    yield Panel(
        id="anchor",
        title="Against the anchor",
        link="Anchor",
        items=changes.against_anchor(report.verdict),
    )
    failed = evidence.named(report, comparison.must_pass_failed)
    yield Panel(
        id="must-pass",
        title=f"Must pass and did not ({len(failed)})",
        link="Must pass",
        items=(Listing(entries=failed),),
    )


def _not_compared(comparison: Comparison) -> tuple[Block, ...]:
    left_out = comparison.pairs - comparison.scored_pairs
    blocks: list[Block] = []
    if left_out:
        said = (
            f"{plural(left_out, 'answer')} left out: an error or a quarantined case in either run."
        )
        blocks.append(Paragraph(text=said))
    if comparison.unpaired:
        said = plural(comparison.unpaired, "answer")
        blocks.append(
            Paragraph(text=f"{said} without a partner: one run repeats cases more often.")
        )
    for said, cases in (
        ("added: only the new run has them", comparison.added),
        ("removed: only the old run has them", comparison.removed),
        ("changed: another question under the same name", comparison.changed),
        ("quarantined in either run", comparison.quarantined),
        ("that must pass broke for infrastructure reasons", comparison.must_pass_unknown),
    ):
        if cases:
            blocks += [
                Paragraph(text=f"{plural(len(cases), 'case')} {said}"),
                Names(names=cases),
            ]
    decide: tuple[Effect, ...] = ("not_comparable", "exported", "latency", "common_cases")
    table = changes.differences(comparison, (*decide, "rejudge"))
    return (*blocks, table)


def _provenance(report: Report) -> Table:
    settings = [dict(_settings(run)) for run in report.runs]
    fields = dict.fromkeys(name for each in settings for name in each)
    return Table(
        header=("field", *(Quote(cut(each)) for each in figures.names(report))),
        rows=tuple(
            (Quote(cut(name)), *(Quote(cut(each.get(name, ABSENT))) for each in settings))
            for name in fields
        ),
    )


def _settings(run: RunView) -> Iterator[tuple[str, str]]:
    record = run.record
    suite = record.suite
    yield "harness_version", record.harness_version
    yield "scorer_version", str(record.scorer_version)
    yield "suite.digest", suite.digest
    yield "selection.complete", canonical_json(record.selection.complete)
    yield "started", record.started
    yield "finished", record.finished
    for block in ("checkpoint", "backend", "generation", "environment"):
        yield from _flat(block, getattr(record, block).to_json())


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name in sorted(value):
            yield from _flat(f"{path}.{name}", value[name])
    elif value is not None:
        yield path, value if isinstance(value, str) else canonical_json(value)
