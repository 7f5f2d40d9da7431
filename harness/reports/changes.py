"""
Tables of what differs between two runs, and of the gate's verdict on it. Nothing is decided here.
"""

import re
from collections.abc import Collection
from statistics import median

from harness.canonical import canonical_json
from harness.comparison.compare import NOTHING_IN_COMMON, Comparison
from harness.comparison.differences import Effect
from harness.comparison.divergence import Divergences, Logits
from harness.comparison.export import margin
from harness.comparison.paired import PairedRate, PairedValues
from harness.gating import intervals
from harness.gating.ranking import told_apart, two_sided
from harness.gating.verdict import Decided, MetricVerdict, Verdict
from harness.reports.blocks import Block, Inline, Mood, Names, Paragraph, Part, Points, Quote, Table
from harness.reports.escape import cut
from harness.reports.format import ABSENT, change, plural, title, unit, value
from harness.reports.report import Report
from harness.reports.tables import short
from harness.scoring.metrics import RATES
from harness.transcript import Key
from harness.wording import chance

REASON = 600
"""How much of a reason of the verdict a report shows, in characters: it names cases."""
_SETTING = 60
_LEAST_SURE = 5
_BEFORE = 24
# Characters that both wrote before the token that differs.
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_DIGEST_SHOWN = len("sha256:") + 12

MOODS: dict[str, Mood] = {
    "pass": "good",
    "regressed": "bad",
    "still_failing": "bad",
    "inconclusive": "doubtful",
    "not_comparable": "doubtful",
}

_EFFECTS: dict[Effect, str] = {
    "compared": "what is compared",
    "rejudge": "the older run has to be judged again",
    "rejudged": "judged again",
    "common_cases": "common cases only",
    "not_comparable": "not comparable",
    "exported": "an export differs in it on purpose",
    "latency": "times are not comparable",
    "noted": "",
}


def word(decided: Decided) -> str:
    """
    Return a verdict in a word, or two if it was overridden.
    """
    said = decided.verdict.replace("_", " ")
    return said if decided.override is None else f"{said}, overridden"


def override(decided: Decided) -> tuple[Paragraph, ...]:
    """
    Return who overrode a verdict, when and why; nothing if nobody did.
    """
    if decided.override is None:
        return ()
    said = cut(str(decided.override), REASON)
    return (Paragraph(text=f"{said[0].upper()}{said[1:]}", mood="doubtful"),)


def exported(verdict: Verdict | None) -> tuple[Paragraph, ...]:
    """
    Return what an export changed and how much of it is the engine's; nothing without one.
    """
    if verdict is None or verdict.export is None:
        return ()
    said = cut(str(verdict.export), REASON)
    return (Paragraph(text=f"{said[0].upper()}{said[1:]}."),)


def margins(comparison: Comparison) -> Table:
    """
    Return the answers whose margin shrank most, and the median of all margins.

    Empty if no margin shrank.
    """
    shrunk = [drift for drift in comparison.drifts if drift.new < drift.old]
    if not shrunk:
        return Table(header=(), rows=())
    old, new = (
        median(values) for values in zip(*((d.old, d.new) for d in comparison.drifts), strict=True)
    )
    rows: list[tuple[Inline, float, float]] = [
        (f"median of {plural(len(comparison.drifts), 'answer')}", old, new)
    ]
    rows += [(short(drift.name), drift.old, drift.new) for drift in shrunk[:_LEAST_SURE]]
    return Table(
        header=("margin of the called tool", "old", "new", "change"),
        rows=tuple((name, f"{a:.2f}", f"{b:.2f}", f"{b - a:+.2f}") for name, a, b in rows),
        right=frozenset({1, 2, 3}),
    )


