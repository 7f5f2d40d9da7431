"""
What is said of several checkpoints on several suites: who is best where, and every figure.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from harness.gating.ranking import ALPHA, Ranking
from harness.reports.blocks import Block, Inline, Paragraph, Points, Quote, Section, Table, quotes
from harness.reports.escape import cut
from harness.reports.format import ABSENT, interval, plural, title, value
from harness.reports.sheet import Sheet
from harness.runs.record import RunRecord
from harness.workflow.matrix import MatrixCell, MatrixRuns

SHOWN = (
    *("accuracy", "second_call_rate", "malformed_rate"),
    *("answer_accuracy", "goal_accuracy", "output_tokens_p50"),
)
"""The metrics of a suite's table, of which those are shown that some run has. As many as fit on a
screen: each run has its own report."""


def sheet_of_matrix(found: MatrixRuns) -> Sheet:
    """
    Return the page about a matrix.
    """
    return Sheet(
        title=f"Matrix {found.name}",
        summary=(
            Paragraph(text=outcome(found), mood="title"),
            _accuracies(found),
            Points(texts=tuple(_notes(found))),
        ),
        sections=(*(_suite(found, name) for name in found.suites), *_skipped(found)),
    )


def matrix_data(found: MatrixRuns) -> dict[str, Any]:
    """
    Return the same for programs.
    """
    return {
        "matrix": found.name,
        "checkpoints": list(found.checkpoints),
        "suites": list(found.suites),
        "cells": [
            {
                "checkpoint": cell.checkpoint,
                "suite": cell.suite,
                "run": str(cell.run.folder),
                "asked": cell.asked,
                "errors": cell.run.record.errors,
                "metrics": {
                    key: {"value": metric.value, "low": metric.low, "high": metric.high}
                    for key, metric in cell.run.record.metrics.items()
                },
            }
            for cell in found.cells.values()
        ],
        "order": {
            suite: [
                {
                    "checkpoint": names[place],
                    "correct": each.correct,
                    "answers": ranking.answers,
                    "not_told_apart_from": [names[other] for other in each.alike],
                    "must_pass_failed": list(each.must_pass_failed),
                    "made_otherwise": list(each.made_otherwise),
                }
                for place, each in enumerate(ranking.places)
            ]
            for suite, (names, ranking) in found.rankings.items()
        },
        "skipped": dict(found.skipped),
        "exit": int(found.exit),
    }


def outcome(found: MatrixRuns) -> str:
    """
    Return in a few words how much there is, and how much was asked for it.
    """
    asked = sum(cell.asked for cell in found.cells.values())
    of = len(found.checkpoints) * len(found.suites)
    many = f"{plural(len(found.checkpoints), 'checkpoint')} on {plural(len(found.suites), 'suite')}"
    missing = f", {of - len(found.cells)} missing" if found.exit else ""
    return f"{many}: {asked} of {plural(of, 'run')} asked now{missing}"


def _accuracies(found: MatrixRuns) -> Table:
    rows: list[tuple[Inline, ...]] = []
    for number, name in enumerate(found.checkpoints, start=1):
        cells = (found.cells.get((name, suite)) for suite in found.suites)
        rows.append(((f"{number}. ", Quote(cut(name))), *(_accuracy(cell) for cell in cells)))
    return Table(
        header=("accuracy", *(Quote(cut(suite)) for suite in found.suites)),
        rows=tuple(rows),
        right=frozenset(range(1, len(found.suites) + 1)),
    )


def _accuracy(cell: MatrixCell | None) -> Inline:
    return "missing" if cell is None else _value(cell.run.record, "accuracy")


def _value(record: RunRecord, name: str) -> str:
    metric = record.metrics.get(name)
    return ABSENT if metric is None or metric.value is None else value(name, metric.value)


def _spelled(record: RunRecord, name: str) -> str:
    metric = record.metrics.get(name)
    if metric is None or metric.value is None:
        return ABSENT
    between = interval(name, metric.low, metric.high)
    return value(name, metric.value) + (f" ({between})" if between else "")


def _notes(found: MatrixRuns) -> Iterator[Inline]:
    yield ("The runs are in ", Quote(cut(str(found.folder))), ".")
    for suite, (names, ranking) in found.rankings.items():
        yield (Quote(cut(suite)), ": ", *_best(names, ranking))
    if found.rankings:
        yield (
            f"Two checkpoints are told apart on a suite where the paired test gives p < {ALPHA:g}, "
            "adjusted for all pairs of that suite (Holm). Suites are not added up."
        )


def _best(names: Sequence[str], ranking: Ranking) -> tuple[Any, ...]:
    if not ranking.answers:
        return ("no answer in common",)
    alike = ranking.places[0].alike
    if not alike:
        return ("best is ", Quote(cut(names[0])))
    others = quotes([names[place] for place in alike])
    return ("no clear best: ", Quote(cut(names[0])), " is not told apart from ", *others)


def _suite(found: MatrixRuns, suite: str) -> Section:
    cells = [
        cell for name in found.checkpoints if (cell := found.cells.get((name, suite))) is not None
    ]
    records = [cell.run.record for cell in cells]
    shown = [
        name
        for name in SHOWN
        if any((m := each.metrics.get(name)) and m.value is not None for each in records)
    ]
    ranked = found.rankings.get(suite)
    numbers = {name: number for number, name in enumerate(found.checkpoints, start=1)}
    rows: tuple[tuple[Inline, ...], ...] = tuple(
        (
            (f"{numbers[cell.checkpoint]}. ", Quote(cut(cell.checkpoint))),
            *(_spelled(cell.run.record, name) for name in shown[:1]),
            *(_value(cell.run.record, name) for name in shown[1:]),
            f"{cell.run.record.errors:,}",
            ", ".join(str(numbers[each]) for each in _alike(cell.checkpoint, ranked)) or ABSENT,
        )
        for cell in cells
    )
    header: tuple[Inline, ...] = (
        "checkpoint",
        *(title(name) for name in shown),
        *("errors", "not told apart from"),
    )
    blocks: list[Block] = [
        Table(header=header, rows=rows, right=frozenset(range(1, len(shown) + 2)))
    ]
    if ranked is not None:
        blocks.append(Points(texts=tuple(_otherwise(*ranked))))
    return Section(title=cut(suite), blocks=tuple(blocks), open=True)


def _alike(name: str, ranked: tuple[Sequence[str], Ranking] | None) -> list[str]:
    """
    Return the checkpoints that cannot be told apart from *name*.
    """
    if ranked is None:
        return []
    names, ranking = ranked
    return [names[other] for other in sorted(ranking.places[names.index(name)].alike)]


def _otherwise(names: Sequence[str], ranking: Ranking) -> Iterator[Inline]:
    for name, place in zip(names, ranking.places, strict=True):
        if place.made_otherwise:
            yield (
                *("not comparable: ", Quote(cut(name)), " was made otherwise than "),
                *(Quote(cut(names[0])), ": ", *quotes(place.made_otherwise)),
            )
        if place.must_pass_failed:
            yield (
                *(Quote(cut(name)), " fails cases that must pass: "),
                *quotes(place.must_pass_failed),
            )


def _skipped(found: MatrixRuns) -> Iterator[Section]:
    if found.skipped:
        rows = tuple((Quote(cut(name)), Quote(cut(why))) for name, why in found.skipped.items())
        table = Table(header=("checkpoint", "why"), rows=rows)
        yield Section(title="Skipped", blocks=(table,), open=True)
