"""
A run in the format of lm-evaluation-harness's results file, for tools that read those.

The suite is one task without few-shot examples; ``EvalResults`` of ``lm_eval/result_schema.py``
(0.4.13) names the keys. A rate's standard error is that of a mean of zeros and ones, as lm-eval's
``mean_stderr`` computes it. What is unknown is left out: every key is optional.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from math import sqrt
from typing import Any

from harness.reports.report import Report
from harness.runs.record import MetricValue, RunRecord

FILTER = "none"
"""Answers are judged as they come."""

_BY_TASK = (
    "results",
    "group_subtasks",
    "configs",
    "versions",
    "n-shot",
    "n-samples",
    "higher_is_better",
    "task_hashes",
)


def render(report: Report) -> str:
    """
    Return the last run of *report* as the JSON of a results file; of a release, that of each suite
    as a task.
    """
    first, *others = [run.record for run in report.runs] if report.parts else [report.new.record]
    found = results(first)
    for record in others:
        for name, of_task in results(record).items():
            if name in _BY_TASK:
                found.setdefault(name, {}).update(of_task)
    return json.dumps(found, indent=2, sort_keys=True, allow_nan=False) + "\n"


def results(record: RunRecord) -> dict[str, Any]:
    """
    Return *record* as ``EvalResults``.
    """
    task, checkpoint, backend = record.suite.name, record.checkpoint, record.backend
    reference = checkpoint.reference
    known = {name: each for name, each in record.metrics.items() if each.value is not None}
    started, finished = _moment(record.started), _moment(record.finished)
    answers = len(record.cases)
    found: dict[str, Any] = {
        "results": {task: {"name": task, "alias": task, "sample_len": answers} | dict(_of(known))},
        "group_subtasks": {task: []},
        "configs": {
            task: {
                "task": task,
                "dataset_name": task,
                "harness_version": record.harness_version,
                "scorer_version": str(record.scorer_version),
            }
        },
        "versions": {task: record.suite.version},
        "n-shot": {task: 0},
        "higher_is_better": {
            task: {name: metric.higher_is_better for name, metric in known.items()}
        },
        "config": {
            "model": backend.name,
            "model_args": reference,
            "batch_size": None if backend.batch is None else str(backend.batch),
            "limit": record.selection.limit,
            "gen_kwargs": record.generation.to_json(),
            **({"device": backend.device} if backend.device else {}),
            **({"model_dtype": backend.dtype} if backend.dtype else {}),
        },
        "task_hashes": {task: record.suite.digest},
        "model_source": backend.name,
        "model_name": reference,
        "model_name_sanitized": re.sub(r"[^\w.-]+", "__", reference, flags=re.ASCII),
        "chat_template_sha": checkpoint.template,
    }
    if record.selection.complete:
        found["n-samples"] = {task: {"original": answers, "effective": answers}}
    if record.environment.commit:
        found["git_hash"] = record.environment.commit
    if version := record.environment.packages.get("transformers"):
        found["transformers_version"] = version
    if started is not None:
        found["date"] = started
    if started is not None and finished is not None:
        found["total_evaluation_time_seconds"] = str(finished - started)
    return found


def _of(metrics: dict[str, MetricValue]) -> Iterator[tuple[str, float]]:
    for name, metric in metrics.items():
        if metric.value is None:
            continue
        yield f"{name},{FILTER}", metric.value
        if metric.hits is not None and metric.eligible > 1:
            share = metric.value
            yield f"{name}_stderr,{FILTER}", sqrt(share * (1 - share) / (metric.eligible - 1))


def _moment(text: str) -> float | None:
    # The harness writes it, but a file may have been made by hand.
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
