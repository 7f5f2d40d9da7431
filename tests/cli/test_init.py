"""
``harness init``: what it says, and that its last line is a command that works.
"""

import os
import shlex
from pathlib import Path

import pytest

from harness.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "project.md").read_text("utf-8")


def test_the_next_commands_are_said_and_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my evals" / ".git").mkdir(parents=True)

    assert 0 == main(["init", "my evals"])
    *_, own, there = capsys.readouterr().out.splitlines()
    os.chdir("my evals")
    for said, shown in ((own, "wrote rows/rows.csv"), (there, "no findings")):
        enter, _, command = said.partition(": ")[2].partition(" && ")
        assert ["cd", "my evals"] == shlex.split(enter)
        assert 0 == main(shlex.split(command)[1:])
        assert shown in capsys.readouterr().out


def test_each_file_is_listed_with_its_purpose_and_later_as_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)

    assert 0 == main(["init"])
    said = capsys.readouterr().out
    assert "made gate.toml                   what a candidate must meet" in said
    assert said.endswith(": harness suite check first\n")

    (tmp_path / ".gitignore").write_text("*.pyc\n")
    assert 0 == main(["init"])
    said = capsys.readouterr().out
    assert not any(line.startswith("made ") for line in said.splitlines())
    assert "exists, left as it is: gate.toml" in said
    assert "add /reports/ to .gitignore" in said


def test_a_folder_that_cannot_be_is_an_error_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "evals").write_text("")

    assert 2 == main(["init", str(tmp_path / "evals")])
    assert "harness: " in capsys.readouterr().err


def test_a_project_inside_a_repository_says_where_its_ci_job_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()

    assert 0 == main(["init", "evals"])

    said = capsys.readouterr().out
    assert "move evals/.github/workflows/gate.yml there, and let it work in evals/" in said


def test_the_page_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    # The top of a repository of its own, wherever the tests have their folder.
    (tmp_path / "evals" / ".git").mkdir(parents=True)
    main(["init", "evals"])

    assert f"```console\n$ harness init evals\n{capsys.readouterr().out}```" in PAGE
