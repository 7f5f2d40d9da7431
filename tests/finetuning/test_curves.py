"""
What is on the page of a training's curves.
"""

from pathlib import Path

import pytest

from harness.finetuning.curves import (
    Curve,
    Panel,
    Point,
    draw,
    task_panels,
    training_panels,
    write_picture,
)
from harness.finetuning.result import EpochLoss, Finetuned
from harness.runs.record import with_interval
from harness.scoring.metrics import Counts

TRAINED = Finetuned(
    folder=Path("made"),
    digest="",
    losses=(EpochLoss(epoch=1, train=2.0, valid=2.5), EpochLoss(epoch=2, train=1.0, valid=1.5)),
    kept_epoch=2,
    seconds=1.0,
)


def measured(hits: int, second: int, of: int = 40):
    return {
        "tool_accuracy": with_interval("tool_accuracy", Counts(hits=hits, eligible=of)),
        "second_call_rate": with_interval("second_call_rate", Counts(hits=second, eligible=of)),
        "abstention_accuracy": with_interval("abstention_accuracy", Counts(hits=0, eligible=0)),
    }


@pytest.fixture
def figure():
    from matplotlib.figure import Figure

    return Figure()


def test_losses_are_drawn_by_epoch_with_a_line_where_weights_were_kept(figure):
    draw(figure, training_panels(TRAINED), kept=2)

    (axes,) = figure.axes
    drawn = {line.get_label(): list(line.get_xydata().tolist()) for line in axes.lines}
    assert {
        "training": [[1, 2.0], [2, 1.0]],
        "validation": [[1, 2.5], [2, 1.5]],
        "kept": [[2, 0], [2, 1]],
    } == drawn
    assert "epoch" == axes.get_xlabel()


def test_metrics_are_drawn_with_their_intervals_and_the_baseline_as_a_line(figure):
    panels = task_panels([(1, measured(20, 4)), (2, measured(36, 1))], level=measured(30, 2))

    draw(figure, panels)

    right, second = figure.axes
    curve, level = right.lines
    assert [[1, 0.5], [2, 0.9]] == curve.get_xydata().tolist()
    assert [0.75, 0.75] == list(level.get_ydata())
    low, high = measured(36, 1)["tool_accuracy"].low, measured(36, 1)["tool_accuracy"].high
    band = right.collections[0].get_paths()[0].vertices.tolist()
    assert [2, pytest.approx(low)] in band
    assert [2, pytest.approx(high)] in band
    assert [0.1, 0.025] == [y for _, y in second.lines[0].get_xydata().tolist()]


def test_a_metric_that_no_case_is_about_has_no_panel():
    assert () == task_panels([(1, measured(20, 4))], shown=[("abstention_accuracy",)])


def test_a_picture_names_what_was_trained_whatever_its_letters(tmp_path):
    panel = Panel(label="loss", curves=(Curve(label="training", points=(Point(at=1, value=2),)),))

    write_picture(tmp_path / "curves.png", [panel], title="hf:org/$name$_1")

    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
