"""
A report as JSON, for programs: the verdict, the comparison, or the runs' numbers.

Text is ASCII with JSON's own escapes, so that nothing in it can act on a terminal.
"""

import json
from typing import Any

from harness.comparison.compare import Comparison
from harness.comparison.divergence import Divergences, Logits
from harness.comparison.paired import PairedRate, PairedValues
from harness.gating.ranking import ALPHA, Ranking
from harness.reports.report import Report
from harness.runs.record import MetricValue, RunRecord, encode


def render(report: Report) -> str:
    """
    Return *report* as one JSON object: a verdict as its ``to_json``, one run as its run.json.
    """
    data: dict[str, Any]
    if report.release is not None:
        data = report.release.to_json()
    elif report.verdict is not None:
        data = report.verdict.to_json()
    elif report.comparison is not None:
        data = compared(report.comparison)
        if report.divergences is not None:
            data["divergences"] = _diverged(report.divergences)
        if report.stack is not None:
            data["stack"] = report.stack.to_json()
    elif len(report.runs) == 1:
        data = json.loads(encode(report.new.record))
    else:
        data = {"runs": [{"name": run.name} | _numbers(run.record) for run in report.runs]}
        if report.ranking is not None:
            data["ranking"] = _ranked(report.ranking)
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False) + "\n"


def compared(comparison: Comparison) -> dict[str, Any]:
    """
    Return a comparison with the keys of the verdict's JSON, without those that need a policy.
    """
    rate = comparison.rates["accuracy"]
    return {
        "metrics": {name: _paired(paired) for name, paired in comparison.metrics.items()},
        "pairs": comparison.pairs,
        "scored_pairs": comparison.scored_pairs,
        "broken": rate.broken,
        "fixed": rate.fixed,
        "added": comparison.added,
        "removed": comparison.removed,
        "changed": comparison.changed,
        "quarantined": comparison.quarantined,
        "must_pass_failed": comparison.must_pass_failed,
        "must_pass_still_failing": comparison.must_pass_still_failing,
        "margins": [
            {"case": drift.name, "old": drift.old, "new": drift.new} for drift in comparison.drifts
        ],
        "accepted": [
            {
                "case": each.case,
                "state": each.state,
                "reason": each.reason,
                "until": each.until and each.until.isoformat(),
            }
            for each in comparison.accepted
        ],
        "differences": [
            {"field": each.field, "old": each.old, "new": each.new, "effect": each.effect}
            for each in comparison.differences
        ],
    }


def _diverged(found: Divergences) -> dict[str, Any]:
    return {
        "answers": found.answers,
        "differing": found.differing,
        "first": [
            {
                **each.key._asdict(),
                "token": each.token,
                "before": each.before,
                "old": {"text": each.old, "logits": _logits(each.by_old)},
                "new": {"text": each.new, "logits": _logits(each.by_new)},
            }
            for each in found.first
        ],
        "logits_unknown": found.unknown,
    }


def _logits(found: Logits | None) -> dict[str, float] | None:
    return None if found is None else {"old": found.old, "new": found.new}


def _ranked(ranking: Ranking) -> dict[str, Any]:
    """
    Return the ranking of the runs, which are named by their position among them.
    """
    return {
        "answers": ranking.answers,
        "alpha": ALPHA,
        "places": [
            {
                "correct": place.correct,
                "must_pass_failed": place.must_pass_failed,
                "not_told_apart_from": place.alike,
                "made_otherwise": place.made_otherwise,
            }
            for place in ranking.places
        ],
        "tests": [{"runs": [one, other], "p_adjusted": p} for (one, other), p in ranking.p.items()],
    }


def _paired(paired: PairedRate | PairedValues) -> dict[str, Any]:
    old, new = paired.old, paired.new
    delta = None if old is None or new is None else new - old
    return {"old": old, "new": new, "delta": delta, "pairs": paired.pairs}


def _numbers(record: RunRecord) -> dict[str, Any]:
    return {
        "suite": {"name": record.suite.name, "version": record.suite.version},
        "checkpoint": record.checkpoint.to_json(),
        "metrics": {name: _metric(metric) for name, metric in record.metrics.items()},
        "statuses": {
            f"{case.id}#{case.repeat}" if case.repeat else case.id: case.status
            for case in record.cases
        },
    }


def _metric(metric: MetricValue) -> dict[str, Any]:
    return {
        "value": metric.value,
        "hits": metric.hits,
        "eligible": metric.eligible,
        "low": metric.low,
        "high": metric.high,
    }
