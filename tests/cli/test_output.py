"""
Reports as the commands print and write them.
"""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness.cli.main import main

from .conftest import answers, run, save


def test_reports_are_written_and_well_formed(project: Path):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=10))
    files = ["--markdown", "r.md", "--junit", "r.xml", "--json", "r.json"]
    assert main(["gate", "new", "--baseline", "shipped", "--explain", *files]) == 1

    assert "c3" in (project / "r.md").read_text("utf-8")
    assert json.loads((project / "r.json").read_text("utf-8"))["verdict"] == "regressed"
    suites = ET.parse(project / "r.xml").getroot()
    assert 10 <= len(suites.findall(".//failure")) <= 11


def test_a_page_is_written_for_gate_compare_and_one_run(project: Path):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=10))
    run(project, "third", answers(second=2))

    assert main(["gate", "new", "--baseline", "shipped", "--html", "gate.html"]) == 1
    assert main(["compare", "old", "new", "third", "--html", "three.html"]) == 0
    assert main(["report", "new", "--html", "one.html"]) == 0

    for name, said in (("gate", "regressed"), ("three", "side by side"), ("one", "on ask 1.0.0")):
        page = (project / f"{name}.html").read_text("utf-8")
        assert page.startswith("<!doctype html>")
        assert said in page


def test_one_run_is_exported_for_other_projects(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "new", answers(wrong=10))
    capsys.readouterr()

    assert main(["report", "new", "--lm-eval", "results.json", "--model-index", "-"]) == 0

    results = json.loads((project / "results.json").read_text("utf-8"))
    assert 110 / 120 == results["results"]["ask"]["accuracy,none"]
    assert capsys.readouterr().out.startswith("---\nmodel-index:\n")


def test_github_is_told_in_summary_outputs_and_annotations(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=10))
    for name in ("summary", "output"):
        (project / name).write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project / "summary"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(project / "output"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    capsys.readouterr()

    assert main(["gate", "new", "--baseline", "shipped", "--github"]) == 1

    assert (project / "summary").read_text("utf-8").startswith("before\n### ")
    output = (project / "output").read_text("utf-8").splitlines()
    assert ["before", "verdict=regressed", "exit=1"] == output[:3]
    assert {"broken=10", "fixed=0"} <= set(output)
    lines = capsys.readouterr().out.splitlines()
    assert 10 == sum(line.startswith("::error title=") for line in lines)


def test_what_a_model_wrote_is_not_a_command_to_github(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """
    The runner obeys a line that begins with ``::``; between stop and resume it obeys none.
    """
    rows = answers()
    message = {"role": "assistant", "content": "::set-output name=verdict::pass"}
    rows[0] = {"case": "c0", "message": message}
    run(project, "old", rows)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    capsys.readouterr()

    assert main(["report", "old", "-v"]) == 0

    lines = capsys.readouterr().out.splitlines()
    stop, resume = lines[0], lines[-3]
    assert stop.startswith("::stop-commands::")
    assert resume == f"::{stop.removeprefix('::stop-commands::')}::"
    assert len(resume) > 20
    assert lines[-1].startswith("accuracy ")


def test_github_can_be_told_only_in_a_step_of_it(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    run(project, "old", answers())

    assert main(["report", "old", "--github"]) == 2
    assert "$GITHUB_STEP_SUMMARY is not set" in capsys.readouterr().err


def test_a_report_goes_into_a_file_and_nowhere_else(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    (project / "folder").mkdir()
    assert main(["gate", "old", "--baseline", "shipped", "--json", "folder"]) == 2
    assert "folder is a folder" in capsys.readouterr().err
    (project / "real.json").write_text("")
    (project / "link.json").symlink_to("real.json")
    assert main(["gate", "old", "--baseline", "ask/shipped", "--json", "link.json"]) == 0

    assert (project / "link.json").is_symlink()
    assert json.loads((project / "real.json").read_text("utf-8"))["verdict"] == "pass"
    assert main(["gate", "old", "--baseline", "shipped", "--json", "/dev/null"]) == 0
    assert not Path("/dev/null").is_file()
