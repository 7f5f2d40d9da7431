"""
The cases of a report as the data that its page searches, sorts and opens.

Foreign text is escaped as everywhere (`harness.reports.escape`), and arguments are written as JSON
text here: a browser would round their numbers.

Beyond `ALL` cases, those that decide are there in full: broken or fixed, wrong, or not the same in
every run. Of the others, which every run has right, there is a column for each thing that the table
shows.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.canonical import canonical_json
from harness.reports import escape as safe
from harness.reports.blocks import plain
from harness.reports.conversation import key_of, outcome, returned, spell_change, text_of
from harness.reports.report import Asked, Report, RunView
from harness.scoring.results import PRECEDENCE, CaseResult, Execution, TurnResult
from harness.transcript import Key

BUDGET = 13_000_000
"""How many bytes the data may take, so that the page stays under 15 MB."""
_LIMITS = (20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50)
"""How many characters of a text to try to show: the most that stays within the budget."""
_NAME = 200
_CALLS = 50
"""How many calls, arguments or findings of one answer are shown."""
ALL = 5_000
"""Up to so many cases, all are there in full."""
MOST = 8_000
"""Of more, at most so many are."""
LISTED = 200_000
"""So many more have a row in the table."""

Identity = tuple[str, int]


def embedded_cases(report: Report, budget: int = BUDGET) -> str:
    """
    Return every case of *report* as JSON that is safe in a ``<script>``: no ``<``, ``>`` or ``&``.

    Long texts are cut to the same length, so that all stay within *budget* bytes; what is cut says
    so.
    """
    text = ""
    shown = _shown(report)
    for limit in _LIMITS[_first(report, shown, budget) :]:
        data = _case_data(report, shown, limit)
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        for char in "<>&":
            text = text.replace(char, f"\\u{ord(char):04x}")
        if len(text.encode("utf-8")) <= budget:
            break
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """
    Which cases are there in full, and which as columns.
    """

    full: Sequence[Identity]
    rest: Sequence[Identity]
    places: Sequence[Mapping[Identity, int]]
    """Where each run has them."""
    flips: Mapping[Identity, str]


def _shown(report: Report) -> _Shown:
    places = [
        {key: place for place, key in enumerate(run.record.columns.keys)} for run in report.runs
    ]
    # The new run comes first: its order is that of the current suite.
    order = list(dict.fromkeys(key for keys in reversed(places) for key in keys))
    flips = dict(_flips(report, places))
    full = order
    if len(order) > ALL:
        ranks = _ranks(report, places, order, flips)
        chosen = sorted(ranks, key=ranks.__getitem__)
        kept = set(chosen[:MOST])
        full = [key for key in order if key in kept]
    there = set(full)
    rest = [key for key in order if key not in there]
    return _Shown(full=full, rest=rest, places=places, flips=flips)


def _ranks(
    report: Report,
    places: Sequence[Mapping[Identity, int]],
    order: Sequence[Identity],
    flips: Mapping[Identity, str],
) -> dict[Identity, int]:
    """
    Return how much each case that decides matters: the lower, the more.
    """
    columns = [run.record.columns for run in report.runs]
    right = [each.correct.tolist() for each in columns]
    must = [each.ways.flags(lambda case: case.must_pass).tolist() for each in columns]

    def rank(key: Identity) -> int | None:
        found = [(run, of[key]) for run, of in enumerate(places) if key in of]
        run, place = found[-1]
        if not right[run][place] and must[run][place]:
            return 0
        if key in flips:
            return 1
        if not right[run][place]:
            return 2
        same = len(found) == len(places) and all(right[one][where] for one, where in found)
        return None if same and len({columns[one].digests[at] for one, at in found}) == 1 else 3

    return {key: found for key in order if (found := rank(key)) is not None}


def _first(report: Report, shown: _Shown, budget: int) -> int:
    """
    Return the place of the first limit under which the answers alone are not already too long.
    """
    cases = {case for case, _ in shown.full}
    sizes = [
        len(text)
        for run in report.runs
        for key in run.answers
        if key.case in cases
        for text in (run.answers[key],)
    ]
    sums = (sum(min(size, limit) for size in sizes) for limit in _LIMITS)
    return next((place for place, size in enumerate(sums) if size <= budget), len(_LIMITS) - 1)


def case_data(report: Report, limit: int) -> dict[str, Any]:
    """
    Return every case of *report* with the result of each run, at most *limit* characters of a text.

    Empty keys are left out.
    """
    return _case_data(report, _shown(report), limit)


def _case_data(report: Report, shown: _Shown, limit: int) -> dict[str, Any]:
    spell = _Spelling(limit)
    cases = [
        _case(
            report,
            key,
            [
                run.record.cases[places[key]] if key in places else None
                for run, places in zip(report.runs, shown.places, strict=True)
            ],
            shown.flips.get(key),
            spell,
        )
        for key in shown.full
    ]
    return {
        "runs": [spell.name(run.name) for run in report.runs],
        "compared": report.comparison is not None,
        "statuses": list(reversed(PRECEDENCE)),
        "cases": cases,
        **({"rest": _rest(report, shown, spell)} if shown.rest else {}),
    }


def _rest(report: Report, shown: _Shown, spell: "_Spelling") -> dict[str, Any]:
    """
    Return the columns of the cases that are not there in full.
    """
    listed = shown.rest[:LISTED]
    newest = [
        next(
            (run, places[key])
            for run, places in reversed(list(enumerate(shown.places)))
            if key in places
        )
        for key in listed
    ]
    columns = [run.record.columns for run in report.runs]
    tags: dict[tuple[str, ...], int] = {}
    words = list(reversed(PRECEDENCE))
    status = [each.ways.objects(lambda case: words.index(case.status)).tolist() for each in columns]
    lengths = [each.measured.objects(lambda one: one.output_tokens).tolist() for each in columns]
    codes = [
        tags.setdefault(columns[run].tags.values[columns[run].tags.codes[place]], len(tags))
        for run, place in newest
    ]
    flips = [shown.flips.get(key) for key in listed]
    return _some(
        ids=[spell.name(identity) for identity, _ in listed],
        repeats=[repeat for _, repeat in listed] if any(repeat for _, repeat in listed) else None,
        tags={
            "values": [[spell.name(tag) for tag in each[:_CALLS]] for each in tags],
            "codes": codes,
        },
        flips=flips if any(flips) else None,
        statuses=[
            [of[places[key]] if key in places else None for key in listed]
            for of, places in zip(status, shown.places, strict=True)
        ],
        tokens=[lengths[run][columns[run].first[place]] for run, place in newest],
        left_out=len(shown.rest) - len(listed) or None,
    )


class _Spelling:
    """
    Return foreign text, cut and escaped.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def text(self, text: str) -> str:
        return safe.visible(safe.cut(text, self._limit).replace("\r\n", "\n"), keep="\n")

    def name(self, text: str) -> str:
        return safe.line(safe.cut(text, _NAME))

    def json(self, value: Any) -> str:
        return self.text(canonical_json(value))


