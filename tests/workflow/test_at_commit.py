"""
Baselines out of git: of the merge base, of a commit, and never by touching the work tree.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main

from ..builders import question, write_suite

COUNT = 80


def git(*words: str) -> str:
    author = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    done = subprocess.run(["git", *author, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def run(name: str, wrong: int) -> str:
    rows = []
    for number in range(COUNT):
        tool = "outside" if number < wrong else "inside"
        call = {"type": "function", "function": {"name": tool, "arguments": {"q": f"c{number}"}}}
        rows.append({"case": f"c{number}", "message": {"tool_calls": [call]}})
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["--checkpoint", f"replay:{name}.jsonl", "--out", f"runs/{name}", "--quiet"]
    assert 0 == main(["run", "ask", *asked])
    return f"runs/{name}"


def save(name: str, *more: str, baseline: str = "shipped") -> None:
    words = ["--name", baseline, "--replace", "--reason", "a test", *more]
    assert 0 == main(["baseline", "save", name, *words])


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A branch ``work`` that began when the baseline had 8 wrong, while ``main`` went on to 20.
    """
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"):
        monkeypatch.delenv(name, raising=False)
    write_suite(tmp_path, [question(f"c{number}") for number in range(COUNT)])
    git("init", "-q", "-b", "main")
    Path(".gitignore").write_text("runs/\n*.jsonl\n!baselines/**\n")
    save(run("first", 8))
    git("add", ".")
    git("commit", "-qm", "first")
    git("branch", "work")
    save(run("worse", 20))
    git("add", ".")
    git("commit", "-qm", "worse")
    return tmp_path


def gated(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    words = ["gate", "runs/new", "--baseline", "shipped", "--json", "-", *more]
    assert 2 != main(words)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_branch_is_held_against_the_baseline_that_it_began_with(
    capsys: pytest.CaptureFixture[str],
):
    git("checkout", "-q", "work")
    git("checkout", "-q", "main", "--", "baselines")
    run("new", 20)
    before = git("status", "--porcelain")

    here, began = gated(capsys), gated(capsys, "--baseline-from", "merge-base")

    assert ([], 12) == (here["broken"], len(began["broken"]))
    base = git("merge-base", "HEAD", "main")
    assert f"shipped is the baseline of the merge base {base[:12]} with main" in began["notes"]
    assert before == git("status", "--porcelain")


def test_the_branch_of_the_request_is_the_one_that_ci_names(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    run("new", 20)
    git("update-ref", "refs/remotes/origin/release", "work")
    monkeypatch.setenv("GITHUB_BASE_REF", "release")

    found = gated(capsys, "--baseline-from", "merge-base")

    assert 12 == len(found["broken"])
    assert any(note.endswith("with origin/release") for note in found["notes"])


def test_the_baselines_of_any_commit_can_be_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    run("new", 20)

    found = gated(capsys, "--baseline-from", "main~1", "--html", "gate.html")

    assert 12 == len(found["broken"])
    assert "c11" in (tmp_path / "gate.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--baseline-from", "nowhere"], "git rev-parse: Needed a single revision"),
        (["--baseline-from=--all"], "git rev-parse: Needed a single revision"),
    ],
)
def test_a_commit_that_is_not_there_is_an_error(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    run("new", 20)

    assert 2 == main(["gate", "runs/new", "--baseline", "shipped", *words])
    assert said in capsys.readouterr().err


def test_without_a_common_commit_the_error_says_how_to_fetch_it(
    capsys: pytest.CaptureFixture[str],
):
    run("new", 20)
    git("checkout", "-q", "--orphan", "alone")
    git("commit", "-qm", "alone")

    words = ["--baseline-from", "merge-base"]
    assert 2 == main(["gate", "runs/new", "--baseline", "shipped", *words])
    assert "no merge base of HEAD with main: fetch both" in capsys.readouterr().err


def test_a_commit_before_the_first_baseline_is_an_error(capsys: pytest.CaptureFixture[str]):
    run("new", 20)
    git("checkout", "-q", "--orphan", "bare")
    git("rm", "-rqf", "--cached", ".")
    git("commit", "-qm", "bare", "--allow-empty")

    assert 2 == main(["gate", "runs/new", "--baseline", "shipped", "--baseline-from", "HEAD"])
    assert "there was no baselines at commit" in capsys.readouterr().err


def test_outside_a_repository_there_is_no_merge_base(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run("new", 20)
    (tmp_path / ".git").rename(tmp_path / ".not-git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    words = ["--baseline-from", "merge-base"]
    assert 2 == main(["gate", "runs/new", "--baseline", "shipped", *words])
    assert "git rev-parse: not a git repository" in capsys.readouterr().err
