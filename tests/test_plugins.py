"""
Open families: what is built in, what other packages add, and what happens when they clash.
"""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.plugins import Family

GROUP = "harness.toys"
TOYS = Family(
    group=GROUP,
    noun="toy",
    built_in={"path": "pathlib:Path", "sum": "math:fsum"},
    error=UsageError,
)


def package(folder: Path, name: str, version: str, **points: str) -> Path:
    """
    Install a package that brings members: {family: "name = target"}.
    """
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = (f"[harness.{family}]\n{line}\n" for family, line in points.items())
    (info / "entry_points.txt").write_text("".join(groups))
    return folder


def said(statement: str, *paths: Path) -> str:
    """
    Run a statement where the packages in *paths* are installed; return what it prints or raises.
    """
    done = subprocess.run(
        [sys.executable, "-c", statement],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_built_in_and_added_members_are_one_family(installed: Callable[..., None]):
    installed(GROUP, product="math:prod")

    assert ("path", "product", "sum") == TOYS.names()
    assert TOYS.load("sum")([1, 2]) == 3
    assert TOYS.load("product")([2, 3]) == 6
    assert {"product": "a package"} == TOYS.added()


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        UsageError, match=r"unknown toy 'paht' \(did you mean 'path'\?\); .*path, sum"
    ):
        TOYS.load("paht")


def test_a_member_that_cannot_be_imported_is_named(installed: Callable[..., None]):
    installed(GROUP, crayon="no_such_package:render")

    with pytest.raises(
        UsageError, match=r"toy 'crayon' \(no_such_package:render.* cannot be loaded"
    ):
        TOYS.load("crayon")


def test_an_object_that_does_not_fit_is_refused(installed: Callable[..., None]):
    installed(GROUP, pi="math:pi")

    with pytest.raises(UsageError, match=r"toy 'pi'.*docs/extending\.md"):
        TOYS.load("pi")


LOAD = "from harness.renderers.registry import {0}; print({0}({1}))"


def test_a_name_that_is_built_in_is_not_taken_over(tmp_path: Path):
    other = package(tmp_path, "acme-page", "1.0", renderers="html = acme:render")

    assert "acme-page 1.0 defines a renderer 'html' (acme:render), which is built in" in said(
        LOAD.format("names", ""), other
    )


def test_one_name_from_two_packages_names_both(tmp_path: Path):
    one = package(tmp_path / "one", "acme-page", "1.0", renderers="page = acme:render")
    two = package(tmp_path / "two", "other-page", "2.0", renderers="page = other:render")

    text = said(LOAD.format("names", ""), one, two)

    assert "two packages define a renderer 'page': " in text
    assert "acme-page 1.0 (acme:render)" in text
    assert "other-page 2.0 (other:render)" in text


@pytest.mark.parametrize("name", ["toolcall-harness", "Toolcall_Harness"])
def test_an_older_wheel_of_this_package_beside_it_does_no_harm(tmp_path: Path, name: str):
    """
    Before, its entry points named modules that had moved since, and every command failed.
    """
    old = package(tmp_path, name, "0.0.9", renderers="html = harness.renderers.page:render")

    assert "<function render" in said(LOAD.format("renderer", "'html'"), old)


def test_no_member_is_registered_twice():
    """
    Entry points are for other packages: those of this one are the command and the pytest plugin.
    """
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))

    assert {"pytest11"} == set(project["project"]["entry-points"])
