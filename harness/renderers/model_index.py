"""
A run as the metadata block of a Hugging Face model card: the hub shows it as evaluation results.

The format is ``model-index`` (https://huggingface.co/docs/hub/model-cards), as ``ModelCard`` of
huggingface_hub reads it. It holds the rates, each with what it was counted over in its name.
"""

from typing import Any

from harness.documents import write_yaml
from harness.reports import escape as safe
from harness.reports.format import unit
from harness.reports.report import Report
from harness.reports.tables import ordered
from harness.runs.record import RunRecord

TASK = {"type": "text-generation", "name": "Tool calling"}


def render(report: Report) -> str:
    """
    Return the last run of *report* as the YAML block that begins a model card; of a release, the
    runs of all its suites.
    """
    runs = report.runs if report.parts else (report.new,)
    found = [_index(run.record) for run in runs]
    results = [each for index in found for each in index["results"]]
    document = {"model-index": [{"name": found[-1]["name"], "results": results}]}
    text = write_yaml(document, width=1_000_000)
    return f"---\n{text}---\n"


def _index(record: RunRecord) -> dict[str, Any]:
    suite = record.suite
    reference = record.checkpoint.reference
    name = _line(reference.partition(":")[2] or reference)
    metrics = [
        {
            "type": _line(each),
            "value": metric.value,
            "name": f"{_line(each)} ({metric.hits}/{metric.eligible})",
        }
        for each, metric in ordered(record.metrics)
        if metric.value is not None and unit(each) == "rate"
    ]
    # The hub refuses a card with an empty list of results.
    results = [
        {
            "task": dict(TASK),
            "dataset": {
                "type": _line(suite.name) or "suite",
                "name": _line(f"{suite.name} {suite.version}"),
                "revision": suite.digest,
            },
            "metrics": metrics,
        }
    ]
    return {"name": name or "model", "results": results if metrics else []}


def _line(text: str) -> str:
    return safe.line(safe.cut(text))
