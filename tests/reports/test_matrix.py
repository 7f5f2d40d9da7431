"""
What is said of several checkpoints on several suites.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.gating.ranking import rank
from harness.renderers.html.render import render_sheet as as_page
from harness.renderers.markdown import render_sheet as as_markdown
from harness.renderers.terminal import render_sheet as as_text
from harness.reports.matrix import matrix_data, outcome, sheet_of_matrix
from harness.runs.store import StoredRun
from harness.testing.texts import HOSTILE
from harness.workflow.matrix import MatrixCell, MatrixRuns
from tests.builders import A, B, attempt, case, judge, record
from tests.builders import answer as read
from tests.builders import calls as wanted


def made(
    checkpoints: Sequence[str], suites: Sequence[str], *, missing: Sequence[str] = ()
) -> MatrixRuns:
    """
    Make a matrix in which each checkpoint is wrong on five cases more than the one before.
    """
    cells = {}
    rankings = {}
    for suite in suites:
        records = []
        for number, name in enumerate(checkpoints):
            if name in missing:
                continue
            results = [
                judge(
                    case(wanted("A"), id=f"{suite}-{each}", tools=[A, B]),
                    read(attempt("B" if each < 5 * number else "A")),
                )
                for each in range(30)
            ]
            run = StoredRun(folder=Path("reports", name, suite), record=record(*results))
            cells[name, suite] = MatrixCell(checkpoint=name, suite=suite, run=run, asked=number > 0)
            records.append((name, run.record))
        if len(records) > 1:
            ranking = rank([each for _, each in records])
            order = tuple(records[place.run][0] for place in ranking.places)
            rankings[suite] = order, ranking
    return MatrixRuns(
        name="nightly",
        folder=Path("reports/matrix/nightly"),
        checkpoints=tuple(checkpoints),
        suites=tuple(suites),
        cells=cells,
        rankings=rankings,
        skipped=dict.fromkeys(missing, "no such file: weights"),
    )


def test_every_form_says_who_is_best_and_what_is_missing():
    found = made(["shipped", "candidate", "gone"], ["kb", "web"], missing=["gone"])
    sheet = sheet_of_matrix(found)

    assert "3 checkpoints on 2 suites: 2 of 6 runs asked now, 2 missing" == outcome(found)
    assert 2 == found.exit
    for text in (as_text(sheet), as_markdown(sheet), as_page(sheet)):
        for word in ("100.0%", "83.3%", "missing", "shipped", "candidate", "no such file"):
            assert word in text
        assert "best is" in text
    assert "Curves" not in as_page(sheet)


def test_what_is_not_told_apart_from_the_best_is_named_with_it():
    found = made(["best", "near", "far"], ["kb"])
    data = matrix_data(found)

    order = data["order"]["kb"]
    assert ["best", "near", "far"] == [each["checkpoint"] for each in order]
    assert [30, 25, 20] == [each["correct"] for each in order]
    assert json.loads(json.dumps(data)) == data
    assert "no clear best" in as_text(sheet_of_matrix(found))
    assert ["near"] == order[0]["not_told_apart_from"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names_change_nothing(text: str):
    sheet = sheet_of_matrix(made([text, "b"], ["kb"]))

    assert "\x1b" not in as_text(sheet)
    assert "<script>alert" not in as_page(sheet)
    assert "\x1b" not in as_markdown(sheet)