def _flips(
    report: Report, places: Sequence[Mapping[Identity, int]]
) -> Iterator[tuple[Identity, str]]:
    if report.comparison is None:
        return
    rate = report.comparison.rates["accuracy"]
    broken, fixed = set(rate.broken), set(rate.fixed)
    before, after = (run.record.columns for run in report.runs)
    for key, new in places[1].items():
        old = places[0].get(key)
        if old is None or (key[0] not in broken and key[0] not in fixed):
            continue
        if not (before.scored[old] and after.scored[new]):
            continue
        if before.digests[old] != after.digests[new]:
            continue
        was, now = bool(before.correct[old]), bool(after.correct[new])
        if was and not now and key[0] in broken:
            yield key, "broken"
        elif now and not was and key[0] in fixed:
            yield key, "fixed"


def _case(
    report: Report,
    key: Identity,
    results: Sequence[CaseResult | None],
    flip: str | None,
    spell: _Spelling,
) -> dict[str, Any]:
    newest = next(case for case in reversed(results) if case is not None)
    asked = next((run.turns[key[0]] for run in reversed(report.runs) if key[0] in run.turns), ())
    prompt = next(
        (run.prompts[key[0]] for run in reversed(report.runs) if key[0] in run.prompts), ""
    )
    digests = {case.digest for case in results if case}
    return _some(
        id=spell.name(newest.id),
        repeat=key[1],
        prompt=spell.text(prompt),
        tags=[spell.name(tag) for tag in newest.tags[:_CALLS]],
        flip=flip,
        must=newest.must_pass,
        quarantined=any(case.quarantined for case in results if case),
        changed=len(digests) > 1,
        turns=[_turn_asked(each, prompt, spell) for each in asked],
        runs=[
            case and _result(run, case, spell)
            for run, case in zip(report.runs, results, strict=True)
        ],
    )


