"""
A package of somebody else's, installed: its members are reached from the command line and pytest.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

OUTSIDE = Path(__file__).with_name("outside")
ROWS = "What is a pear? => look\nWhere is it? => look\nHello. => look_again\n"
CONTRACTS = """
import pytest, sys

class Absent:
    def find_spec(self, name, *_):
        if {absent} and name.split(".")[0] == "hypothesis":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
if not {absent}:
    from hypothesis import settings
    settings.register_profile("few", max_examples=10)
    settings.load_profile("few")
arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "tests"]
raise SystemExit(pytest.main(arguments))
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A folder with the package in it as an installer leaves it: its modules and its metadata.
    """
    folder = tmp_path_factory.mktemp("site")
    project = tomllib.loads((OUTSIDE / "pyproject.toml").read_text("utf-8"))
    for package in project["tool"]["setuptools"]["packages"]:
        shutil.copytree(OUTSIDE / package, folder / package)
    name, version = project["project"]["name"], project["project"]["version"]
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")
    groups = project["project"]["entry-points"]
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
            for group, points in groups.items()
        )
    )
    return folder


@pytest.fixture
def run(site: Path, tmp_path: Path) -> Run:
    """
    Run Python in a fresh project, where the package is installed.
    """
    (tmp_path / "rows.txt").write_text(ROWS)

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
        )

    return python


@pytest.fixture
def harness(run: Run) -> Callable[..., str]:
    """
    Run a command that succeeds, and return what it prints.
    """

    def command(*arguments: str) -> str:
        done = run("-m", "harness", *arguments)
        assert 0 == done.returncode, done.stderr
        return done.stdout

    return command


def test_its_suite_is_imported_its_model_run_and_its_report_written(
    harness: Callable[..., str], tmp_path: Path
):
    harness("suite", "import", "toyformat", "rows.txt", "--out", "suites/toys")
    harness("run", "toys", "--checkpoint", "toy:model", "--out", "run", "--quiet")
    shown = harness("report", "run", "--output", "toy=-")
    harness("report", "run", "--output", "toy=report.txt")

    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {"reference": "toy:model", "dialect": "toy"}.items() <= record["checkpoint"].items()
    assert "run: 2 of 3 are right" in shown.splitlines()
    assert shown == (tmp_path / "report.txt").read_text()


def test_its_dialect_reads_stored_text(harness: Callable[..., str], tmp_path: Path):
    harness("suite", "import", "toyformat", "rows.txt", "--out", "suites/toys")
    call = '<toy>look {"query": "What is a pear?"}</toy></s>'
    lines = [{"case": f"toy-{number}", "output": call} for number in range(3)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    harness("run", "toys", "--checkpoint", "replay:answers.jsonl", "--dialect", "toy",
            "--out", "run", "--quiet")  # fmt: skip

    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert ["correct", "incorrect", "incorrect"] == [case["status"] for case in record["cases"]]


def test_what_a_run_stores_is_enough_to_judge_it_again_and_explain_it(harness: Callable[..., str]):
    harness("suite", "import", "toyformat", "rows.txt", "--out", "suites/toys")
    harness("run", "toys", "--checkpoint", "toy:model", "--out", "run", "--quiet")

    harness("score", "run", "--suite", "toys", "--out", "again", "--quiet")
    assert "again: 2 of 3 are right" in harness("report", "again", "--output", "toy=-")
    assert "read as toy" in harness("explain", "run", "toy-0")


def test_help_and_doctor_name_them_and_their_package(harness: Callable[..., str]):
    assert "toyformat (from harness-toy 1.0)" in " ".join(
        harness("suite", "import", "--help").split()
    )
    assert "toy (from harness-toy 1.0)" in " ".join(harness("report", "--help").split())
    doctor = harness("doctor")
    members = (
        "backend toy",
        "dialect toy",
        "environment toy",
        "importer toyformat",
        "renderer toy",
    )
    for line in members:
        assert any(
            line in row and "harness-toy 1.0" in row and "ok" in row for row in doctor.splitlines()
        ), line


def test_the_pytest_plugin_runs_its_model(run: Run, harness: Callable[..., str]):
    harness("suite", "import", "toyformat", "rows.txt", "--out", "suites/toys")

    done = run("-m", "pytest", "--checkpoint", "toy:model", "-p", "no:cacheprovider", "suites")

    assert "1 failed, 2 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("absent", [False, True], ids=["hypothesis", "fixed examples"])
def test_its_members_keep_the_contracts(run: Run, tmp_path: Path, absent: bool):
    shutil.copytree(OUTSIDE / "tests", tmp_path / "tests")

    done = run("-c", CONTRACTS.format(absent=absent))

    assert 0 == done.returncode, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_without_its_package_nothing_of_it_is_known(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "harness", "suite", "import", "toyformat", "x", "--out", "suites/x"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 2 == done.returncode
    assert "unknown format 'toyformat'" in done.stderr