def departures(verdict: Verdict | None, most: int | None = None) -> tuple[Block, ...]:
    """
    Return the answers of an export that are not its parent's, at most *most* in full: the first
    token, and by how much the parent preferred its own.

    Empty without an export, or if all are the same.
    """
    export = None if verdict is None else verdict.export
    if export is None or not export.changed:
        return ()
    shown = export.first.first[:most]
    margins = [margin(each) for each in shown]
    known = any(each is not None for each in margins)
    rows: list[tuple[Inline, ...]] = [
        (
            _answer_name(each.key),
            ABSENT if each.token is None else f"{each.token:,}",
            Quote(_end(each.before)),
            _piece(each.old),
            _piece(each.new),
            *(() if not known else (ABSENT if by is None else f"{by:.2f}",)),
        )
        for each, by in zip(shown, margins, strict=True)
    ]
    said: list[Inline] = [
        ("Margins unknown: ", Quote(cut(reason, REASON))) for reason in export.first.unknown
    ]
    if not known and not said:
        said = ["--logits opens the parent and says how near it was to each."]
    listed = {each.key.case for each in shown}
    rest = tuple(name for name in export.changed if name not in listed)
    return (
        Table(
            header=(
                *("answer", "token", "after", "parent", "export"),
                *(("parent's margin",) if known else ()),
            ),
            rows=tuple(rows),
            right=frozenset({1, 5}),
        ),
        Points(texts=tuple(said)),
        Paragraph(text=f"{len(rest):,} more:" if rest and most is None else ""),
        Names(names=rest if most is None else ()),
    )


def divergences(found: Divergences | None, most: int | None = None) -> tuple[Block, ...]:
    """
    Return where answers differ, at most *most* of them: the first token, and how near each
    checkpoint was to the other.

    Empty if that was not looked for, or they are all the same.
    """
    if found is None or not found.differing:
        return ()
    weighed = any(each.by_old or each.by_new for each in found.first)
    shown = found.first[:most]
    said = f"{found.differing:,} of {plural(found.answers, 'answer')} differ"
    if found.differing > len(shown) > 0:
        said += f"; the first {len(shown)}:"
    rows: list[tuple[Inline, ...]] = []
    for each in shown:
        row: list[Inline] = [
            _answer_name(each.key),
            ABSENT if each.token is None else f"{each.token:,}",
            Quote(_end(each.before)),
            _piece(each.old),
            _piece(each.new),
        ]
        row += [_logits(each.by_old), _logits(each.by_new)] if weighed else []
        rows.append(tuple(row))
    header = ["answer", "token", "after", "old", "new"]
    if weighed:
        header += ["old: logits", "new: logits"]
    said_more: tuple[Inline, ...] = tuple(
        ("Logits unknown: ", Quote(cut(reason, REASON))) for reason in found.unknown
    )
    if not weighed and not found.unknown:
        said_more = ("`harness compare OLD NEW --logits` says how near the two tokens were.",)
    return (
        Paragraph(text=said if said.endswith(":") else f"{said}."),
        Table(header=tuple(header), rows=tuple(rows), right=frozenset({1})),
        Points(texts=said_more),
    )


def _answer_name(key: Key) -> Inline:
    more = "".join(
        f", {name} {number}"
        for name, number in (
            ("repeat", key.repeat and key.repeat + 1),
            ("turn", key.turn and key.turn + 1),
            ("step", key.step),
        )
        if number
    )
    return (short(key.case), more) if more else short(key.case)


def _end(text: str) -> str:
    """
    Return the end of *text*: the token that differs follows it.
    """
    line = text.replace("\n", "⏎")
    return line if len(line) <= _BEFORE else f"…{line[1 - _BEFORE :]}"


def _piece(text: str) -> Inline:
    return Quote(cut(text.replace("\n", "⏎").replace(" ", "␣"), _SETTING)) if text else "(end)"


def _logits(found: Logits | None) -> str:
    """
    Return the logits of the old and the new token, and how far they are apart.
    """
    if found is None:
        return ABSENT
    return f"{found.old:.4f}, {found.new:.4f} ({found.new - found.old:+.4f})"


def by_tag(comparison: Comparison) -> Table:
    """
    Return the accuracy of each tag's pairs, old and new; the tags that lost most come first.
    """
    whole = comparison.rates["accuracy"]
    rows: list[tuple[float, tuple[Inline, ...]]] = []
    for tag, ids in comparison.tags.items():
        paired = whole.only(ids)
        was, now = paired.old, paired.new
        if was is None or now is None:
            continue
        cells = (
            short(tag),
            value("accuracy", was),
            value("accuracy", now),
            change("accuracy", now - was, relative=False),
            _spread("accuracy", intervals.of_rate("accuracy", paired)),
            f"{paired.cases.broken.sum():,}",
            f"{paired.cases.fixed.sum():,}",
            f"{paired.pairs:,}",
        )
        rows.append((now - was, cells))
    rows.sort(key=lambda row: row[0])
    return Table(
        header=("tag", "old", "new", "change", "interval", "broken", "fixed", "pairs"),
        rows=tuple(cells for _, cells in rows),
        right=frozenset(range(1, 8)),
    )


