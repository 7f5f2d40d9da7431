"""
The cases of a report as the data that its page searches, sorts and opens.

Foreign text is escaped as everywhere (`harness.reports.escape`), and arguments are written as JSON
text here: a browser would round their numbers.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.canonical import canonical_json
from harness.reports import escape as safe
from harness.reports.blocks import plain
from harness.reports.conversation import key_of, outcome, returned, spell_change
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

Identity = tuple[str, int]


def embedded_cases(report: Report, budget: int = BUDGET) -> str:
    """
    Return every case of *report* as JSON that is safe in a ``<script>``: no ``<``, ``>`` or ``&``.

    Long texts are cut to the same length, so that all stay within *budget* bytes; what is cut says
    so.
    """
    text = ""
    for limit in _LIMITS[_first(report, budget) :]:
        data = case_data(report, limit)
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        for char in "<>&":
            text = text.replace(char, f"\\u{ord(char):04x}")
        if len(text.encode("utf-8")) <= budget:
            break
    return text


def _first(report: Report, budget: int) -> int:
    """
    Yield the limits under which the answers alone are not already too long.
    """
    sizes = [len(text) for run in report.runs for text in run.answers.values()]
    sums = (sum(min(size, limit) for size in sizes) for limit in _LIMITS)
    return next((place for place, size in enumerate(sums) if size <= budget), len(_LIMITS) - 1)


def case_data(report: Report, limit: int) -> dict[str, Any]:
    """
    Return every case of *report* with the result of each run, at most *limit* characters of a text.

    Empty keys are left out.
    """
    spell = _Spelling(limit)
    results = [{(case.id, case.repeat): case for case in run.record.cases} for run in report.runs]
    # The new run comes first: its order is that of the current suite.
    order = dict.fromkeys(key for cases in reversed(results) for key in cases)
    flips = dict(_flips(report, results))
    return {
        "runs": [spell.name(run.name) for run in report.runs],
        "compared": report.comparison is not None,
        "statuses": list(reversed(PRECEDENCE)),
        "cases": [
            _case(report, key, [cases.get(key) for cases in results], flips.get(key), spell)
            for key in order
        ],
    }


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
    report: Report, results: Sequence[Mapping[Identity, CaseResult]]
) -> Iterator[tuple[Identity, str]]:
    if report.comparison is None:
        return
    rate = report.comparison.rates["accuracy"]
    broken, fixed = set(rate.broken), set(rate.fixed)
    for key, new in results[1].items():
        old = results[0].get(key)
        if old is None or not old.scored or not new.scored or old.digest != new.digest:
            continue
        was, now = old.status == "correct", new.status == "correct"
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
