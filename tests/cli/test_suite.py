"""
``harness suite``: suites made, checked, shown and released.
"""

import json
import shutil
from pathlib import Path

import pytest

from harness.cli.main import main

from .conftest import answers, run


def test_what_a_suite_holds_is_shown_and_not_obeyed(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    file = project / "suites" / "ask" / "suite.yaml"
    suite = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**suite, "description": "x\n::error::no\x1b[2J"}), "utf-8")

    for arguments in (["list"], ["show", "ask"]):
        assert main(["suite", *arguments]) == 0
        shown = capsys.readouterr().out
        assert r"x⏎::error::no\x1b[2J" in shown
        assert "\x1b" not in shown


def test_a_new_suite_checks_clean_and_is_released(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    for arguments in (
        ["suite", "new", "mine"],
        ["suite", "check", "mine"],
        ["suite", "release", "mine"],
        ["suite", "show", "mine"],
        ["suite", "list"],
    ):
        assert main(arguments) == 0, arguments
    assert "no findings\nnext: `harness run mine --checkpoint REF`\n" in capsys.readouterr().out
    cases = project / "suites" / "mine" / "cases.jsonl"
    cases.write_text(cases.read_text() + "{not json\n")

    assert main(["suite", "check", "mine"]) == 1
    assert "cases.jsonl:" in capsys.readouterr().out


def test_suites_are_listed_for_programs(project: Path, capsys: pytest.CaptureFixture[str]):
    assert 0 == main(["suite", "list", "--json", "-"])

    (found,) = [each for each in json.loads(capsys.readouterr().out) if each["suite"] == "ask"]
    assert {
        "suite": "ask",
        "version": "1.0.0",
        "released": False,
        "cases": 120,
        "tools": 2,
        "folder": "suites/ask",
        "bundled": False,
        "description": "",
    } == found


def test_a_suite_is_shown_to_programs(project: Path, capsys: pytest.CaptureFixture[str]):
    assert 0 == main(["suite", "show", "ask", "--json", "-"])

    found = json.loads(capsys.readouterr().out)
    assert 120 == found["cases"]
    assert {"even": 60, "odd": 60} == found["by_tag"]
    assert 0 < found["smallest_detectable_drop"] < 1


def test_a_list_is_written_to_a_file_beside_the_table(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    assert 0 == main(["suite", "list", "--json", "suites.json"])

    assert "ask" in capsys.readouterr().out
    assert "ask" in (project / "suites.json").read_text("utf-8")


@pytest.mark.parametrize("kept", ["reports", "baselines", "history"])
def test_a_version_that_a_stored_run_knows_is_not_released_with_other_content(
    project: Path, capsys: pytest.CaptureFixture[str], kept: str
):
    folder = project / "suites" / "ask"
    assert 0 == main(["suite", "release", "ask"])
    (project / "reports" / "ask").mkdir(parents=True)
    run(project, "reports/ask/first", answers())
    where = "reports/ask/first"
    if kept != "reports":
        assert 0 == main(["baseline", "save", where, "--name", "shipped"])
        shutil.rmtree(project / "reports")
        where = "baselines/ask/shipped"
    if kept == "history":
        assert 0 == main(["baseline", "rm", "shipped"])
        (where,) = (str(path) for path in Path("baselines/ask/history").iterdir())
    for name in ("versions.json", "released-cases.json", "CHANGELOG.md"):
        (folder / name).unlink()
    lines = (folder / "cases.jsonl").read_text().splitlines(keepends=True)
    (folder / "cases.jsonl").write_text("".join(lines[1:]))
    capsys.readouterr()

    assert 2 == main(["suite", "release", "ask"])
    assert (
        f"harness: suite ask: 1.0.0 was released with other content, with which {where} was made; "
        "restore versions.json, or choose a part to increment: major, minor or patch\n"
    ) == capsys.readouterr().err
    assert not (folder / "versions.json").exists()
    assert 0 == main(["suite", "release", "ask", "--minor"])
    (folder / "versions.json").unlink()
    # The same content again is not another version.
    assert 0 == main(["suite", "release", "ask"])


def test_an_unreleased_run_binds_no_version(project: Path):
    (project / "reports" / "ask").mkdir(parents=True)
    run(project, "reports/ask/first", answers())
    lines = (project / "suites/ask/cases.jsonl").read_text().splitlines(keepends=True)
    (project / "suites/ask/cases.jsonl").write_text("".join(lines[1:]))

    assert 0 == main(["suite", "release", "ask"])


def test_what_a_killed_new_left_is_not_listed(project: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(project / "suites" / "ask", project / "suites" / ".ask.k3_x9ab2")

    assert 0 == main(["suite", "list"])
    assert 1 == capsys.readouterr().out.count("suites/")
