"""
How the metrics of accepted baselines went: the table and the picture.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main

SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_suite("1.0.0")
    return tmp_path


def write_suite(version: str) -> None:
    cases = [{"id": f"c{n}", "prompt": f"Say {n}.", "expect": {"abstain": True}} for n in range(10)]
    tools = [{"type": "function", "function": {"name": "go", "description": "Go."}}]
    suite = {"format": 1, "name": "say", "version": version, "tools": tools, "cases": cases}
    Path("suites/say").mkdir(parents=True, exist_ok=True)
    Path("suites/say/suite.yaml").write_text(json.dumps(suite))


def accept(name: str, right: int, reason: str) -> None:
    call = {"type": "function", "function": {"name": "go", "arguments": "{}"}}
    wrong = {"role": "assistant", "tool_calls": [call]}
    rows: list[dict[str, Any]] = [
        {
            "case": f"c{n}",
            "message": {"role": "assistant", "content": "No."} if n < right else wrong,
        }
        for n in range(10)
    ]
    Path("r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = f"reports/{len(list(Path().glob('reports/*')))}"
    assert 0 == main(["run", "say", "--checkpoint", "replay:r.jsonl", "--out", out, "--quiet"])
    assert 0 == main(["baseline", "save", out, "--name", name, "--reason", reason, "--replace"])


def test_a_row_for_each_acceptance_with_the_interval(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    accept("shipped", 9, "first")
    accept("shipped", 7, "second")
    capsys.readouterr()

    assert 0 == main(["baseline", "history", "shipped"])
    said = capsys.readouterr().out
    rows = [row for row in said.splitlines() if row.startswith("say/shipped")]
    assert ["90.0% (59.6% to 98.2%)", "70.0% (39.7% to 89.2%)"] == [
        " ".join(row.split()[4:8]) for row in rows
    ]
    assert [["first"], ["second"]] == [row.split()[-1:] for row in rows]


def test_other_metrics_can_be_asked_for(project: Path, capsys: pytest.CaptureFixture[str]):
    accept("shipped", 9, "first")
    capsys.readouterr()

    assert 0 == main(["baseline", "history", "--metric", "abstention_accuracy", "malformed_rate"])
    head = capsys.readouterr().out.splitlines()[0]
    assert "rightly no call" in head
    assert "malformed calls" in head
    assert 2 == main(["baseline", "history", "--metric", "speed"])
    assert (
        "unknown metric 'speed'; choose from abstention_accuracy, accuracy"
        in capsys.readouterr().err
    )


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """
    Keep every figure that is drawn.
    """
    from matplotlib.figure import Figure

    kept: list[Any] = []
    save = Figure.savefig

    def keep(self: Any, *given: Any, **more: Any) -> None:
        kept.append(self)
        save(self, *given, **more)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def test_the_picture_has_a_line_for_each_baseline_and_a_panel_for_each_metric(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    figures = drawn(monkeypatch)
    for right in (9, 8, 7):
        accept("shipped", right, "again")
    accept("anchor", 10, "pinned")

    metrics = ["--metric", "accuracy", "abstention_accuracy"]
    assert 0 == main(["baseline", "history", *metrics, "--png", "pictures/h.png"])
    assert SIGNATURE == (project / "pictures/h.png").read_bytes()[:8]
    [figure] = figures
    assert 2 == len(figure.axes)
    lines = {
        line.get_label(): list(line.get_ydata())
        for line in figure.axes[0].lines
        if str(line.get_label()).startswith("say/")
    }
    assert {"say/shipped": [0.9, 0.8, 0.7], "say/anchor": [1.0]} == lines


def test_a_line_is_broken_where_the_suite_changed(project: Path, monkeypatch: pytest.MonkeyPatch):
    figures = drawn(monkeypatch)
    accept("shipped", 9, "first")
    write_suite("2.0.0")
    accept("shipped", 3, "harder suite")

    assert 0 == main(["baseline", "history", "--metric", "accuracy", "--png", "h.png"])
    points = [
        list(line.get_ydata()) for line in figures[0].axes[0].lines if line.get_marker() == "o"
    ]
    assert [[0.9], [0.3]] == points


def test_nothing_to_draw_is_said(project: Path, capsys: pytest.CaptureFixture[str]):
    assert 2 == main(["baseline", "history", "--png", "h.png"])
    assert "nothing to draw" in capsys.readouterr().err
    assert not (project / "h.png").exists()


@pytest.mark.parametrize(
    "damage",
    [
        {"saved": "yesterday"},
        {"intervals": {"accuracy": [0.5]}},
        {"metrics": {"accuracy": "x"}},
    ],
)
def test_an_entry_that_cannot_be_read_is_named(
    project: Path, capsys: pytest.CaptureFixture[str], damage: dict[str, Any]
):
    accept("shipped", 9, "first")
    history = project / "baselines/say/shipped/history.jsonl"
    entry = json.loads(history.read_text())
    history.write_text(json.dumps(entry | damage) + "\n")
    capsys.readouterr()

    assert 2 == main(["baseline", "history"])
    assert "history.jsonl:1: cannot be read" in capsys.readouterr().err


def test_acceptances_without_intervals_are_shown_without(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    accept("shipped", 9, "first")
    history = project / "baselines/say/shipped/history.jsonl"
    entry = json.loads(history.read_text())
    del entry["intervals"]
    history.write_text(json.dumps(entry) + "\n")
    capsys.readouterr()

    assert 0 == main(["baseline", "history", "--png", "h.png"])
    [row] = [row for row in capsys.readouterr().out.splitlines() if row.startswith("say/")]
    assert "90.0%" in row
    assert "(" not in row