def differences(comparison: Comparison, effects: Collection[Effect] = tuple(_EFFECTS)) -> Table:
    """
    Return how the settings of the runs differ and what follows, for differences with *effects*.
    """
    return Table(
        header=("field", "old", "new", "effect"),
        rows=tuple(
            (
                Quote(cut(each.field, _SETTING)),
                _setting(each.old),
                _setting(each.new),
                _EFFECTS[each.effect],
            )
            for each in comparison.differences
            if each.effect in effects
        ),
    )


def summary(report: Report, comparison: Comparison) -> tuple[Block, ...]:
    """
    Return the verdict in one sentence, then further reasons and notes.
    """
    pairs = f"{plural(comparison.scored_pairs, 'answer')} compared pair by pair"
    if comparison.pairs > comparison.scored_pairs:
        left_out = comparison.pairs - comparison.scored_pairs
        pairs += f", {left_out:,} more left out (errors or quarantined)"
    if comparison.unpaired and report.verdict is None:
        pairs += f", {plural(comparison.unpaired, 'answer')} without a partner"
    names = (f"{pairs}. Old: ", short(report.old.name), ", new: ", short(report.new.name), ".")
    verdict = report.verdict
    if verdict is None and not comparison.pairs:
        return (not_comparable(), Paragraph(text=names))
    if verdict is None:
        rate = comparison.rates["accuracy"]
        counts = f"{plural(len(rate.broken), 'case')} broken, {len(rate.fixed):,} fixed"
        if rate.pairs:
            p = two_sided(rate)
            apart = "tells" if told_apart(p) else "does not tell"
            counts += f": the paired test {apart} them apart ({chance(p)})"
        return (Paragraph(text=f"{counts}.", mood="title"), Paragraph(text=names))
    first, *rest = map(str, verdict.reasons)
    return (
        Paragraph(text=f"{word(verdict)}: {cut(first, REASON)}", mood=MOODS[verdict.verdict]),
        *override(verdict),
        *exported(verdict),
        Points(
            texts=(
                *(cut(reason, REASON) for reason in rest),
                *(f"note: {cut(note, REASON)}" for note in verdict.notes),
            )
        ),
        Paragraph(text=names),
    )


def not_comparable() -> Paragraph:
    """
    Return the first sentence on runs that share no case.
    """
    return Paragraph(text=f"not comparable: {NOTHING_IN_COMMON}", mood=MOODS["not_comparable"])


def metrics(comparison: Comparison, verdict: Verdict | None) -> Table:
    """
    Return every metric over its pairs, old and new, with its limit and the outcome.
    """
    judged = verdict.metrics if verdict else {}
    header: tuple[Inline, ...] = ("metric", "pairs", "old", "new", "change")
    rows = {
        name: (title(name), f"{paired.pairs:,}", *values(name, paired))
        for name, paired in comparison.metrics.items()
        if paired.pairs or name in judged
    }
    if verdict is None:
        return Table(
            header=(*header, "interval"),
            rows=tuple(
                (*row, _spread(name, intervals.of_change(name, comparison)))
                for name, row in rows.items()
            ),
            right=frozenset({1, 2, 3, 4, 5}),
        )
    return Table(
        header=(*header, "interval", "limit", "verdict"),
        rows=tuple((*row, *outcome(name, judged.get(name))) for name, row in rows.items()),
        right=frozenset({1, 2, 3, 4, 5}),
    )


def slices(verdict: Verdict | None) -> Table:
    """
    Return the slices that have limits of their own, and the outcome of each.
    """
    judged = verdict.slices if verdict else {}
    return Table(
        header=("tag", *_JUDGED),
        rows=tuple(
            (short(tag), *_from_verdict(name, metric))
            for tag, metrics in judged.items()
            for name, metric in metrics.items()
        ),
        right=frozenset({2, 3, 4, 5, 6}),
    )


def accepted(comparison: Comparison) -> Table:
    """
    Return the cases of which a wrong answer was accepted, why, until when, and what became of them.
    """
    return Table(
        header=("case", "now", "reason", "until"),
        rows=tuple(
            (
                short(each.case),
                ACCEPTED[each.state],
                Quote(cut(each.reason, REASON)),
                ABSENT if each.until is None else each.until.isoformat(),
            )
            for each in comparison.accepted
        ),
    )


ACCEPTED = {
    "unchanged": "as it was accepted",
    "changed_again": "changed again",
    "expired": "expired",
}


