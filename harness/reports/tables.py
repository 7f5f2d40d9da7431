"""
Tables of one or several runs. Nothing is judged or decided here.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from harness.reports.blocks import Entry, Inline, Listing, Part, Quote, Table, quotes
from harness.reports.escape import cut
from harness.reports.format import (
    ABSENT,
    case_name,
    counted,
    interval,
    plural,
    settings,
    title,
    value,
)
from harness.reports.report import RunView
from harness.runs.record import MetricValue, RunRecord, with_interval
from harness.scoring.breakdowns import Confusion, second_calls
from harness.scoring.metrics import METRICS, Counts
from harness.scoring.repeats import pass_hat
from harness.scoring.results import PRECEDENCE, SECOND_CALL_KINDS, CaseResult

_MATRIX_COLUMNS = 7
"""With more called tools than this, a list of the most common mix-ups replaces the matrix."""
_NAME = 48
"""How much of a tool's, tag's or run's name a table shows."""
_PROMPT = 80


def short(text: str, limit: int = _NAME) -> Quote:
    """
    Return a foreign name, cut to what a table can hold.
    """
    return Quote(text if len(text) <= limit else f"{text[: limit - 1]}…")


def heads(runs: Sequence[RunView], notes: Sequence[str]) -> Listing:
    """
    Return the settings of each run; *notes* say which run is which.
    """
    return Listing(
        entries=tuple(
            Entry(
                name=run.name,
                note=note,
                fields=(
                    ("suite", _suite(run.record)),
                    ("checkpoint", Quote(cut(run.record.checkpoint.reference))),
                    ("dialect", _dialect(run.record)),
                    ("backend", _backend(run.record)),
                    ("generation", _generation(run.record)),
                    ("cases", selected(run.record)),
                    ("finished", Quote(cut(run.record.finished, _NAME))),
                ),
            )
            for run, note in zip(runs, notes, strict=True)
        )
    )


def _generation(record: RunRecord) -> tuple[Part, ...]:
    said = settings(record.generation.to_json())
    return (*said, "; ", *drawn_once(record)) if record.one_draw else said


def drawn_once(record: RunRecord) -> tuple[Part, ...]:
    """
    Return that each answer of a run is one draw of many; empty unless it sampled once.
    """
    return ("one draw of each answer: --repeats 3 asks three times",) if record.one_draw else ()


def metrics_of(record: RunRecord) -> Table:
    """
    Return every metric with something eligible.
    """
    return Table(
        header=("metric", "value", "of", "95% interval"),
        rows=tuple(
            (
                title(name),
                value(name, metric.value),
                counted(metric),
                interval(name, metric.low, metric.high),
            )
            for name, metric in ordered(record.metrics)
            if metric.eligible
        ),
        right=frozenset({1, 2, 3}),
    )


def in_all_repeats(runs: Sequence[RunView], names: tuple[Inline, ...]) -> Table:
    """
    Return pass^k of each run, for k from 1 to the number of repeats; empty without repeats.
    """
    columns = [run.record.columns for run in runs]
    many = min(int(each.repeats.max(initial=0)) + 1 for each in columns)
    if many < 2:
        return Table(header=(), rows=())
    rows: list[tuple[Inline, ...]] = [
        (f"{k}", *(value("pass_hat_k", pass_hat(each, k)) for each in columns))
        for k in range(1, many + 1)
    ]
    return Table(header=("k", *names), rows=tuple(rows), right=frozenset(range(len(names) + 1)))


def without_value(records: Iterable[RunRecord]) -> tuple[Part, ...]:
    """
    Return which metrics had nothing eligible in any of *records*; empty if there are none.
    """
    eligible = Counter[str]()
    for record in records:
        for name, metric in ordered(record.metrics):
            eligible[name] += metric.eligible
    names = [METRICS[name].title if name in METRICS else name for name in eligible]
    empty = [shown for shown, count in zip(names, eligible.values(), strict=True) if not count]
    return ("Nothing to count: ", *quotes(empty), ".") if empty else ()


def metrics_side_by_side(runs: Sequence[RunView]) -> Table:
    """
    Return every metric, with a column for each run.
    """
    names = {name for run in runs for name, metric in run.record.metrics.items() if metric.eligible}
    rows = []
    for name in _in_order(names):
        metrics = [run.record.metrics.get(name) for run in runs]
        rows.append((title(name), *(_value_of(name, metric) for metric in metrics)))
    return Table(header=("metric", *columns(runs)), rows=tuple(rows), right=_numbers(len(runs)))


