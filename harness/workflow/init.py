"""
A project to start from: suites/ with a first suite, harness.toml, gate.toml and a CI job.
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from harness.errors import UsageError, boundary
from harness.gating.template import policy_template
from harness.suites.files import find_suites
from harness.suites.scaffold import new_suite
from harness.workflow.project import open_project

FIRST_SUITE = "first"

CI = Literal["github", "gitlab", "none"]

_JOBS: dict[CI, str] = {"github": ".github/workflows/gate.yml", "gitlab": ".gitlab-ci.yml"}
"""Where each CI server looks for its jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """
    What a project was given, and what it had already.
    """

    root: Path
    suite: str
    """A suite of the project, for the next command."""
    made: tuple[Path, ...]
    kept: tuple[Path, ...]
    """What was there and was left as it is."""
    misplaced_job: Path | None
    """The CI job, if the project is a folder inside a repository: servers look only at the top."""
    to_ignore: str | None
    """The line that .gitignore lacks, as far as its plain lines say: the folder of reports."""


def init(root: Path, *, ci: CI = "github") -> Started:
    """
    Make the files of a project in the folder *root*, which is created if needed.

    Nothing is overwritten. A project that has a suite is given no other.

    Raises:
        UsageError: if *root* cannot be a folder or its harness.toml is not valid.
    """
    with boundary(UsageError, f"{root} cannot be made a project"):
        root.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    kept: list[Path] = []

    def add(name: str, text: str) -> None:
        path = root / name
        (made if _written(path, text) else kept).append(path)

    add("harness.toml", _template("harness.toml"))
    project = open_project(root)
    suites = find_suites(project.suites)
    if suites:
        kept.append(project.suites)
    else:
        made.append(new_suite(project.suites, FIRST_SUITE))
    suite = suites[0].name if suites else FIRST_SUITE
    # A CI job that passes because little was measured is worse than none.
    add("gate.toml", policy_template({"on_inconclusive": "block"}))
    if ci in _JOBS:
        add(_JOBS[ci], _template(f"{ci}.yml").replace("SUITE", suite))
    reports = _below(root, project.reports)
    add(".gitignore", _template("gitignore").replace("REPORTS", reports or ""))
    return Started(
        root=root,
        suite=suite,
        made=tuple(made),
        kept=tuple(kept),
        misplaced_job=root / _JOBS[ci] if ci in _JOBS and _inside_repository(root) else None,
        to_ignore=reports if reports and not _ignores(root / ".gitignore", reports) else None,
    )


def _inside_repository(root: Path) -> bool:
    """
    Return whether *root* lies in a git repository and is not its top.
    """
    folder = root.resolve()
    return not (folder / ".git").exists() and any(
        (parent / ".git").exists() for parent in folder.parents
    )


def _below(root: Path, folder: Path) -> str | None:
    """
    Return *folder* as a line of .gitignore; None if it is outside *root*.
    """
    if not folder.resolve().is_relative_to(root.resolve()):
        return None
    return f"/{folder.resolve().relative_to(root.resolve()).as_posix()}/"


def _ignores(file: Path, folder: str) -> bool:
    with boundary(UsageError, f"{file} cannot be read"):
        lines = file.read_text("utf-8").splitlines()
    return folder.strip("/") in {line.strip().strip("/") for line in lines}


def _template(name: str) -> str:
    return (resources.files("harness.workflow") / "template" / name).read_text("utf-8")


def _written(path: Path, text: str) -> bool:
    """
    Write a file that does not exist yet; return whether it did not.
    """
    with boundary(UsageError, f"{path} cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
        except FileExistsError:
            return False
    return True
