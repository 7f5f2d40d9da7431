"""
The built wheel works away from the source tree: schemas, templates and suites travel in it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A folder that holds the package as pip installs it, and nothing of this tree.
    """
    work = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", work / "dist", TREE], check=True)
    (wheel,) = (work / "dist").glob("*.whl")
    site = work / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    return site


def harness(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path):
    code = "import harness; print(harness.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == str(installed / "harness" / "__init__.py")


def test_suites_travel_in_it(installed: Path):
    bundled = installed / "harness" / "bundled" / "tool-routing"
    here = {path.name for path in (TREE / "suites" / "tool-routing").iterdir()}

    assert here == {path.name for path in bundled.iterdir()}


def test_every_module_and_data_file_travels_in_it(installed: Path):
    def files(package: Path) -> set[Path]:
        return {
            path.relative_to(package)
            for path in package.rglob("*")
            if path.is_file() and path.suffix != ".pyc" and "bundled" not in path.parts
        }

    assert files(TREE / "harness") == files(installed / "harness")


def test_a_bundled_suite_is_run_and_gated_in_an_empty_folder(installed: Path, tmp_path: Path):
    listed = harness(installed, tmp_path, "suite", "list")
    assert listed.returncode == 0, listed.stderr
    assert "tool-routing" in listed.stdout

    bundled = installed / "harness" / "bundled" / "tool-routing"
    lines = (bundled / "cases.jsonl").read_text("utf-8").splitlines()
    cases = [json.loads(line) for line in lines]
    (tmp_path / "replay.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "case": case["id"],
                    "message": {
                        "role": "assistant",
                        "tool_calls": [
                            {
                                "type": "function",
                                "function": {
                                    "name": case["expect"]["calls"][0]["tool"],
                                    "arguments": json.dumps({"query": case["prompt"]}),
                                },
                            }
                        ],
                    },
                }
            )
            + "\n"
            for case in cases
        )
    )
    for step in (
        ["run", "tool-routing", "--checkpoint", "replay:replay.jsonl", "--out", "run", "--quiet"],
        ["baseline", "save", "run", "--name", "shipped", "--reason", "the first"],
        ["gate", "run", "--baseline", "shipped"],
    ):
        done = harness(installed, tmp_path, *step)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "pass" in done.stdout
