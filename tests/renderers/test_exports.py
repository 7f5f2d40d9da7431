"""
What other projects read: each export is given to that project's own reader.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from math import isclose, sqrt
from pathlib import Path

import pytest

from harness.renderers.lm_eval import render as lm_eval
from harness.renderers.model_index import render as model_index
from harness.reports.report import Report
from harness.runs.serving import Serving
from harness.testing.texts import HOSTILE


def test_a_model_card_reads_every_rate_with_its_value(run_report: Report):
    from huggingface_hub import ModelCard

    card = ModelCard(model_index(run_report))
    found = {each.metric_type: each for each in card.data.eval_results or []}

    assert "org/name" == card.data.model_name
    metrics = run_report.new.record.metrics
    rates = {name for name, each in metrics.items() if each.hits is not None and each.eligible}
    assert rates == set(found)
    for name in rates:
        assert metrics[name].value == found[name].metric_value
        assert f"{name} ({metrics[name].hits}/{metrics[name].eligible})" == found[name].metric_name
    assert "routing 1.0.0" == found["accuracy"].dataset_name
    assert run_report.new.record.suite.digest == found["accuracy"].dataset_revision


def test_what_the_card_reader_writes_again_is_the_same(run_report: Report):
    from huggingface_hub import ModelCard

    card = ModelCard(model_index(run_report))
    again = ModelCard(str(card))

    assert card.data.eval_results == again.data.eval_results


def test_the_block_is_merged_into_a_card_as_the_docs_say(run_report: Report, tmp_path: Path):
    from huggingface_hub import ModelCard

    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Mine\n")
    (tmp_path / "block.yaml").write_text(model_index(run_report), "utf-8")

    card = ModelCard.load(tmp_path / "README.md")
    measured = ModelCard.load(tmp_path / "block.yaml").data
    card.data.model_name, card.data.eval_results = measured.model_name, measured.eval_results
    card.save(tmp_path / "README.md")

    merged = ModelCard.load(tmp_path / "README.md")
    assert "apache-2.0" == merged.data.license
    assert measured.eval_results == merged.data.eval_results
    assert "# Mine" in merged.text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names_stay_in_their_fields(
    text: str, hostile_reports: Callable[[str], list[Report]]
):
    from huggingface_hub import ModelCard

    for report in hostile_reports(text):
        card = ModelCard(model_index(report))

        assert {"model-index"} == set(card.data.to_dict())
        (dataset,) = {each.dataset_type for each in card.data.eval_results or []}
        assert dataset
        (task,) = json.loads(lm_eval(report))["results"]
        assert report.new.record.suite.name == task


def test_lm_eval_tabulates_our_results(run_report: Report):
    """
    Its own reader: the types it documents, and the table it prints of a results file.
    """
    utils = pytest.importorskip("lm_eval.utils", reason="lm_eval is not installed; tox does")
    from lm_eval.result_schema import EvalResults
    from pydantic import TypeAdapter

    data = json.loads(lm_eval(run_report))

    TypeAdapter(EvalResults).validate_python(data)
    table = utils.make_table(data)
    accuracy = run_report.new.record.metrics["accuracy"]
    (row,) = [line for line in table.split("\n") if "|accuracy " in line]
    cells = [cell.strip() for cell in row.split("|")]
    assert accuracy.value is not None
    assert {"routing", "none", "0", f"{accuracy.value:.4f}", "↑"} <= set(cells)


def test_lm_eval_is_told_only_what_is_known_of_a_run(run_report: Report):
    run = run_report.new
    replayed = replace(run, record=replace(run.record, backend=Serving(name="replay")))

    config = json.loads(lm_eval(replace(run_report, runs=(replayed,))))["config"]

    assert ("replay", None) == (config["model"], config["batch_size"])
    assert not {"device", "model_dtype"} & config.keys()


def test_lm_eval_errors_are_those_of_a_mean(run_report: Report):
    data = json.loads(lm_eval(run_report))
    metric = run_report.new.record.metrics["accuracy"]
    (found,) = data["results"].values()

    assert metric.value is not None
    expected = sqrt(metric.value * (1 - metric.value) / (metric.eligible - 1))
    assert isclose(expected, found["accuracy_stderr,none"])
    assert metric.value == found["accuracy,none"]
    assert "output_tokens_p50_stderr,none" not in found
    assert "abstention_accuracy,none" not in found
    (better,) = data["higher_is_better"].values()
    assert (True, False) == (better["accuracy"], better["second_call_rate"])
