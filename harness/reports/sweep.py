"""
What is said of several fine-tunes of one base: a table with which of them cannot be told apart, and
accuracy by the number of rows.
"""

from collections.abc import Iterator
from typing import Any

from harness.gating.ranking import ALPHA
from harness.reports.blocks import Block, Inline, Paragraph, Points, Quote, Section, Table, quotes
from harness.reports.checkpoints import SHOWN, cells, metric_panels, spelled
from harness.reports.escape import cut
from harness.reports.format import ABSENT, plural, title
from harness.reports.sheet import Sheet
from harness.wording import chance
from harness.workflow.sweep import Sweep, Swept


def sheet_of_sweep(found: Sweep) -> Sheet:
    """
    Return the page about fine-tunes: with curves if they differ in the number of rows alone.
    """
    enough = found.enough
    by_rows = sorted(found.swept, key=lambda each: each.rows)
    measured = [(each.rows, each.run.record) for each in by_rows] if found.by_rows else []
    return Sheet(
        title=f"{plural(len(found.swept), 'fine-tune')} of {found.base} on {found.suite}",
        summary=(*_named(found), Points(texts=tuple(_notes(found)))),
        panels=metric_panels(measured),
        along="training rows",
        marked=None if enough is None else enough.rows,
        marked_as="the fewest rows that are not told apart from the best",
        caption="Bands are 95% intervals over the cases, of the median for tokens.",
        sections=(
            Section(title="Each fine-tune", blocks=(_table(found),)),
            Section(title="Any two", blocks=(_pairs(found),)),
        ),
    )


def sweep_data(found: Sweep) -> dict[str, Any]:
    """
    Return the same for programs.
    """
    names = [found.swept[place].configuration.name for place in found.order]
    return {
        "suite": found.suite,
        "base": found.base,
        "answers": found.ranking.answers,
        "enough_rows": None if found.enough is None else found.enough.rows,
        "fine_tunes": [
            {
                "name": each.configuration.name,
                "rows": each.rows,
                "recipe": each.configuration.recipe.to_json(),
                "folder": str(each.trained.folder),
                "run": str(each.run.folder),
                "validation_loss": _loss(each),
                "seconds": each.trained.seconds,
                "correct": place.correct,
                "not_told_apart_from": [names[other] for other in place.alike],
                "metrics": {
                    key: {"value": metric.value, "low": metric.low, "high": metric.high}
                    for key, metric in each.run.record.metrics.items()
                },
            }
            for each, place in _placed(found)
        ],
        "pairs": [
            {"one": names[one], "other": names[other], "p": p}
            for (one, other), p in found.ranking.p.items()
        ],
    }


def _placed(found: Sweep) -> Iterator[tuple[Swept, Any]]:
    for position, place in zip(found.order, found.ranking.places, strict=True):
        yield found.swept[position], place


def _named(found: Sweep) -> Iterator[Block]:
    first = found.ranking.places[0]
    best = found.swept[found.order[0]]
    enough = found.enough
    if enough is not None and enough is not best:
        more: tuple[Any, ...] = (
            f"{enough.rows} rows are not told apart from the best: accuracy ",
            spelled("accuracy", enough.run.record),
            f", with {best.rows} ",
            spelled("accuracy", best.run.record),
        )
        yield Paragraph(text=more, mood="title")
    elif enough is not None:
        text = f"fewer than {best.rows} rows are worse: accuracy "
        if best.rows == min(each.rows for each in found.swept):
            text = f"{best.rows} rows do no worse than more: accuracy "
        yield Paragraph(text=(text, spelled("accuracy", best.run.record)), mood="title")
    elif first.alike:
        others = quotes([found.swept[found.order[n]].configuration.name for n in first.alike])
        name = Quote(best.configuration.name)
        yield Paragraph(
            text=("no clear best: ", name, " is not told apart from ", *others), mood="title"
        )
    else:
        name = Quote(best.configuration.name)
        yield Paragraph(text=("best: ", name), mood="title")


def _notes(found: Sweep) -> Iterator[Inline]:
    yield (
        f"Counted over {plural(found.ranking.answers, 'answer')}. Two are told apart where the "
        f"paired test gives p < {ALPHA:g}, adjusted for {plural(len(found.ranking.p), 'pair')} "
        "(Holm)."
    )
    if found.by_rows:
        yield (
            "The rows are nested: more hold the fewer. Each number was drawn and trained once; "
            "other rows or another seed move it, too."
        )
    else:
        yield "Each was trained once; another seed moves it, too."


def _table(found: Sweep) -> Table:
    labels = [found.swept[place].configuration.name for place in found.order]
    rows: list[tuple[Inline, ...]] = []
    for each, place in _placed(found):
        loss = _loss(each)
        alike = quotes([labels[other] for other in place.alike])
        rows.append(
            (
                Quote(cut(each.configuration.name)),
                str(each.rows),
                *cells(each.run.record, SHOWN),
                ABSENT if loss is None else f"{loss:.4f}",
                alike or "all are told apart",
            )
        )
    header = (
        "fine-tune",
        "rows",
        *(title(name) for name in SHOWN),
        "validation loss",
        "not told apart from",
    )
    return Table(header=header, rows=tuple(rows), right=frozenset({1}))


def _loss(each: Swept) -> float | None:
    trained = each.trained
    known = {loss.epoch: loss.valid for loss in trained.losses}
    return known.get(trained.kept_epoch)


def _pairs(found: Sweep) -> Table:
    names = [Quote(cut(found.swept[place].configuration.name)) for place in found.order]
    return Table(
        header=("better or equal", "other", "paired test"),
        rows=tuple(
            (names[one], names[other], chance(p)) for (one, other), p in found.ranking.p.items()
        ),
    )
