"""
What there are reports on, and their text in any form.
"""

from pathlib import Path

import pytest

import harness
from harness.errors import UsageError
from harness.renderers.registry import renderer
from harness.reports.build import report_comparison, report_gate, report_run
from harness.runs.store import StoredRun
from harness.workflow.project import open_project

BASELINES = Path(__file__).parents[2] / "baselines" / "tool-routing"


@pytest.fixture(scope="module")
def runs() -> tuple[StoredRun, StoredRun]:
    return tuple(sorted(map(harness.load_run, BASELINES.iterdir()), key=lambda run: run.folder))[:2]


def test_a_run_a_comparison_and_a_verdict_are_rendered_in_python(
    runs: tuple[StoredRun, StoredRun], tmp_path: Path
):
    old, new = runs
    gated = harness.gate(old.folder, new, recheck=False, project=open_project(tmp_path))
    compared = harness.compare(old, new)

    for name in ("markdown", "json", "terminal"):
        render = renderer(name)
        assert render(report_run(new)) == harness.render(new, name)
        assert render(report_comparison(compared)) == harness.render(compared, name)
        assert render(report_gate(gated)) == harness.render(gated, name)
        assert render(report_gate(gated)) == harness.render(report_gate(gated), name)
    assert gated.verdict.verdict in harness.render(gated, "json")
    assert '"verdict"' not in harness.render(compared, "json")


def test_an_unknown_form_names_the_nearest(runs: tuple[StoredRun, StoredRun]):
    with pytest.raises(UsageError, match=r"did you mean 'markdown'"):
        harness.render(runs[0], "markdwon")
