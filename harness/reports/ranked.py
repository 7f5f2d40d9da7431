"""
The order of several runs: a table, and what it says in words. Nothing is decided here.
"""

from collections.abc import Sequence

from harness.gating.ranking import ALPHA, Ranking
from harness.reports.blocks import Block, Inline, Paragraph, Part, Points, Quote, Table, quotes
from harness.reports.changes import not_comparable
from harness.reports.escape import cut
from harness.reports.format import ABSENT, plural, value
from harness.reports.report import RunView
from harness.reports.tables import short
from harness.wording import LISTED, chance

_FIELDS = 4
"""How many settings in which a run differs are named."""


def order(runs: Sequence[RunView], ranking: Ranking) -> tuple[Block, ...]:
    """
    Return which run is best, all in order, and what limits that.
    """
    if not ranking.answers:
        return (not_comparable(),)
    tested = (
        f"Counted over {plural(ranking.answers, 'answer')} that all runs have. Two runs are told "
        f"apart where the paired test gives p < {ALPHA:g}, adjusted for "
        f"{plural(len(ranking.p), 'pair')} (Holm)."
    )
    return (
        Paragraph(text=_best(runs, ranking), mood="title"),
        _table(runs, ranking),
        Paragraph(text=tested),
        Points(texts=tuple(_warnings(runs, ranking))),
    )


def p_values(runs: Sequence[RunView], ranking: Ranking) -> Table:
    """
    Return the adjusted p of any two runs.
    """
    return Table(
        header=("run", "against", "paired test"),
        rows=tuple(
            (short(runs[one].name), short(runs[other].name), chance(p))
            for (one, other), p in ranking.p.items()
        ),
    )


def _best(runs: Sequence[RunView], ranking: Ranking) -> Inline:
    first = ranking.places[0]
    if not first.alike:
        return ("best: ", short(runs[0].name))
    others = quotes([cut(runs[place].name) for place in first.alike])
    return ("no clear best: ", short(runs[0].name), " is not told apart from ", *others)


def _table(runs: Sequence[RunView], ranking: Ranking) -> Table:
    rows: list[tuple[Inline, ...]] = []
    for number, (run, place) in enumerate(zip(runs, ranking.places, strict=True), start=1):
        share = value("accuracy", place.correct / ranking.answers)
        rows.append(
            (
                f"{number}",
                short(run.name),
                f"{share} ({place.correct:,}/{ranking.answers:,})",
                ", ".join(f"{other + 1}" for other in place.alike) or ABSENT,
                _named(place.must_pass_failed) or ABSENT,
            )
        )
    return Table(
        header=("", "run", "accuracy", "not told apart from", "must pass and failed"),
        rows=tuple(rows),
        right=frozenset({0, 2}),
    )


def _named(ids: Sequence[str]) -> tuple[Part, ...]:
    more = len(ids) - LISTED
    return (*quotes(ids[:LISTED]), *((f" and {more:,} more",) if more > 0 else ()))


def _warnings(runs: Sequence[RunView], ranking: Ranking) -> list[Inline]:
    said: list[Inline] = []
    for run, place in zip(runs, ranking.places, strict=True):
        if fields := place.made_otherwise:
            more = f" and {len(fields) - _FIELDS} more" if len(fields) > _FIELDS else ""
            said.append(
                (
                    "not comparable: ",
                    short(run.name),
                    " was made otherwise than the first: ",
                    Quote(", ".join(fields[:_FIELDS])),
                    more,
                )
            )
        if not run.record.selection.complete:
            said.append((short(run.name), " answered only a part of its suite"))
    return said
