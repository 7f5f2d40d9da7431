"""
A new project: what it holds, and that nothing there is overwritten.
"""

import subprocess
from datetime import date
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.suites.files import find_suites
from harness.suites.lint.check import check
from harness.workflow.init import init
from harness.workflow.project import open_project

TODAY = date(2026, 11, 30)


def files(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text("utf-8")
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_project_has_a_suite_without_findings_a_policy_a_ci_job_and_an_ignore_file(
    tmp_path: Path,
):
    started = init(tmp_path / "new" / "evals")

    root = tmp_path / "new" / "evals"
    project = open_project(root)
    (suite,) = find_suites(project.suites)
    assert ("first", "first") == (suite.name, started.suite)
    assert [] == check(suite, today=TODAY)
    assert "block" == project.policy().on_inconclusive
    assert {root / name for name in (
        "harness.toml", "gate.toml", "suites/first", ".github/workflows/gate.yml", ".gitignore",
    )} == set(started.made)  # fmt: skip
    assert () == started.kept
    assert started.to_ignore is None


def test_a_second_time_changes_nothing_and_says_what_is_there(tmp_path: Path):
    first = init(tmp_path)
    before = files(tmp_path)

    again = init(tmp_path)

    assert before == files(tmp_path)
    assert () == again.made
    assert {tmp_path / "suites" if "suites" in str(path) else path for path in first.made} == set(
        again.kept
    )


def test_what_a_user_wrote_is_kept_and_the_rest_is_added(tmp_path: Path):
    mine = {
        "gate.toml": "alpha = 0.01\n",
        ".gitignore": "*.pyc\n",
        ".github/workflows/gate.yml": "name: mine\n",
        "harness.toml": 'suites = "evals"\n',
        "suites/notes.txt": "not a suite",
    }
    for name, text in mine.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    started = init(tmp_path)

    assert mine == {name: text for name, text in files(tmp_path).items() if name in mine}
    assert (tmp_path / "evals" / "first",) == started.made, "not where harness.toml says"
    assert "/reports/" == started.to_ignore


def test_the_suite_that_is_there_is_continued(tmp_path: Path):
    init(tmp_path)
    (tmp_path / "suites" / "first").rename(tmp_path / "suites" / "mine")
    file = tmp_path / "suites" / "mine" / "suite.yaml"
    file.write_text(file.read_text().replace("name: first", "name: mine"))
    (tmp_path / ".github" / "workflows" / "gate.yml").unlink()

    started = init(tmp_path)

    assert "mine" == started.suite
    assert not (tmp_path / "suites" / "first").exists()
    assert "harness run mine " in files(tmp_path)[".github/workflows/gate.yml"]


@pytest.mark.parametrize(("ci", "file"), [("gitlab", ".gitlab-ci.yml"), ("none", None)])
def test_the_ci_job_is_that_of_the_server_in_use(tmp_path: Path, ci, file):
    made = {path.relative_to(tmp_path).as_posix() for path in init(tmp_path, ci=ci).made}

    jobs = {".gitlab-ci.yml", ".github/workflows/gate.yml"}
    assert ({file} if file else set()) == made & jobs


@pytest.mark.parametrize(
    ("config", "reports"), [("", "reports"), ('reports = "build/runs"', "build/runs")]
)
def test_git_ignores_the_folder_of_reports_and_nothing_else(
    tmp_path: Path, config: str, reports: str
):
    (tmp_path / "harness.toml").write_text(config)
    init(tmp_path)
    wanted = set(files(tmp_path))
    (tmp_path / reports).mkdir(parents=True)
    (tmp_path / reports / "run.json").write_text("{}")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    listing = ["git", "-C", str(tmp_path), "ls-files", "--others", "--exclude-standard"]

    found = subprocess.run(listing, capture_output=True, text=True, check=True).stdout

    assert wanted == set(found.splitlines())


def test_a_ci_job_below_the_top_of_a_repository_is_named(tmp_path: Path):
    (tmp_path / ".git").mkdir()

    below, top = init(tmp_path / "a" / "evals"), init(tmp_path)

    job = Path(".github") / "workflows" / "gate.yml"
    assert tmp_path / "a" / "evals" / job == below.misplaced_job
    assert top.misplaced_job is None
    assert init(tmp_path / "b", ci="none").misplaced_job is None


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path):
    (tmp_path / "evals").write_text("")

    with pytest.raises(UsageError, match="evals cannot be made a project"):
        init(tmp_path / "evals")


def test_a_broken_harness_toml_is_an_error_before_anything_is_made(tmp_path: Path):
    (tmp_path / "harness.toml").write_text("suites = 3")

    with pytest.raises(UsageError, match=r"harness\.toml"):
        init(tmp_path)
    assert ["harness.toml"] == list(files(tmp_path))