def _turn_asked(asked: Asked, prompt: str, spell: _Spelling) -> dict[str, Any]:
    repeats = asked.role == "user" and asked.text == prompt
    return _some(
        role=None if repeats else spell.name(asked.role),
        text=None if repeats else spell.text(asked.text),
        expected=[
            _alternative(each, spell)
            for each in asked.expected.get("any_of", (asked.expected,))
            if each
        ],
    )


def _alternative(expected: Mapping[str, Any], spell: _Spelling) -> dict[str, Any]:
    if "calls" not in expected:
        text = expected.get("text")
        return _some(abstain=True, text=None if text is None else spell.json(text))
    rules = []
    if expected.get("order") == "strict":
        rules.append("in this order")
    if expected.get("extra_calls") == "allow":
        rules.append("others may follow")
    if forbidden := expected.get("forbid"):
        rules.append(spell.name(f"never {', '.join(forbidden)}"))
    return _some(
        calls=[_call(call["tool"], call.get("arguments", {}), spell) for call in expected["calls"]],
        rules="; ".join(rules),
    )


def _result(run: RunView, case: CaseResult, spell: _Spelling) -> dict[str, Any]:
    return _some(
        status=case.status,
        lenient=case.status_lenient if case.status_lenient != case.status else None,
        turns=[
            _answer(run, key_of(case, index), turn, spell)
            | (_said(run, key_of(case, index), turn, spell) if case.executed is not None else {})
            for index, turn in enumerate(case.answers)
        ],
        **(_outcome(case.executed, spell) if case.executed is not None else {}),
    )


def _outcome(executed: Execution, spell: _Spelling) -> dict[str, Any]:
    return {
        "outcome": list(outcome(executed)),
        "wrong": [
            [spell.name(each.code), "", spell.text(each.detail)]
            for each in executed.findings[:_CALLS]
        ],
        "changes": [spell.text(spell_change(each)) for each in executed.changes[:_CALLS]],
    }


def _answer(run: RunView, key: Key, turn: TurnResult, spell: _Spelling) -> dict[str, Any]:
    raw, error = run.answers.get(key), run.errors.get(key)
    return _some(
        status=turn.status,
        calls=[
            _call(str(call.get("tool")), call.get("arguments") or {}, spell)
            for call in turn.calls[:_CALLS]
        ],
        findings=[
            [spell.name(each.code), spell.name(each.kind or ""), spell.text(each.detail)]
            for each in turn.findings[:_CALLS]
        ],
        returned=[
            spell.text(plain(returned(each, run.relevant.get(key.case, {}))))
            for each in run.results.get(key, ())
        ],
        raw=None if raw is None else spell.text(raw),
        silent=raw == "",
        error=None if error is None else spell.text(error),
        tokens=turn.output_tokens,
        latency=None if turn.latency_ms is None else round(turn.latency_ms, 1),
        ttft=None if turn.ttft_ms is None else round(turn.ttft_ms, 1),
        margin=None if turn.margin is None else round(turn.margin, 4),
        finish=None if turn.finish_reason is None else spell.name(turn.finish_reason),
    )


def _said(run: RunView, key: Key, turn: TurnResult, spell: _Spelling) -> dict[str, Any]:
    if turn.calls or turn.status in ("error", "malformed", "truncated"):
        return {}
    return _some(said=spell.text(text_of(run, key)))


def _call(tool: str, arguments: Mapping[str, Any], spell: _Spelling) -> list[Any]:
    shown = list(arguments.items())[:_CALLS]
    return [spell.name(tool), [[spell.name(name), spell.json(value)] for name, value in shown]]


def _some(**fields: Any) -> dict[str, Any]:
    # There may be ten thousand cases: what is empty is not written. Zero is not empty.
    return {
        name: value
        for name, value in fields.items()
        if value is not None and value != "" and value != [] and value is not False
    }
