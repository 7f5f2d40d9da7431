"""
The baselines of a project as they were at a commit: ``--baseline-from``.

A branch is held against what it began from, not against what the default branch has become since:
the baselines of the merge base are taken out of git, and the work tree is left alone.
"""

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.errors import StoreError, UsageError, boundary
from harness.workflow.project import Project

MERGE_BASE = "merge-base"

_TARGETS = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
"""Where CI says which branch a pull or merge request is for."""


@contextmanager
def baselines_at(
    project: Project, wanted: str, environ: Mapping[str, str] = os.environ
) -> Iterator[Project]:
    """
    Yield *project* with its baselines as of *wanted*, inside the block.

    *wanted* is ``merge-base``, or a revision as git knows it. The merge base is that of HEAD with
    the branch that CI says the request is for, or else with the default branch of the remote.

    Raises:
        UsageError: if git does not know it.
        StoreError: if there were no baselines at that commit.
    """
    folder = project.baselines if project.baselines.is_dir() else project.root
    top = Path(_git(folder, "rev-parse", "--show-toplevel"))
    if wanted == MERGE_BASE:
        target = _target(folder, environ)
        commit = _merge_base(folder, target)
        said = f"the merge base {commit[:12]} with {target}"
    else:
        commit = _git(folder, "rev-parse", "--verify", "--end-of-options", f"{wanted}^{{commit}}")
        said = f"commit {commit[:12]}"
    with boundary(UsageError, f"{project.baselines} is not in the repository {top}"):
        inside = project.baselines.resolve().relative_to(top.resolve()).as_posix()
    with tempfile.TemporaryDirectory(prefix="harness-baselines-") as scratch:
        packed = _run(top, "archive", "--format=tar", commit, "--", inside)
        if packed.returncode != 0:
            raise StoreError(f"there was no {inside} at {said}: commit a baseline first")
        with (
            boundary(StoreError, f"the baselines of {said} cannot be read"),
            tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive,
        ):
            archive.extractall(scratch, filter="data")
        yield replace(project, baselines=Path(scratch) / inside, baselines_of=said)


def _target(folder: Path, environ: Mapping[str, str]) -> str:
    for name in _TARGETS:
        if branch := environ.get(name):
            return f"origin/{branch}"
    found = _run(folder, "symbolic-ref", "--short", "refs/remotes/origin/HEAD")
    candidates = [found.stdout.decode().strip()] if found.returncode == 0 else []
    for name in (*candidates, "origin/main", "origin/master", "main", "master"):
        if _run(folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").returncode == 0:
            return name
    raise UsageError(
        "no branch to find the merge base with: neither CI names one nor is there origin/HEAD, "
        "main or master; name a commit with --baseline-from REV"
    )


def _merge_base(folder: Path, target: str) -> str:
    found = _run(folder, "merge-base", "HEAD", target)
    if found.returncode != 0:
        raise UsageError(
            f"no merge base of HEAD with {target}: fetch both with their history "
            "(actions/checkout: fetch-depth: 0; GitLab: GIT_DEPTH: 0)"
        )
    return found.stdout.decode().strip()


def _git(folder: Path, *arguments: str) -> str:
    done = _run(folder, *arguments)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it failed"]
        raise UsageError(f"git {arguments[0]}: {said[-1].removeprefix('fatal: ')}")
    return done.stdout.decode().strip()


def _run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    with boundary(UsageError, "git cannot be run"):
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, timeout=120, check=False
        )
