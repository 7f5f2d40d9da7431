"""
``harness completion``: what a shell completes by the script.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.completion import SHELLS
from harness.cli.main import COMMANDS, main

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_shtab_harness
echo "${COMPREPLY[*]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("completion") / "harness.bash"
    made = subprocess.run(
        [sys.executable, "-m", "harness", "completion", "bash"],
        capture_output=True,
        text=True,
        check=True,
    )
    file.write_text(made.stdout, "utf-8")
    return file


def completed(script: Path, *words: str, cwd: Path | None = None) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", script, "harness", *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ga"], ["gate"]),
        (["suite", "im"], ["import"]),
        (["baseline", "sav"], ["save"]),
        (["run", "--che"], ["--checkpoint"]),
        (["run", "ask", "--fai"], ["--failed"]),
        (["gate", "new", "--markd"], ["--markdown"]),
        (["run", "ask", "--tool-names", ""], ["dots-to-underscores"]),
        (["run", "ask", "--dialect", "herm"], ["hermes"]),
        (["suite", "import", "bfc"], ["bfcl"]),
        (["completion", "z"], ["zsh"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_bash_completes(script: Path, words: list[str], expected: list[str]):
    assert expected == completed(script, *words)


def test_every_command_is_completed(script: Path):
    names = {module.__name__.rpartition(".")[2] for group in COMMANDS.values() for module in group}

    assert names == set(completed(script, ""))


def test_files_and_folders_are_completed(script: Path, tmp_path: Path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "report.json").touch()

    assert {"reports", "report.json"} == set(completed(script, "gate", "rep", cwd=tmp_path))
    assert ["report.json"] == completed(script, "gate", "--json", "report.", cwd=tmp_path)
    assert ["reports"] == completed(script, "gate", "--root", "rep", cwd=tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_there_is_a_script_for(shell: str, capsys: pytest.CaptureFixture[str]):
    assert 0 == main(["completion", shell])

    said = capsys.readouterr().out
    assert "checkpoint" in said
    assert "completion" in said


def test_what_makes_the_scripts_is_loaded_for_nothing_else():
    """
    A shell waits for the script once; every command would wait for shtab.
    """
    code = (
        "import sys; from harness.cli.main import main; main(['--help']); "
        "assert 'shtab' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