def statuses(runs: Sequence[RunView], names: tuple[Inline, ...]) -> Table:
    """
    Return how many answers have each status, read strictly and, where that differs, leniently.

    *names* are the headings of the runs' columns.
    """
    kept = [run.record.columns.judged(lambda case: not case.quarantined) for run in runs]
    strict = [_counted(cases, lambda case: case.status) for cases in kept]
    lenient = [_counted(cases, lambda case: case.status_lenient) for cases in kept]
    rows: list[tuple[Inline, ...]] = []
    for status in reversed(PRECEDENCE):
        counts = [
            _with_lenient(one[status], other[status])
            for one, other in zip(strict, lenient, strict=True)
        ]
        if any(count != "0" for count in counts):
            rows.append((status, *counts))
    left_out = [
        sum(many for _, many in run.record.columns.judged(lambda case: case.quarantined))
        for run in runs
    ]
    if any(left_out):
        rows.append(("quarantined, not counted", *map(str, left_out)))
    return Table(
        header=("status", *names),
        rows=tuple(rows),
        right=_numbers(len(runs)),
    )


def second_calls_by_kind(runs: Sequence[RunView], names: tuple[Inline, ...]) -> Table:
    """
    Return the cases with a needless further call, by the kind of the first such call.
    """
    counts = [second_calls(run.record.columns) for run in runs]
    return Table(
        header=("second call", *names),
        rows=tuple(
            (kind.replace("_", " "), *(f"{count.get(kind, 0):,}" for count in counts))
            for kind in SECOND_CALL_KINDS
            if any(count.get(kind) for count in counts)
        ),
        right=_numbers(len(runs)),
    )


def confusion(old: Confusion | None, new: Confusion) -> Table:
    """
    Return expected tool by called tool; with *old*, a change is shown as ``old → new``.

    If too many tools were called for a matrix, the mix-ups are listed, the most common first.
    """
    before = old or {}
    expected = tools_of({*before, *new})
    called = tools_of(name for matrix in (before, new) for row in matrix.values() for name in row)

    def cell(row: str, column: str) -> str:
        now = new.get(row, {}).get(column, 0)
        was = now if old is None else before.get(row, {}).get(column, 0)
        shown = f"{now:,}" if was == now else f"{was:,} → {now:,}"
        return "·" if shown == "0" else shown

    if len(called) <= _MATRIX_COLUMNS:
        return Table(
            header=("expected \\ called", *map(short, called)),
            rows=tuple((short(row), *(cell(row, column) for column in called)) for row in expected),
            right=_numbers(len(called)),
        )
    wrong = [
        (row, column)
        for row in expected
        for column in called
        if row != column and cell(row, column) != "·"
    ]
    wrong.sort(key=lambda pair: -new.get(pair[0], {}).get(pair[1], 0))
    return Table(
        header=("expected", "called instead", "times"),
        rows=tuple((short(row), short(column), cell(row, column)) for row, column in wrong),
        right=frozenset({2}),
    )


def tools_of(names: Iterable[str]) -> list[str]:
    """
    Return the rows or columns of a matrix in order: tools first, then ``(none)`` and the like.
    """
    return sorted(set(names), key=lambda name: (name.startswith("("), name))


def tags_side_by_side(runs: Sequence[RunView]) -> Table:
    """
    Return the accuracy over the scored cases of each tag, with a column for each run.
    """
    of_runs = [by_tag(run.record) for run in runs]
    return Table(
        header=("tag", *columns(runs)),
        rows=tuple(
            (short(tag), *(_value_of("accuracy", tags.get(tag)) for tags in of_runs))
            for tag in sorted({tag for tags in of_runs for tag in tags})
        ),
        right=_numbers(len(runs)),
    )


def accuracy_by_tag(record: RunRecord) -> Table:
    """
    Return the accuracy over the scored cases of each tag.
    """
    rows = []
    for tag, metric in by_tag(record).items():
        spread = interval("accuracy", metric.low, metric.high)
        rows.append((short(tag), value("accuracy", metric.value), counted(metric), spread))
    return Table(
        header=("tag", "accuracy", "of", "95% interval"),
        rows=tuple(rows),
        right=frozenset({1, 2, 3}),
    )