def against_anchor(verdict: Verdict | None) -> tuple[Block, ...]:
    """
    Return the outcome of the limits against the anchor, and which cases broke since.
    """
    anchor = verdict.anchor if verdict else None
    if anchor is None:
        return ()
    limits = [(name, metric) for name, metric in anchor.metrics.items() if metric.pairs]
    rows: list[tuple[Inline, ...]] = [_from_verdict(name, metric) for name, metric in limits]
    for tag, metrics in anchor.slices.items():
        for name, metric in metrics.items():
            label = ("tag ", short(tag), ": ", title(name))
            rows.append((label, *_from_verdict(name, metric)[1:]))
    said = (
        f"{anchor.verdict.replace('_', ' ')}; {plural(len(anchor.broken), 'case')} broken, "
        f"{len(anchor.fixed):,} fixed."
    )
    pinned: tuple[Part, ...] = () if anchor.baseline is None else (" ", short(anchor.baseline))
    return (
        Paragraph(text=("Against the anchor", *pinned, f": {said}")),
        Table(header=_JUDGED, rows=tuple(rows), right=frozenset({1, 2, 3, 4, 5})),
        Names(names=anchor.broken),
    )


def notes(comparison: Comparison, verdict: Verdict | None) -> tuple[Paragraph, ...]:
    """
    Return what a reader of the table of metrics must know.
    """
    if verdict is not None:
        aside = any(metric.advisory for metric in verdict.metrics.values())
        return (Paragraph(text="In brackets: advisory, not part of the verdict."),) if aside else ()
    timed = any(unit(name) == "ms" and paired.pairs for name, paired in comparison.metrics.items())
    if timed and not comparison.same_hardware:
        text = "Times are not comparable: the hardware may differ."
        return (Paragraph(text=text),)
    return ()


def offenders(comparison: Comparison) -> tuple[Block, ...]:
    """
    Return the cases that newly make a needless call, and those that no longer do.
    """
    blocks: list[Block] = []
    for name, rate in RATES.items():
        if rate.event is None:
            continue
        paired = comparison.rates.get(name)
        if paired is None:
            continue
        for label, ids in (("New", paired.broken), ("Gone", paired.fixed)):
            if ids:
                blocks.append(Paragraph(text=f"{label}, {rate.event}:"))
                blocks.append(Names(names=ids))
    return tuple(blocks)


def values(name: str, paired: PairedRate | PairedValues) -> tuple[str, str, str]:
    """
    Return a metric over its pairs: old, new, and the change.
    """
    old, new = paired.old, paired.new
    relative = unit(name) != "rate"
    delta = None if old is None or new is None else new - old
    if relative and delta is not None:
        delta = delta / old if old else None
    return value(name, old), value(name, new), change(name, delta, relative=relative)


_JUDGED: tuple[Inline, ...] = (
    "metric",
    "pairs",
    "old",
    "new",
    "change",
    "interval",
    "limit",
    "verdict",
)


def _from_verdict(name: str, metric: MetricVerdict) -> tuple[Inline, ...]:
    """
    Return a row for a metric of which only the verdict is known, not the pairs.
    """
    rate = unit(name) == "rate"
    share = metric.delta
    if not rate and metric.delta is not None and metric.old:
        share = metric.delta / metric.old
    return (
        title(name),
        f"{metric.pairs:,}",
        value(name, metric.old),
        value(name, metric.new),
        change(name, share, relative=not rate),
        *outcome(name, metric),
    )


def outcome(name: str, metric: MetricVerdict | None) -> tuple[Inline, str, str]:
    """
    Return the interval, the limit and the verdict of a metric; empty without a limit.
    """
    if metric is None:
        return "", "", ""
    ends = None
    if metric.low is not None and metric.high is not None:
        ends = metric.low, metric.high
    elif metric.ratio is not None:
        _, low, high = metric.ratio
        ends = low - 1, high - 1
    word = metric.verdict.replace("_", " ")
    return _spread(name, ends), metric.limit, f"({word})" if metric.advisory else word


def _spread(name: str, ends: tuple[float, float] | None) -> str:
    if ends is None:
        return ""
    low, high = ends
    return f"{100 * low:+.1f} to {change(name, high, relative=unit(name) != 'rate')}"


def _setting(given: object) -> Inline:
    if given is None:
        return ABSENT
    text = given if isinstance(given, str) else canonical_json(given)
    if _DIGEST.fullmatch(text):
        return Quote(f"{text[:_DIGEST_SHOWN]}…")
    return Quote(cut(text, _SETTING))