def by_tag(record: RunRecord) -> dict[str, MetricValue]:
    """
    Return the accuracy of each tag, sorted by tag.
    """
    hits, eligible = Counter[str](), Counter[str]()
    cases = record.columns
    both = zip(
        cases.tags.codes[cases.scored].tolist(), cases.correct[cases.scored].tolist(), strict=True
    )
    for (code, correct), many in Counter(both).items():
        for tag in cases.tags.values[code]:
            eligible[tag] += many
            hits[tag] += many * correct
    return {
        tag: with_interval("accuracy", Counts(hits=hits[tag], eligible=eligible[tag]))
        for tag in sorted(eligible)
    }


def disagreements(runs: Sequence[RunView]) -> Table:
    """
    Return the cases that do not have the same status in all runs.
    """
    results = [{(case.id, case.repeat): case for case in run.record.cases} for run in runs]
    rows: list[tuple[Inline, ...]] = []
    for key in dict.fromkeys(key for cases in results for key in cases):
        found = [cases.get(key) for cases in results]
        spelled: list[str] = [case.status if case else ABSENT for case in found]
        if len({case.digest for case in found if case}) > 1:
            spelled = [f"{each} (another question)" if each != ABSENT else each for each in spelled]
        elif len(set(spelled)) == 1:
            continue
        named = next(case for case in found if case)
        prompt = next((run.prompts[key[0]] for run in runs if key[0] in run.prompts), "")
        rows.append((short(case_name(named)), short(prompt, _PROMPT), *spelled))
    return Table(header=("case", "prompt", *columns(runs)), rows=tuple(rows))


def columns(runs: Sequence[RunView]) -> tuple[Part, ...]:
    """
    Return the name of each run, as column headers.
    """
    return tuple(short(run.name) for run in runs)


def ordered(metrics: Mapping[str, MetricValue]) -> list[tuple[str, MetricValue]]:
    """
    Return metrics in the order reports show them; unknown ones last.
    """
    return [(name, metrics[name]) for name in _in_order(metrics)]


def _in_order(names: Iterable[str]) -> list[str]:
    known = list(METRICS)
    return sorted(names, key=lambda name: (known.index(name) if name in METRICS else 99, name))


def _numbers(count: int) -> frozenset[int]:
    return frozenset(range(1, count + 1))


def _value_of(name: str, metric: MetricValue | None) -> str:
    if metric is None or metric.value is None:
        return ABSENT
    return f"{value(name, metric.value)} ({counted(metric)})"


def _counted(
    judged: Iterable[tuple[CaseResult, int]], status: Callable[[CaseResult], str]
) -> Counter[str]:
    counts = Counter[str]()
    for case, many in judged:
        counts[status(case)] += many
    return counts


def _with_lenient(strict: int, lenient: int) -> str:
    return f"{strict:,}" if strict == lenient else f"{strict:,} (leniently {lenient:,})"


def _suite(record: RunRecord) -> tuple[Part, ...]:
    suite = record.suite
    return (Quote(cut(f"{suite.name} {suite.version}")), "" if suite.released else " (unreleased)")


def _dialect(record: RunRecord) -> tuple[Part, ...]:
    checkpoint = record.checkpoint
    return (Quote(cut(checkpoint.dialect)), f", version {checkpoint.dialect_version}")


def _backend(record: RunRecord) -> tuple[Part, ...]:
    name = Quote(cut(record.backend.name))
    rest = settings(record.backend.to_json(), but=("name",))
    return (name, ", ", *rest) if rest else (name,)


def selected(record: RunRecord) -> tuple[Part, ...]:
    """
    Return how many cases were asked, and how they were chosen if it was not the whole suite.
    """
    cases = set(record.columns.ids)
    repeats = 1 + int(record.columns.repeats.max(initial=0))
    text = plural(len(cases), "case") + (f", {repeats} repeats" if repeats > 1 else "")
    if record.selection.complete:
        return (text,)
    chosen: list[Part] = [text, ", not the whole suite"]
    if record.selection.cases:
        chosen.append(", by id")
    if record.selection.expression is not None:
        chosen += [", by -k ", Quote(cut(record.selection.expression))]
    if record.selection.tags:
        chosen += [", tagged ", *quotes(record.selection.tags)]
    if record.selection.failed is not None:
        chosen += [", that failed in ", Quote(cut(record.selection.failed))]
    if (sample := record.selection.sample) is not None:
        chosen.append(f", a sample of {sample.size:,} (seed {sample.seed})")
    if record.selection.limit is not None:
        chosen.append(f", limited to {record.selection.limit:,}")
    if (shard := record.selection.shard) is not None:
        parts = "part" if len(shard.parts) == 1 else "parts"
        chosen.append(f", {parts} {', '.join(map(str, shard.parts))} of {shard.of}")
    return tuple(chosen)
